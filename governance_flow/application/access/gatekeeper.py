"""Lets in whoever shows a token that is accepted, and records whom it turns away."""

from __future__ import annotations

import hmac
import re
import secrets
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import structlog

from governance_flow.application.access.bearers import Bearer, Token
from governance_flow.application.access.denials import AccessDenied, Denial, DenialReason
from governance_flow.application.access.permissions import Permission
from governance_flow.application.ports.access import KeptToken, Session
from governance_flow.application.services.input_fields import MAX_NAME_CHARACTERS, text_field
from governance_flow.domain.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from governance_flow.application.ports.access import AccessStore
    from governance_flow.application.ports.clock import Clock
    from governance_flow.domain.branches import GovernanceBranch

PREFIX = "gf"
ID_BYTES = 8
SECRET_BYTES = 32
TOKEN = re.compile(rf"{PREFIX}_([0-9a-f]{{{2 * ID_BYTES}}})_([0-9a-f]{{{2 * SECRET_BYTES}}})")
SESSION_LIFETIME = timedelta(hours=12)
REMEMBERED = timedelta(seconds=1)
"""How long a token that was found valid counts as valid: a revocation takes so long to be felt."""

REMEMBERED_MAX = 10_000
WRITTEN_EVERY = timedelta(seconds=5)
"""How long denials that come over and over are only counted."""

DENIALS_KEPT = timedelta(days=90)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session just opened; ``cookie`` is the only copy of what the browser must show."""

    cookie: str = field(repr=False)
    session: Session
    bearer: Bearer


class Gatekeeper:
    """Makes out tokens, and knows whoever shows one."""

    def __init__(
        self,
        store: AccessStore,
        clock: Clock,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._remembered: dict[str, tuple[KeptToken, datetime]] = {}
        self._counted: Counter[Denial] = Counter()
        self._written_at = clock.now()

    def now(self) -> datetime:
        """Return the store's time."""
        return self._clock.now()

    # -- Making out and taking back ------------------------------------------------------------

    async def make_out(
        self,
        name: str,
        permissions: Iterable[Permission],
        branches: Iterable[GovernanceBranch] = (),
        *,
        lifetime: timedelta | None = None,
    ) -> tuple[Token, str]:
        """Make out a token; return it, and the text that is shown this once and kept nowhere.

        Raises InvalidInput for a name that is none, a token without permission, one that may work
        for no branch, and one that would never be valid.
        """
        text_field("name", name, max_characters=MAX_NAME_CHARACTERS)
        allowed, worked_for = frozenset(permissions), frozenset(branches)
        if not allowed:
            raise InvalidInput("a token needs at least one permission", field="permissions")
        if (Permission.WORK in allowed) != bool(worked_for):
            msg = "the permission to work goes with the branches it is for: name at least one"
            raise InvalidInput(msg, field="branches")
        if lifetime is not None and lifetime <= timedelta():
            raise InvalidInput("a token must expire after it was made out", field="lifetime")
        now = self._clock.now()
        token = Token(
            token_id=self._random(ID_BYTES).hex(),
            name=name,
            permissions=allowed,
            branches=worked_for,
            created_at=now,
            expires_at=None if lifetime is None else now + lifetime,
        )
        secret = self._random(SECRET_BYTES).hex()
        await self._store.keep_token(KeptToken(token, _digest(secret)))
        return token, f"{PREFIX}_{token.token_id}_{secret}"

    async def tokens(self) -> list[Token]:
        """Return every token that was ever made out, the oldest first."""
        return await self._store.list_tokens()

    async def revoke(self, token_id: str) -> None:
        """Let a token be accepted no more; raises InvalidInput if there is none to revoke."""
        revoked = await self._store.revoke_token(token_id)
        self._remembered.pop(token_id, None)
        if not revoked:
            msg = f"there is no token {token_id!r:.60}, or it was revoked before"
            raise InvalidInput(msg, field="token_id")

    # -- Who asks ------------------------------------------------------------------------------

    async def bearer_of(self, text: str) -> Bearer:
        """Return whoever shows this token; raises AccessDenied."""
        shown = TOKEN.fullmatch(text)
        if shown is None:
            msg = "this is not a token of ours: send the text that token create printed, gf_..."
            raise AccessDenied(msg, DenialReason.MALFORMED)
        token_id, secret = shown.groups()
        kept = await self._find(token_id)
        if kept is None or not hmac.compare_digest(kept.secret_sha256, _digest(secret)):
            msg = "no such token was made out for this store; ask its operator for one"
            raise AccessDenied(msg, DenialReason.UNKNOWN)
        return Bearer.of(self._valid(kept.token))

    async def open_session(self, text: str) -> OpenedSession:
        """Open a browser's session for whoever shows this token; raises AccessDenied."""
        bearer = await self.bearer_of(text)
        kept = await self._find(bearer.token_id)
        ends = self._clock.now() + SESSION_LIFETIME
        if kept is not None and kept.token.expires_at is not None:
            ends = min(ends, kept.token.expires_at)
        cookie, csrf = self._random(SECRET_BYTES).hex(), self._random(SECRET_BYTES).hex()
        session = Session(_digest(cookie), bearer.token_id, csrf, ends)
        await self._store.open_session(session)
        return OpenedSession(cookie, session, bearer)

    async def bearer_of_session(self, cookie: str) -> tuple[Bearer, Session]:
        """Return whose session this is, and the session; raises AccessDenied."""
        session = await self._store.find_session(_digest(cookie))
        if session is None or session.expires_at <= self._clock.now():
            raise AccessDenied("the session has ended: sign in again", DenialReason.EXPIRED)
        kept = await self._find(session.token_id)
        if kept is None:
            raise AccessDenied("the session's token is gone: sign in anew", DenialReason.UNKNOWN)
        return Bearer.of(self._valid(kept.token)), session

    async def accepts(self, bearer: Bearer) -> bool:
        """Return whether somebody who was let in would be let in again."""
        kept = await self._find(bearer.token_id)
        return kept is not None and kept.token.is_valid(self._clock.now())

    async def close_session(self, cookie: str) -> None:
        """Let a session be accepted no more."""
        await self._store.close_session(_digest(cookie))

    async def _find(self, token_id: str) -> KeptToken | None:
        now = self._clock.now()
        remembered = self._remembered.get(token_id)
        if remembered is not None and timedelta() <= now - remembered[1] < REMEMBERED:
            return remembered[0]
        kept = await self._store.find_token(token_id)
        if kept is not None:
            if len(self._remembered) >= REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[token_id] = (kept, now)
        return kept

    def _valid(self, token: Token) -> Token:
        if token.revoked_at is not None:
            msg = f"token {token.token_id} was revoked; ask the operator for another"
            raise AccessDenied(msg, DenialReason.REVOKED, token_id=token.token_id, name=token.name)
        if not token.is_valid(self._clock.now()):
            msg = f"token {token.token_id} has expired; ask the operator for another"
            raise AccessDenied(msg, DenialReason.EXPIRED, token_id=token.token_id, name=token.name)
        return token

    # -- Who was turned away -------------------------------------------------------------------

    async def record(
        self, denied: AccessDenied, *, client: str, operation: str, quietly: bool = False
    ) -> None:
        """Record a denial in the log and in the store; no secret comes near it.

        ``quietly``, for somebody who is denied over and over, it is only counted at first; what was
        counted is written together, every few seconds.
        """
        now = self._clock.now()
        minute = now.replace(second=0, microsecond=0)
        alike = Denial(minute, denied.reason, denied.token_id, denied.name, client, operation)
        if quietly and (alike in self._counted or len(self._counted) < REMEMBERED_MAX):
            self._counted[alike] += 1
            if now - self._written_at >= WRITTEN_EVERY:
                await self._write_counted(now)
            return
        log.warning(
            "access denied",
            reason=denied.reason.value,
            token_id=denied.token_id,
            name=denied.name,
            client=client,
            operation=operation,
        )
        await self._store.record_denial(alike, forget_before=now - DENIALS_KEPT)

    async def _write_counted(self, now: datetime) -> None:
        counted, self._counted = self._counted, Counter()
        self._written_at = now
        log.warning("access denied over and over", times=counted.total())
        for alike, count in counted.items():
            await self._store.record_denial(
                replace(alike, count=count), forget_before=now - DENIALS_KEPT
            )

    async def denials(self, *, limit: int, before: int | None = None) -> list[tuple[int, Denial]]:
        """Return the newest denials with their row's number, newest first."""
        if self._counted:
            await self._write_counted(self._clock.now())
        return await self._store.denials(limit=limit, before=before)


def _digest(secret: str) -> bytes:
    # The secrets are 256 random bits: there is nothing to guess, so nothing to slow down.
    return sha256(secret.encode(errors="surrogateescape")).digest()
