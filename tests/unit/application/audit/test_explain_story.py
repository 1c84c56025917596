"""A motion's story: what happened in order, what befell the pipeline, and what comes next."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from governance_flow.application.audit.explain.story import Kind, Story, StoryTeller
from governance_flow.application.audit.replay import Replayer
from governance_flow.application.ports.audit import StoredRow
from governance_flow.application.ports.flow_orchestrator import ActionKind
from governance_flow.application.times import to_us
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.errors import CorruptStream, UnknownMotion
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.events import (
    PIPELINE_ID,
    SYSTEM,
    AlertDelivered,
    ConfigurationAdopted,
    Event,
    PipelineHalted,
    PipelineResumed,
)
from governance_flow.domain.states import GovernanceState
from tests.support.audit import MAPPER, MemoryLog, doctored, log_of
from tests.support.clock import ManualClock
from tests.support.motions import INTRODUCER, MOTION_ID, NOON, Scenario, person, service

S = GovernanceState
E: dict[str, Any] = {
    "event_id": UUID(int=99),
    "correlation_id": UUID(int=99),
    "timestamp": NOON,
    "actor": person("the chair"),
}
HALTED = PipelineHalted(**E, reason="a storm")
RESUMED = PipelineResumed(**E, reason="it is over")
ADOPTED = ConfigurationAdopted(**{**E, "actor": SYSTEM}, digest="d" * 64, configuration={})
LATER = NOON + timedelta(hours=1)


def alert(motion_id: UUID | None) -> AlertDelivered:
    return AlertDelivered(
        **{**E, "actor": SYSTEM}, alert_id="a", sink="post", attempts=1, motion_id=motion_id
    )


def timed(flow: Scenario, before: tuple[Event, ...] = (), after: tuple[Event, ...] = ()) -> Any:
    """Return the log of a motion, each event committed when it says, and the pipeline's around."""
    mine = [MAPPER.to_stored(MOTION_ID, n, event) for n, event in enumerate(flow.events, 1)]
    times = [NOON] * len(before) + [e.timestamp for e in flow.events] + [flow.now] * len(after)
    ours = [MAPPER.to_stored(PIPELINE_ID, n, e) for n, e in enumerate([*before, *after], 1)]
    stored = [*ours[: len(before)], *mine, *ours[len(before) :]]
    rows = [
        StoredRow(
            n, str(item.originator_id), item.originator_version, item.topic, item.state, to_us(at)
        )
        for n, (item, at) in enumerate(zip(stored, times, strict=True), 1)
    ]
    return MemoryLog(rows, None)


async def story_of(log: MemoryLog, *, now: datetime = LATER, position: int | None = None) -> Story:
    moment = await Replayer(log, MAPPER, ManualClock(now), places=10).moment(position=position)
    return await StoryTeller(log, MAPPER).story(MOTION_ID, moment)


async def test_a_motion_that_ended_tells_how_and_how_long_each_step_took() -> None:
    flow = Scenario().wait(minutes=3).reaching(S.PLANNING)
    flow.wait(hours=5).succeeds()
    for _ in range(4):
        flow.wait(minutes=1).succeeds()
    story = await story_of(timed(flow), now=flow.now + timedelta(days=1))
    assert story.state is S.ACKNOWLEDGED
    assert [(step.state, step.took) for step in story.steps] == [
        (S.INTRODUCED, timedelta(minutes=3)),
        (S.DELIBERATING, timedelta()),
        (S.RATIFIED, timedelta()),
        (S.PLANNING, timedelta(hours=5)),
        (S.EXECUTING, timedelta(minutes=1)),
        (S.JUDGING, timedelta(minutes=1)),
        (S.WITNESSING, timedelta(minutes=2)),
        (S.ACKNOWLEDGED, timedelta()),
    ]
    assert story.ending == (
        "On 1 March 2026 at 17:07 UTC, the motion was acknowledged, which completed it, 5 hours "
        "7 minutes after it was introduced. Nothing more can happen to it."
    )
    assert (story.coming, story.action) == (None, None)
    assert story.summary == (
        "“Build a bridge” was introduced by ada on 1 March 2026 at 12:00 UTC. It ended in "
        "ACKNOWLEDGED on 1 March 2026 at 17:07 UTC. The record holds no errors and no refused acts."
    )


async def test_each_event_is_told_once_in_order_with_its_time() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    story = await story_of(timed(flow))
    assert [entry.event for entry in story.entries] == flow.events
    assert [entry.version for entry in story.entries] == list(range(1, len(flow.events) + 1))
    assert story.entries[0].sentence == (
        "On 1 March 2026 at 12:00 UTC, ada (by their own word) introduced the motion "
        "“Build a bridge”, with 1 ballot (1 yes, 0 no, 0 abstained)."
    )


async def test_refusals_errors_and_decisions_are_counted_and_marked() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    flow.fails("system_error", "the roof\nTraceback")
    flow.resolve(Resolution.RETRY, by="zoe")
    flow.succeeds(by=person(INTRODUCER))
    story = await story_of(timed(flow))
    kinds = [entry.kind for entry in story.entries]
    assert kinds.count(Kind.REFUSAL) == 1
    assert kinds.count(Kind.DECISION) == 1
    assert kinds.count(Kind.TROUBLE) == 3
    assert "The record holds 2 errors, 1 refused act, 1 decision by named persons." in story.summary
    assert story.shortened
    assert [entry.shortened for entry in story.entries].count(True) == 3


async def test_those_who_acted_are_listed_with_what_they_acted_for() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    story = await story_of(timed(flow, before=(HALTED, RESUMED)))
    acted = {somebody.actor: somebody for somebody in story.people}
    assert acted[person(INTRODUCER)].branches == {GovernanceBranch.KING}
    assert acted[service("president_service")].branches == {GovernanceBranch.PRESIDENT}
    assert acted[SYSTEM].branches == set()
    assert acted[SYSTEM].acts == 4
    assert person("the chair") not in acted


async def test_one_name_known_in_two_ways_is_two_actors() -> None:
    flow = Scenario().reaching(S.DELIBERATING)
    flow.succeeds(by=person("conclave_service"))
    people = (await story_of(timed(flow))).people
    assert {p.actor for p in people} == {person(INTRODUCER), SYSTEM, person("conclave_service")}


# -- What befell the pipeline ----------------------------------------------------------------------


def told_of_pipeline(story: Story) -> list[str]:
    return [entry.event.topic for entry in story.entries if entry.kind is Kind.PIPELINE]


async def test_what_befell_the_pipeline_meanwhile_is_part_of_the_story() -> None:
    log = timed(
        Scenario().reaching(S.PLANNING), before=(HALTED, RESUMED, ADOPTED), after=(HALTED, RESUMED)
    )
    story = await story_of(log)
    assert told_of_pipeline(story) == ["PIPELINE_HALTED", "PIPELINE_RESUMED"]
    assert [entry.position for entry in story.entries] == list(range(4, 4 + len(story.entries)))
    assert all(e.version is None for e in story.entries if e.kind is Kind.PIPELINE)
    assert person("the chair") in {somebody.actor for somebody in story.people}


async def test_a_halt_that_was_in_force_before_is_part_of_it_too() -> None:
    story = await story_of(timed(Scenario(), before=(HALTED, RESUMED, HALTED, ADOPTED)))
    assert told_of_pipeline(story) == ["PIPELINE_HALTED"]
    assert story.entries[0].position == 3


async def test_once_it_has_ended_only_alerts_about_it_are_told() -> None:
    news = (HALTED, alert(MOTION_ID), alert(None), alert(UUID(int=1)), RESUMED)
    story = await story_of(timed(Scenario().reaching(S.REJECTED), after=news))
    assert told_of_pipeline(story) == ["ALERT_DELIVERED"]


# -- What comes next -------------------------------------------------------------------------------


async def coming(flow: Scenario, now: datetime = LATER, *pipeline: Event) -> tuple[str, ActionKind]:
    story = await story_of(timed(flow, after=pipeline), now=now)
    assert story.ending is None
    assert story.action is not None
    assert story.coming is not None
    return story.coming, story.action.kind


async def test_what_waits_for_a_place() -> None:
    told, kind = await coming(Scenario())
    assert kind is ActionKind.PLACE
    assert told.startswith("it waits in the docket; the orchestrator admits it as soon as a place")


async def test_what_waits_for_a_branch_by_when() -> None:
    told, kind = await coming(Scenario().reaching(S.PLANNING))
    assert kind is ActionKind.BRANCH
    assert told == "the President (president_service) must plan it, by 4 March 2026 at 12:00 UTC"
    told, _ = await coming(Scenario().reaching(S.PLANNING), NOON + timedelta(days=3))
    assert told.endswith("(which has passed: as soon as a worker runs, that counts as a timeout)")


async def test_what_is_tried_again() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.fails("timeout_error")
    told, _ = await coming(flow, NOON + timedelta(seconds=1))
    assert "must plan it, attempt 2, not before 1 March 2026 at 12:00:05 UTC, by 4 March" in told
    told, _ = await coming(flow, NOON + timedelta(seconds=5))
    assert "not before" not in told


async def test_what_waits_for_a_person_and_who_may_not_be_it() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    flow.fails("system_error", "the roof fell in")
    told, kind = await coming(flow)
    assert kind is ActionKind.PERSON
    assert told == (
        "a named person must decide to retry, return or review it; it is blocked since 1 March "
        "2026 at 12:00 UTC by “the roof fell in” (system_error); those who have acted on it may "
        "not: ada, conclave_service, president_service and duke_service; no date is set"
    )
    # That somebody must resume the pipeline as well does not hide it.
    assert (await coming(flow, LATER, HALTED))[0] == told


async def test_what_the_conclave_reviews() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    flow.fails("compliance_error")
    told, kind = await coming(flow)
    assert kind is ActionKind.BRANCH
    assert told == (
        "the Conclave (conclave_service) must review what went wrong, with no deadline while the "
        "motion is blocked"
    )


async def test_what_lies_on_the_table() -> None:
    told, kind = await coming(Scenario().reaching(S.TABLED))
    assert kind is ActionKind.TAKING_UP
    assert told == "it lies on the table until a named person takes it up, and no date is set"
    flow = Scenario().reaching(S.DELIBERATING)
    flow.succeeds({"until": "2026-03-20T00:00:00Z"}, next_state=S.TABLED)
    told, kind = await coming(flow)
    assert kind is ActionKind.DATE
    assert told.startswith("it lies on the table until 20 March 2026 at 00:00 UTC; a named person")
    _, kind = await coming(flow, NOON + timedelta(days=30))
    assert kind is ActionKind.PLACE


async def test_what_a_halt_holds_up() -> None:
    told, kind = await coming(Scenario(), LATER, HALTED)
    assert kind is ActionKind.PERSON
    assert told == (
        "a named person must resume the pipeline, which the chair (by their own word) halted on "
        "1 March 2026 at 12:00 UTC: “a storm”"
    )
    told, kind = await coming(Scenario().reaching(S.PLANNING), LATER, HALTED)
    assert kind is ActionKind.BRANCH
    assert told.endswith("the answer would only be recorded, and deadlines stand still")


async def test_what_only_has_to_be_applied() -> None:
    flow = Scenario().reaching(S.PLANNING).halt()
    flow.succeeds()
    told, kind = await coming(flow)
    assert kind is ActionKind.ORCHESTRATOR
    assert told == "the orchestrator applies what was recorded, as soon as a worker runs"


# -- The past, and what cannot be told -------------------------------------------------------------


async def test_a_story_can_be_told_as_of_any_position() -> None:
    log = log_of(Scenario().reaching(S.ACKNOWLEDGED))
    story = await story_of(log, position=4)
    assert (story.state, len(story.entries), story.position) == (S.DELIBERATING, 4, 4)
    assert story.ending is None


@pytest.mark.parametrize("motion_id", [UUID(int=5), PIPELINE_ID])
async def test_what_is_no_motion_has_no_story(motion_id: UUID) -> None:
    log = log_of(Scenario(), HALTED)
    moment = await Replayer(log, MAPPER, ManualClock(LATER), places=10).moment()
    with pytest.raises(UnknownMotion, match=f"there was no motion {motion_id}"):
        await StoryTeller(log, MAPPER).story(motion_id, moment)


async def test_what_cannot_be_read_is_not_made_up() -> None:
    log = log_of(Scenario().reaching(S.PLANNING))
    with pytest.raises(CorruptStream, match="version 4"):
        await story_of(doctored(log, 4, state=b"{"))
