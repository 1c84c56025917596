"""What the store keeps about access: tokens, sessions, denials, answers given."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from governance_flow.application.access.bearers import Token
from governance_flow.application.access.denials import Denial, DenialReason
from governance_flow.application.access.permissions import Permission
from governance_flow.application.ports.access import GivenAnswer, KeptToken, KeyInUse, Session
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.infrastructure.access import SqlAccessStore
from governance_flow.infrastructure.database.base import AnyDatabase
from tests.support.clock import START, ManualClock

B = GovernanceBranch
HOUR = timedelta(hours=1)
MINUTE = START.replace(second=0)
FIRST = "01"
DIGEST = bytes(range(32))
ANSWER = GivenAnswer(201, "application/json", {"ETag": '"1"'}, b'{"new": true}')
RETRY_SECONDS, KEEP_SECONDS = 90.0, 86400.0


@pytest.fixture
def access(database: AnyDatabase) -> SqlAccessStore:
    return SqlAccessStore(database)


def a_token(token_id: str = FIRST, **more: object) -> Token:
    token = Token(
        token_id=token_id,
        name="Žofie, vévodkyně",
        permissions=frozenset({Permission.READ, Permission.WORK}),
        branches=frozenset({B.DUKE, B.KNIGHT}),
        created_at=START,
        expires_at=START + HOUR,
    )
    return replace(token, **more)  # type: ignore[arg-type]


def a_session(number: int, token_id: str = FIRST, expires_at: datetime = START + HOUR) -> Session:
    return Session(number.to_bytes(32), token_id, f"csrf {number}", expires_at)


def a_denial(**more: object) -> Denial:
    denial = Denial(MINUTE, DenialReason.UNKNOWN, "", "", "10.0.0.7", "get_motion")
    return replace(denial, **more)  # type: ignore[arg-type]


# -- Tokens ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "token",
    [
        a_token(),
        a_token(expires_at=None),
        a_token(permissions=frozenset({Permission.METRICS}), branches=frozenset()),
        a_token(created_at=datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)),
    ],
    ids=["whole", "for-ever", "no-branches", "microseconds"],
)
async def test_a_token_is_found_as_it_was_kept(access: SqlAccessStore, token: Token) -> None:
    await access.keep_token(KeptToken(token, DIGEST))

    assert await access.find_token("01") == KeptToken(token, DIGEST)


async def test_a_token_that_was_never_made_out_is_not_found(access: SqlAccessStore) -> None:
    assert await access.find_token("01") is None


async def test_tokens_are_listed_the_oldest_first(access: SqlAccessStore) -> None:
    for token_id, age in (("03", 1), ("01", 2), ("02", 2)):
        token = a_token(token_id, created_at=START - timedelta(hours=age))
        await access.keep_token(KeptToken(token, DIGEST))

    assert [token.token_id for token in await access.list_tokens()] == ["01", "02", "03"]


async def test_a_token_is_revoked_once_by_the_stores_clock(
    access: SqlAccessStore, clock: ManualClock
) -> None:
    await access.keep_token(KeptToken(a_token(), DIGEST))
    await access.keep_token(KeptToken(a_token("02"), DIGEST))
    revoked_at = clock.advance(60)

    assert await access.revoke_token("01")
    clock.advance(60)
    assert not await access.revoke_token("01")

    kept, other = await access.find_token("01"), await access.find_token("02")
    assert kept is not None
    assert kept.token.revoked_at == revoked_at, "revoked anew"
    assert other is not None
    assert other.token.revoked_at is None


async def test_a_token_that_is_not_there_is_not_revoked(access: SqlAccessStore) -> None:
    assert not await access.revoke_token("01")


# -- Sessions --------------------------------------------------------------------------------------


async def test_a_session_is_found_until_it_is_closed(access: SqlAccessStore) -> None:
    one, other = a_session(1), a_session(2)
    await access.open_session(one)
    await access.open_session(other)
    assert await access.find_session(one.session_sha256) == one

    await access.close_session(one.session_sha256)

    assert await access.find_session(one.session_sha256) is None
    assert await access.find_session(other.session_sha256) == other


async def test_closing_a_session_twice_changes_nothing(access: SqlAccessStore) -> None:
    await access.close_session(bytes(32))
    await access.close_session(bytes(32))


async def test_sessions_end_with_their_token(access: SqlAccessStore) -> None:
    for token_id in ("01", "02"):
        await access.keep_token(KeptToken(a_token(token_id), DIGEST))
    mine, others = a_session(1, "01"), a_session(2, "02")
    await access.open_session(mine)
    await access.open_session(others)

    await access.revoke_token("01")

    assert await access.find_session(mine.session_sha256) is None
    assert await access.find_session(others.session_sha256) == others


async def test_sessions_that_expired_are_forgotten_when_another_begins(
    access: SqlAccessStore, clock: ManualClock
) -> None:
    old, longer = a_session(1), a_session(2, expires_at=START + 2 * HOUR)
    await access.open_session(old)
    await access.open_session(longer)
    clock.advance(hours=1)
    assert await access.find_session(old.session_sha256) == old, "expired, but there"

    await access.open_session(a_session(3, expires_at=START + 3 * HOUR))

    assert await access.find_session(old.session_sha256) is None
    assert await access.find_session(longer.session_sha256) == longer


# -- Denials ---------------------------------------------------------------------------------------


async def test_denials_that_are_alike_are_one_row(access: SqlAccessStore) -> None:
    for _ in range(3):
        await access.record_denial(a_denial())
    await access.record_denial(a_denial(count=4))

    [(_, denial)] = await access.denials(limit=10)
    assert denial == a_denial(count=7)


@pytest.mark.parametrize(
    "other",
    [
        a_denial(minute=MINUTE + timedelta(minutes=1)),
        a_denial(reason=DenialReason.EXPIRED),
        a_denial(token_id="01", name="Ada"),
        a_denial(client="10.0.0.8"),
        a_denial(operation="halt_pipeline"),
    ],
    ids=["minute", "reason", "token", "client", "operation"],
)
async def test_denials_that_differ_are_two(access: SqlAccessStore, other: Denial) -> None:
    await access.record_denial(a_denial())
    await access.record_denial(other)

    assert [denial for _, denial in await access.denials(limit=10)] == [other, a_denial()]


async def test_denials_recorded_at_once_are_all_counted(access: SqlAccessStore) -> None:
    await asyncio.gather(*(access.record_denial(a_denial()) for _ in range(20)))

    [(_, denial)] = await access.denials(limit=10)
    assert denial.count == 20


async def test_denials_come_in_pages_the_newest_first(access: SqlAccessStore) -> None:
    for number in range(5):
        await access.record_denial(a_denial(operation=str(number)))

    first = await access.denials(limit=2)
    second = await access.denials(limit=2, before=first[-1][0])
    third = await access.denials(limit=2, before=second[-1][0])

    assert [d.operation for _, d in [*first, *second, *third]] == ["4", "3", "2", "1", "0"]


# -- Answers given ---------------------------------------------------------------------------------


async def taken(
    access: SqlAccessStore, key: str = "k", *, bearer: str = "01", fingerprint: bytes = b"f"
) -> KeyInUse | None:
    return await access.take_key(
        bearer, key, fingerprint, retry_seconds=RETRY_SECONDS, keep_seconds=KEEP_SECONDS
    )


async def test_a_key_is_taken_once(access: SqlAccessStore) -> None:
    assert await taken(access) is None
    assert await taken(access) == KeyInUse(b"f", None)


async def test_of_many_who_take_a_key_at_once_one_has_it(access: SqlAccessStore) -> None:
    found = await asyncio.gather(*(taken(access) for _ in range(8)))

    assert found.count(None) == 1
    assert found.count(KeyInUse(b"f", None)) == 7


async def test_a_key_is_its_bearers_own(access: SqlAccessStore) -> None:
    assert await taken(access, bearer="01") is None
    assert await taken(access, bearer="02") is None


async def test_an_answer_is_given_again(access: SqlAccessStore) -> None:
    await taken(access)
    await access.answer_key("01", "k", ANSWER)

    assert await taken(access) == KeyInUse(b"f", ANSWER)
    assert await taken(access, fingerprint=b"other") == KeyInUse(b"f", ANSWER)


async def test_an_answer_without_content_is_kept(access: SqlAccessStore) -> None:
    empty = GivenAnswer(204, "", {}, b"")
    await taken(access)
    await access.answer_key("01", "k", empty)

    assert await taken(access) == KeyInUse(b"f", empty)


async def test_a_key_that_was_dropped_can_be_taken_again(access: SqlAccessStore) -> None:
    await taken(access)
    await taken(access, "other")
    await access.drop_key("01", "k")

    assert await taken(access, fingerprint=b"other") is None
    assert await taken(access, "other") is not None


async def test_a_request_that_died_gives_its_key_to_the_same_request_only(
    access: SqlAccessStore, clock: ManualClock
) -> None:
    await taken(access)
    clock.advance(RETRY_SECONDS - 1)
    assert await taken(access) is not None, "it may be alive"
    clock.advance(1)

    assert await taken(access, fingerprint=b"other") == KeyInUse(b"f", None)
    assert await taken(access) is None
    assert await taken(access) is not None, "taken anew, it is in use anew"


async def test_a_key_that_was_answered_never_died(
    access: SqlAccessStore, clock: ManualClock
) -> None:
    await taken(access)
    await access.answer_key("01", "k", ANSWER)
    clock.advance(RETRY_SECONDS * 2)

    assert await taken(access) == KeyInUse(b"f", ANSWER)


async def test_keys_are_forgotten_when_their_time_is_up(
    access: SqlAccessStore, clock: ManualClock
) -> None:
    await taken(access)
    await access.answer_key("01", "k", ANSWER)
    clock.advance(KEEP_SECONDS - 1)
    await taken(access, "later")
    assert await taken(access) == KeyInUse(b"f", ANSWER)
    clock.advance(1)

    assert await taken(access, fingerprint=b"other") is None
    assert await taken(access, "later") is not None
