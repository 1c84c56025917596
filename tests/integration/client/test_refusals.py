"""What the service refuses is raised as what it is, in the service's own words."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from governance_flow.application.access.permissions import Role
from governance_flow.client import (
    Answer,
    Client,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotHeld,
    Retries,
    TooManyDenials,
    Unauthenticated,
    UnexpectedAnswer,
    VersionMoved,
    Violation,
)
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.states import GovernanceState as S
from tests.support.http_server import running_server
from tests.support.lossy import LossyNetwork


async def test_a_token_that_nobody_made_out_is_not_let_in(scene: Any) -> None:
    async with scene() as it, it.client(token=f"gf_{'0' * 16}_{'0' * 64}") as stranger:
        with pytest.raises(Unauthenticated, match="ask its operator for one") as told:
            await stranger.status()
        assert (told.value.status, told.value.type) == (401, "unauthenticated")
        assert told.value.members == {"reason": "unknown"}
        assert told.value.correlation_id == it.network.requests[0].headers["X-Correlation-ID"]
        assert it.sleeps.seconds == []


async def test_who_may_only_look_is_told_what_it_would_take(scene: Any) -> None:
    async with scene() as it, it.client("vi", Role.VIEWER) as vi:
        with pytest.raises(Forbidden, match="vi may not use introduce_motion: that takes") as told:
            await vi.introduce("Plant trees", "Forty.")
        assert not isinstance(told.value, Violation)
        assert it.sleeps.seconds == []


async def test_another_branch_than_the_tokens_is_refused(scene: Any) -> None:
    async with scene() as it, it.client() as client:
        with pytest.raises(Forbidden, match="may work for duke, and not for king"):
            await client.fetch([GovernanceBranch.KING])


async def test_a_skipped_step_is_a_violation(scene: Any) -> None:
    async with scene() as it, it.client() as client:
        motion_id = await it.service.played.reach(S.EXECUTING)
        (assignment,) = await client.fetch()
        with pytest.raises(Violation, match="refused, and witnessed") as told:
            await client.complete(assignment, {}, next_state=S.ACKNOWLEDGED)
        assert told.value.members["motion_id"] == str(motion_id)
        assert "VIOLATION" in " ".join([event.topic async for event in _events(it, motion_id)])


async def _events(it: Any, motion_id: Any) -> Any:
    async with it.client("vi", Role.VIEWER) as vi:
        async for event in vi.events(motion_id):
            yield event


async def test_what_is_not_there_is_not_found(scene: Any) -> None:
    async with scene() as it, it.client("vi", Role.VIEWER) as vi:
        motion_id = uuid4()
        with pytest.raises(NotFound, match=str(motion_id)):
            await vi.get_motion(motion_id)


async def test_an_assignment_that_somebody_else_holds_now_is_not_ones_own(scene: Any) -> None:
    async with scene() as it, it.client() as slow, it.client("others", Role.BRANCH) as others:
        await it.service.played.reach(S.EXECUTING)
        (assignment,) = await slow.fetch(lease_seconds=10)
        it.service.played.clock.advance(11)
        (taken,) = await others.fetch()
        assert taken.routing_id == assignment.routing_id
        for act in (slow.extend, slow.release, slow.complete):
            with pytest.raises(NotHeld) as told:
                await act(assignment)
            assert told.value.type == "completion-refused"
        assert (await others.complete(taken, {})).accepted


async def test_a_decision_about_an_older_version_is_not_taken(scene: Any) -> None:
    async with scene() as it, it.client("zoe", Role.OPERATOR) as zoe:
        played = it.service.played
        motion_id = await played.reach(S.EXECUTING)
        await played.fails(motion_id, "system_error")
        seen = (await zoe.get_motion(motion_id)).status.version
        with pytest.raises(VersionMoved, match="version") as told:
            await zoe.resolve(motion_id, Resolution.RETRY, if_version=seen - 1)
        assert told.value.status == 412
        decided = await zoe.resolve(motion_id, Resolution.RETRY, "mended", if_version=seen)
        assert decided.version > seen
        with pytest.raises(VersionMoved):
            await zoe.retry(motion_id, if_version=seen)


async def test_what_cannot_be_as_things_stand_is_a_conflict(scene: Any) -> None:
    async with scene() as it, it.client("ada", Role.MEMBER) as ada:
        taken = (await ada.introduce("Plant trees", "Forty.")).motion_id
        with pytest.raises(Conflict) as told:
            await ada.introduce("Plant more trees", "Sixty.", motion_id=taken)
        assert told.value.type == "id-taken"


async def test_malformed_fields_are_named(scene: Any) -> None:
    async with scene() as it, it.client("ada", Role.MEMBER) as ada:
        with pytest.raises(InvalidRequest, match=r"body\.title: ") as told:
            await ada.introduce("", "Forty.", ballots={"bo": "perhaps"})
        assert {fault.field for fault in told.value.fields} == {"body.title", "body.ballots.bo"}
        assert all(fault.detail for fault in told.value.fields)


async def test_a_key_that_came_with_another_request_is_refused(scene: Any) -> None:
    async with scene() as it, it.client("ada", Role.MEMBER) as ada:
        await ada.introduce("Plant trees", "Forty.", key="k")
        with pytest.raises(InvalidRequest, match="use a new one"):
            await ada.introduce("Plant trees", "Sixty.", key="k")


async def test_whoever_is_denied_too_often_is_told_when_to_come_back(scene: Any) -> None:
    async with scene() as it, it.client("vi", Role.VIEWER) as vi:
        for _ in range(it.service.service.options.denials_per_minute):
            with pytest.raises(Forbidden):
                await vi.halt("a storm")
        with pytest.raises(TooManyDenials, match="were denied in this minute") as told:
            await vi.halt("a storm")
        assert told.value.retry_after_seconds == 60
        assert it.sleeps.seconds == []


async def test_something_else_at_the_address_is_not_taken_for_the_service() -> None:
    with running_server() as server:
        server.status, server.body = 404, b"<h1>welcome</h1>"
        async with Client(server.address, "gf_1_2", transport=LossyNetwork()) as client:
            with pytest.raises(UnexpectedAnswer, match=r"is the address right.*welcome"):
                await client.status()
        server.status, server.body = 200, b'{"hello": "world"}'
        async with Client(server.address, "gf_1_2", transport=LossyNetwork()) as client:
            with pytest.raises(UnexpectedAnswer, match="is no PipelineStatus"):
                await client.status()


async def test_a_token_is_not_carried_elsewhere() -> None:
    with running_server() as here, running_server() as elsewhere:
        here.status, here.headers = 307, {"Location": elsewhere.address}
        async with Client(here.address, "gf_1_2", transport=LossyNetwork()) as client:
            with pytest.raises(UnexpectedAnswer, match="307"):
                await client.halt("a storm")
        assert elsewhere.requests == []


@pytest.mark.parametrize("address", ["flow.example.org", "ftp://flow.example.org", ""])
def test_an_address_that_is_none_is_refused_at_once(address: str) -> None:
    with pytest.raises(ValueError, match="say https://"):
        Client(address, "gf_1_2")


def test_retries_that_make_no_sense_are_refused() -> None:
    for wrong in ({"attempts": 0}, {"first_seconds": 0.0}, {"first_seconds": 99.0}):
        with pytest.raises(ValueError, match="once at least"):
            Retries(**wrong)


async def test_numbers_that_json_has_not_are_refused_before_they_are_sent(scene: Any) -> None:
    async with scene() as it, it.client() as client:
        await it.service.played.reach(S.EXECUTING)
        (assignment,) = await client.fetch()
        with pytest.raises(ValueError, match="Out of range float"):
            await client.complete(assignment, Answer({"x": float("nan")}).output)
