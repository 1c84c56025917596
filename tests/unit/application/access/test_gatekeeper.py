"""The gatekeeper: whoever shows a token that is accepted comes in, and nobody else."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from governance_flow.application.access import gatekeeper as module
from governance_flow.application.access.bearers import Bearer, Token
from governance_flow.application.access.denials import AccessDenied, DenialReason
from governance_flow.application.access.gatekeeper import Gatekeeper
from governance_flow.application.access.permissions import Permission
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.errors import InvalidInput
from governance_flow.domain.events import Authentication
from governance_flow.infrastructure.access import SqlAccessStore
from governance_flow.infrastructure.database.opening import open_database
from tests.support.clock import ManualClock
from tests.support.workers import Failing, replaced

B = GovernanceBranch
R = DenialReason
READ = [Permission.READ]


class Gate:
    """A gatekeeper and what it keeps; ``elsewhere`` is that of another process."""

    def __init__(self, store: SqlAccessStore, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.keeper = Gatekeeper(store, clock)
        self.elsewhere = Gatekeeper(store, clock)

    async def refusal(self, text: str) -> AccessDenied:
        with pytest.raises(AccessDenied) as refused:
            await self.keeper.bearer_of(text)
        return refused.value


@pytest.fixture
async def gate(sqlite_address: str, clock: ManualClock) -> AsyncIterator[Gate]:
    database = open_database(sqlite_address, clock=clock)
    yield Gate(SqlAccessStore(database), clock)
    await database.close()


# -- Making out ------------------------------------------------------------------------------------


async def test_whoever_shows_a_token_is_known(gate: Gate) -> None:
    token, text = await gate.keeper.make_out("harbour works", [Permission.WORK], [B.DUKE])

    bearer = await gate.keeper.bearer_of(text)

    assert bearer == Bearer.of(token)
    assert bearer.actor.id == "harbour works"
    assert bearer.actor.authenticated_by is Authentication.TOKEN
    assert bearer.may_work_for(B.DUKE)
    assert not bearer.may_work_for(B.KING)
    assert not bearer.may(Permission.READ)


async def test_every_token_is_another(gate: Gate) -> None:
    texts = {(await gate.keeper.make_out("Ada", READ))[1] for _ in range(5)}

    assert len(texts) == 5


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "a" * 201}, "name"),
        ({"name": "a\x00"}, "name"),
        ({"permissions": []}, "permissions"),
        ({"permissions": [Permission.WORK]}, "branches"),
        ({"branches": [B.DUKE]}, "branches"),
        ({"lifetime": timedelta()}, "lifetime"),
        ({"lifetime": timedelta(hours=-1)}, "lifetime"),
    ],
    ids=["empty", "blank", "long", "nul", "nothing", "no-branch", "idle-branch", "now", "past"],
)
async def test_a_token_that_makes_no_sense_is_not_made_out(
    gate: Gate, wrong: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        await gate.keeper.make_out(**{"name": "Ada", "permissions": READ, **wrong})

    assert refused.value.field == field
    assert await gate.keeper.tokens() == []


# -- Turning away ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda text: text[:-1],
        lambda text: text + "0",
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text.replace("_", "-"),
        lambda text: text.replace("gf_", "gf__"),
        lambda text: text.replace("gf", "gx"),
        lambda text: text.rpartition("_")[0],
        lambda text: text[:3] + "é" + text[4:],
        lambda text: text[:3] + "\x00" + text[4:],
        lambda text: text[:3] + "\udc80" + text[4:],
        lambda text: "",
    ],
    ids=[
        "upper",
        "short",
        "long",
        "newline",
        "space",
        "dashes",
        "double",
        "prefix",
        "half",
        "accent",
        "nul",
        "surrogate",
        "empty",
    ],
)
async def test_what_is_no_token_does_not_reach_the_store(gate: Gate, change: Any) -> None:
    _, text = await gate.keeper.make_out("Ada", READ)
    store: Any = gate.store
    looking = Failing(store.find_token)
    with replaced(store, "find_token", looking):
        refused = await gate.refusal(change(text))

    assert refused.reason is R.MALFORMED
    assert looking.calls == 0


async def test_a_forged_secret_and_a_made_up_id_are_refused_alike(gate: Gate) -> None:
    _, text = await gate.keeper.make_out("Ada", READ)
    prefix, token_id, _ = text.split("_")

    forged = await gate.refusal(f"{prefix}_{token_id}_{'0' * 64}")
    made_up = await gate.refusal(f"{prefix}_{'0' * 16}_{'0' * 64}")

    assert forged.reason is made_up.reason is R.UNKNOWN
    assert forged.message == made_up.message, "it would tell which ids there are"
    assert forged.token_id == forged.name == ""


async def test_secrets_are_compared_in_constant_time(gate: Gate) -> None:
    _, text = await gate.keeper.make_out("Ada", READ)

    with patch("hmac.compare_digest", wraps=hmac.compare_digest) as compared:
        await gate.keeper.bearer_of(text)

    [((kept, shown), _)] = compared.call_args_list
    assert kept == shown
    assert len(kept) == 32


async def test_a_token_is_refused_from_the_moment_it_expires(gate: Gate) -> None:
    _, text = await gate.keeper.make_out("Ada", READ, lifetime=timedelta(hours=1))
    gate.clock.advance(3599)
    assert (await gate.keeper.bearer_of(text)).name == "Ada"

    gate.clock.advance(1)

    refused = await gate.refusal(text)
    assert (refused.reason, refused.name) == (R.EXPIRED, "Ada")


async def test_a_revoked_token_is_refused_at_once_here_and_within_a_second_elsewhere(
    gate: Gate,
) -> None:
    token, text = await gate.keeper.make_out("Ada", READ)
    await gate.keeper.bearer_of(text)
    await gate.elsewhere.bearer_of(text)

    await gate.keeper.revoke(token.token_id)

    assert (await gate.refusal(text)).reason is R.REVOKED
    gate.clock.advance(1)
    with pytest.raises(AccessDenied) as refused:
        await gate.elsewhere.bearer_of(text)
    assert refused.value.reason is R.REVOKED


async def test_a_clock_that_is_set_back_prolongs_no_token(gate: Gate) -> None:
    token, text = await gate.keeper.make_out("Ada", READ)
    await gate.elsewhere.bearer_of(text)
    await gate.keeper.revoke(token.token_id)

    gate.clock.set_back(3600)

    with pytest.raises(AccessDenied):
        await gate.elsewhere.bearer_of(text)


async def test_many_requests_within_a_second_cost_one_look(gate: Gate) -> None:
    _, text = await gate.keeper.make_out("Ada", READ)
    store: Any = gate.store
    looking = Failing(store.find_token)
    with replaced(store, "find_token", looking):
        for _ in range(10):
            await gate.keeper.bearer_of(text)

    assert looking.calls == 1


async def test_what_is_remembered_is_bounded(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_MAX", 3)

    for _ in range(10):
        _, text = await gate.keeper.make_out("Ada", READ)
        await gate.keeper.bearer_of(text)

    assert len(gate.keeper._remembered) <= 3


@pytest.mark.parametrize("again", [False, True], ids=["unknown", "revoked"])
async def test_what_cannot_be_revoked_is_said(gate: Gate, again: bool) -> None:
    token, _ = await gate.keeper.make_out("Ada", READ)
    token_id = token.token_id if again else "0" * 16
    if again:
        await gate.keeper.revoke(token_id)

    with pytest.raises(InvalidInput, match="no token"):
        await gate.keeper.revoke(token_id)


# -- Sessions --------------------------------------------------------------------------------------


async def test_a_session_is_its_tokens(gate: Gate) -> None:
    token, text = await gate.keeper.make_out("Ada", READ)

    opened = await gate.keeper.open_session(text)
    bearer, session = await gate.elsewhere.bearer_of_session(opened.cookie)

    assert bearer == opened.bearer == Bearer.of(token)
    assert session.csrf == opened.session.csrf
    assert len({opened.cookie, session.csrf, text}) == 3


async def test_no_session_is_opened_for_a_token_that_is_refused(gate: Gate) -> None:
    with pytest.raises(AccessDenied):
        await gate.keeper.open_session(f"gf_{'0' * 16}_{'0' * 64}")


@pytest.mark.parametrize(
    ("lifetime", "hours"), [(None, 12), (timedelta(hours=1), 1), (timedelta(hours=24), 12)], ids=str
)
async def test_a_session_ends_by_itself_and_not_after_its_token(
    gate: Gate, lifetime: Any, hours: float
) -> None:
    _, text = await gate.keeper.make_out("Ada", READ, lifetime=lifetime)
    opened = await gate.keeper.open_session(text)
    gate.clock.advance(hours * 3600 - 1)
    assert await gate.keeper.bearer_of_session(opened.cookie)

    gate.clock.advance(1)

    with pytest.raises(AccessDenied) as refused:
        await gate.keeper.bearer_of_session(opened.cookie)
    assert refused.value.reason is R.EXPIRED


async def test_a_session_ends_with_its_token(gate: Gate) -> None:
    token, text = await gate.keeper.make_out("Ada", READ)
    opened = await gate.elsewhere.open_session(text)
    assert await gate.elsewhere.bearer_of_session(opened.cookie)

    await gate.keeper.revoke(token.token_id)

    # At once, in every process: sessions are not remembered.
    with pytest.raises(AccessDenied):
        await gate.elsewhere.bearer_of_session(opened.cookie)


async def test_a_session_that_was_closed_is_over(gate: Gate) -> None:
    _, text = await gate.keeper.make_out("Ada", READ)
    one, other = [await gate.keeper.open_session(text) for _ in range(2)]

    await gate.keeper.close_session(one.cookie)

    with pytest.raises(AccessDenied):
        await gate.keeper.bearer_of_session(one.cookie)
    assert await gate.keeper.bearer_of_session(other.cookie)


@pytest.mark.parametrize("cookie", ["", "x", "\x00", "\udc80", "é" * 10_000])
async def test_a_made_up_session_is_refused(gate: Gate, cookie: str) -> None:
    with pytest.raises(AccessDenied):
        await gate.keeper.bearer_of_session(cookie)


# -- Secrets ---------------------------------------------------------------------------------------


async def test_no_secret_is_stored_shown_or_logged(gate: Gate, tmp_path: Path) -> None:
    with capture_logs() as lines:
        token, text = await gate.keeper.make_out("Ada", READ)
        opened = await gate.keeper.open_session(text)
        kept = await gate.store.find_token(token.token_id)
        refused = await gate.refusal(text[:-1] + ("0" if text[-1] != "0" else "1"))
        await gate.keeper.record(refused, client="10.0.0.7", operation="get_motion")
    shown = " ".join(
        map(repr, [token, opened, opened.session, opened.bearer, kept, refused, refused.details])
    )
    _, _, secret = text.split("_")

    stored = everything_in(tmp_path)
    assert token.token_id.encode() in stored, "the right bytes were looked at"
    for hidden in (secret, opened.cookie):
        assert hidden not in shown
        assert hidden not in str(lines)
        assert hidden[:16].encode() not in stored
        assert bytes.fromhex(hidden) not in stored
    assert opened.session.csrf not in shown + str(lines)
    assert [line["event"] for line in lines] == ["access denied"]


def everything_in(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_tokens_are_listed_without_their_secrets(gate: Gate) -> None:
    token, text = await gate.keeper.make_out("Ada", READ)

    [listed] = await gate.keeper.tokens()

    assert listed == token
    assert isinstance(listed, Token)
    assert text.split("_")[2] not in repr(listed)


# -- Denials ---------------------------------------------------------------------------------------


async def test_a_denial_is_recorded_by_the_minute(gate: Gate) -> None:
    refused = AccessDenied("no", R.EXPIRED, token_id="01", name="Ada")
    for seconds in (0, 59, 1):
        gate.clock.advance(seconds)
        await gate.keeper.record(refused, client="10.0.0.7", operation="get_motion")

    found = [
        (denial.minute.minute, denial.count) for _, denial in await gate.keeper.denials(limit=9)
    ]
    assert found == [(1, 1), (0, 2)]
