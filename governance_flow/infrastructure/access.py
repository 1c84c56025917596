"""The port AccessStore on an SQL database."""

from __future__ import annotations

import json
from datetime import datetime

from governance_flow.application.access.bearers import Token
from governance_flow.application.access.denials import Denial, DenialReason
from governance_flow.application.access.permissions import Permission
from governance_flow.application.ports.access import GivenAnswer, KeptToken, KeyInUse, Session
from governance_flow.application.ports.database import Row
from governance_flow.application.queries import load_queries
from governance_flow.application.times import from_us, seconds_to_us, to_us
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.infrastructure.database.base import AnyDatabase, StoreTransaction

NEWEST = 2**63 - 1


class SqlAccessStore:
    """Tokens, sessions, denials and given answers, beside the events of the same store."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database
        self._sql = load_queries(
            "governance_flow.infrastructure", "sql/access.sql", database.dialect
        )

    # -- Tokens --------------------------------------------------------------------------------

    async def keep_token(self, kept: KeptToken) -> None:
        """Keep a new token."""
        token = kept.token
        params = {
            "token_id": token.token_id,
            "secret_sha256": kept.secret_sha256,
            "name": token.name,
            "permissions": json.dumps(sorted(token.permissions)),
            "branches": json.dumps(sorted(token.branches)),
            "created_at_us": to_us(token.created_at),
            "expires_at_us": None if token.expires_at is None else to_us(token.expires_at),
        }
        await self._database.write(lambda tx: tx.execute(self._sql.keep_token, params))

    async def find_token(self, token_id: str) -> KeptToken | None:
        """Return a token, valid or not."""
        params = {"token_id": token_id}
        rows = await self._database.read_row(lambda tx: tx.execute(self._sql.find_token, params))
        return KeptToken(_token(rows[0]), bytes(rows[0][1])) if rows else None

    async def list_tokens(self) -> list[Token]:
        """Return every token that was ever made out, the oldest first."""
        rows = await self._database.read_once(lambda tx: tx.execute(self._sql.list_tokens))
        return [_token(row) for row in rows]

    async def revoke_token(self, token_id: str) -> bool:
        """Let a token be accepted no more, nor its sessions; False if there is none, or it is."""
        params = {"token_id": token_id}

        def work(tx: StoreTransaction) -> bool:
            revoked = tx.execute(self._sql.revoke_token, params | {"now_us": tx.now_us()})
            tx.execute(self._sql.end_sessions, params)
            return bool(revoked)

        return await self._database.write(work)

    # -- Sessions ------------------------------------------------------------------------------

    async def open_session(self, session: Session) -> None:
        """Keep a session, and forget those that have expired."""
        params = {
            "session_sha256": session.session_sha256,
            "token_id": session.token_id,
            "csrf": session.csrf,
            "expires_at_us": to_us(session.expires_at),
        }

        def work(tx: StoreTransaction) -> None:
            tx.execute(self._sql.forget_sessions, {"now_us": tx.now_us()})
            tx.execute(self._sql.open_session, params)

        await self._database.write(work)

    async def find_session(self, session_sha256: bytes) -> Session | None:
        """Return a session, expired or not."""
        params = {"session_sha256": session_sha256}
        rows = await self._database.read_row(lambda tx: tx.execute(self._sql.find_session, params))
        return _session(rows[0]) if rows else None

    async def close_session(self, session_sha256: bytes) -> None:
        """Forget a session."""
        params = {"session_sha256": session_sha256}
        await self._database.write(lambda tx: tx.execute(self._sql.close_session, params))

    # -- Denials -------------------------------------------------------------------------------

    async def record_denial(self, denial: Denial, *, forget_before: datetime | None = None) -> None:
        """Record a denial: one row for all that are alike in the same minute."""
        params = {
            "minute_us": to_us(denial.minute),
            "reason": denial.reason.value,
            "token_id": denial.token_id,
            "name": denial.name,
            "client": denial.client,
            "operation": denial.operation,
            "count": denial.count,
        }

        def work(tx: StoreTransaction) -> None:
            if forget_before is not None:
                tx.execute(self._sql.forget_denials, {"before_us": to_us(forget_before)})
            tx.execute(self._sql.record_denial, params)

        await self._database.write(work)

    async def denials(self, *, limit: int, before: int | None = None) -> list[tuple[int, Denial]]:
        """Return the newest denials with their row's number, newest first."""
        params = {"limit": limit, "before": NEWEST if before is None else before}
        rows = await self._database.read_once(lambda tx: tx.execute(self._sql.denials, params))
        return [
            (number, Denial(from_us(minute_us), DenialReason(reason), *rest))
            for number, minute_us, reason, *rest in rows
        ]

    # -- Answers given -------------------------------------------------------------------------

    async def take_key(
        self,
        bearer: str,
        key: str,
        fingerprint: bytes,
        *,
        retry_seconds: float,
        keep_seconds: float,
    ) -> KeyInUse | None:
        """Take an idempotency key for a request; None if it is ours now."""
        params = {"bearer": bearer, "key": key, "fingerprint": fingerprint}

        def work(tx: StoreTransaction) -> KeyInUse | None:
            now_us = tx.now_us()
            tx.execute(
                self._sql.forget_keys, {"forgotten_us": now_us - seconds_to_us(keep_seconds)}
            )
            died_us = now_us - seconds_to_us(retry_seconds)
            taken = tx.execute(self._sql.take_key, params | {"now_us": now_us, "died_us": died_us})
            if taken:
                return None
            [row] = tx.execute(self._sql.find_key, {"bearer": bearer, "key": key})
            return _key(row)

        return await self._database.write(work)

    async def answer_key(self, bearer: str, key: str, answer: GivenAnswer) -> None:
        """Keep the answer that the request under a key was given."""
        params = {
            "bearer": bearer,
            "key": key,
            "status": answer.status,
            "media_type": answer.media_type,
            "headers": json.dumps(answer.headers),
            "body": answer.body,
        }
        await self._database.write(lambda tx: tx.execute(self._sql.answer_key, params))

    async def drop_key(self, bearer: str, key: str) -> None:
        """Forget a key whose request came to nothing, so that it may be sent again."""
        params = {"bearer": bearer, "key": key}
        await self._database.write(lambda tx: tx.execute(self._sql.drop_key, params))


def _token(row: Row) -> Token:
    token_id, _, name, permissions, branches, created_us, expires_us, revoked_us = row
    return Token(
        token_id=token_id,
        name=name,
        permissions=frozenset(map(Permission, json.loads(permissions))),
        branches=frozenset(map(GovernanceBranch, json.loads(branches))),
        created_at=from_us(created_us),
        expires_at=None if expires_us is None else from_us(expires_us),
        revoked_at=None if revoked_us is None else from_us(revoked_us),
    )


def _key(row: Row) -> KeyInUse:
    fingerprint, status, media_type, headers, body = row
    if status is None:
        return KeyInUse(bytes(fingerprint), None)
    answer = GivenAnswer(status, media_type, json.loads(headers), bytes(body))
    return KeyInUse(bytes(fingerprint), answer)


def _session(row: Row) -> Session:
    session_sha256, token_id, csrf, expires_at_us = row
    return Session(bytes(session_sha256), token_id, csrf, from_us(expires_at_us))
