"""The port to what the store keeps about access: tokens, sessions, denials, answers given."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from governance_flow.application.access.bearers import Token
from governance_flow.application.access.denials import Denial


@dataclass(frozen=True, slots=True)
class KeptToken:
    """A token and the digest of its secret half."""

    token: Token
    secret_sha256: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that has shown a token. ``csrf`` must come back with everything it changes."""

    session_sha256: bytes = field(repr=False)
    token_id: str
    csrf: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """The answer that a request under an idempotency key was given."""

    status: int
    media_type: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class KeyInUse:
    """What is known of an idempotency key: which request it came with, and the answer, if any."""

    fingerprint: bytes
    answer: GivenAnswer | None


class AccessStore(Protocol):
    """Operational rows: they are not events, and nothing that was decided depends on them."""

    async def keep_token(self, kept: KeptToken) -> None:
        """Keep a new token."""
        ...

    async def find_token(self, token_id: str) -> KeptToken | None:
        """Return a token, valid or not."""
        ...

    async def list_tokens(self) -> list[Token]:
        """Return every token that was ever made out, the oldest first."""
        ...

    async def revoke_token(self, token_id: str) -> bool:
        """Let a token be accepted no more, nor its sessions; False if there is none, or it is."""
        ...

    async def open_session(self, session: Session) -> None:
        """Keep a session, and forget those that have expired."""
        ...

    async def find_session(self, session_sha256: bytes) -> Session | None:
        """Return a session, expired or not."""
        ...

    async def close_session(self, session_sha256: bytes) -> None:
        """Forget a session."""
        ...

    async def record_denial(self, denial: Denial, *, forget_before: datetime | None = None) -> None:
        """Record a denial: one row for all that are alike in the same minute.

        Some of those from before a time are forgotten with it.
        """
        ...

    async def denials(self, *, limit: int, before: int | None = None) -> list[tuple[int, Denial]]:
        """Return the newest denials with their row's number, newest first."""
        ...

    async def take_key(
        self,
        bearer: str,
        key: str,
        fingerprint: bytes,
        *,
        retry_seconds: float,
        keep_seconds: float,
    ) -> KeyInUse | None:
        """Take an idempotency key for a request; None if it is ours now.

        One that was taken ``retry_seconds`` ago and never answered belongs to a request that died,
        and is given again to the same request. Keys older than ``keep_seconds`` are forgotten.
        """
        ...

    async def answer_key(self, bearer: str, key: str, answer: GivenAnswer) -> None:
        """Keep the answer that the request under a key was given."""
        ...

    async def drop_key(self, bearer: str, key: str) -> None:
        """Forget a key whose request came to nothing, so that it may be sent again."""
        ...
