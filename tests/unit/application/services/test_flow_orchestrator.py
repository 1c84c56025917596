"""Where motions are routed, and what the orchestrator does with what branches report."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from governance_flow.application.ports.event_store import Append
from governance_flow.application.ports.flow_orchestrator import (
    ERROR_TYPE_MAP,
    STATE_SERVICE_MAP,
    BranchResult,
    GovernanceBranch,
    GovernanceState,
)
from governance_flow.domain.errors import (
    InvalidInput,
    NotInState,
    NotRoutable,
    UnknownMotion,
)
from governance_flow.domain.events import MotionRouted
from governance_flow.domain.states import HAND_OFF_MAP, TERMINAL_STATES
from tests.support.clock import ManualClock
from tests.support.flows import (
    ZOE,
    PlayedFlow,
    ScriptedKnight,
    cast,
    opened,
    together,
)
from tests.support.motions import INTRODUCER, honest_knight
from tests.support.resting import at_rest, rest_with_complete_work, rest_with_open_work

S = GovernanceState
B = GovernanceBranch

OWNERS = {
    S.DELIBERATING: ("conclave_service", "deliberate"),
    S.PLANNING: ("president_service", "plan"),
    S.EXECUTING: ("duke_service", "execute"),
    S.JUDGING: ("prince_service", "judge"),
    S.WITNESSING: ("knight_witness_service", "record"),
}
"""Where a motion goes while the work of its state is still open."""

HAND_OFFS = {
    S.INTRODUCED: ("conclave_service", "deliberate", S.DELIBERATING),
    S.DELIBERATING: ("president_service", "plan", S.PLANNING),
    S.RATIFIED: ("president_service", "plan", S.PLANNING),
    S.PLANNING: ("duke_service", "execute", S.EXECUTING),
    S.EXECUTING: ("prince_service", "judge", S.JUDGING),
    S.JUDGING: ("knight_witness_service", "record", S.WITNESSING),
    S.WITNESSING: ("conclave_service", "acknowledge", S.WITNESSING),
    S.TABLED: ("conclave_service", "deliberate", S.DELIBERATING),
}
"""Where it goes once that work is complete."""


@pytest.fixture(params=["at once", "after a restart"])
def restart_at(request: pytest.FixtureRequest) -> str | None:
    """Return the store to restart on, if the process is to be restarted."""
    if request.param == "at once":
        return None
    return str(request.getfixturevalue("sqlite_address"))


# -- Where motions are routed ----------------------------------------------------------------------


def test_the_two_routing_tables_are_those_of_the_story() -> None:
    assert {
        S.INTRODUCED: "conclave_service",
        S.RATIFIED: "president_service",
        **{state: service for state, (service, _) in OWNERS.items()},
    } == STATE_SERVICE_MAP
    assert {state: service for state, (service, _, _) in HAND_OFFS.items()} | {
        # The vote decides; the table names who holds it.
        S.DELIBERATING: "conclave_service"
    } == HAND_OFF_MAP
    assert len(ERROR_TYPE_MAP) == 5


@pytest.mark.parametrize("state", OWNERS)
async def test_a_motion_whose_work_is_open_goes_to_the_owner_of_its_state(
    state: S, restart_at: str | None, clock: ManualClock
) -> None:
    service, purpose = OWNERS[state]

    async def look(flow: PlayedFlow, motion: UUID) -> None:
        before = await flow.length(motion)
        assigned = await flow.orchestrator.route_to_branch(motion, state)
        assert (assigned.service, assigned.purpose, assigned.state) == (service, purpose, state)
        assert await flow.story(motion, before) == [f"routed: {purpose} to {service}"]

    await at_rest(lambda flow: rest_with_open_work(flow, state), restart_at, clock, look)


@pytest.mark.parametrize("state", HAND_OFFS)
async def test_a_motion_whose_work_is_complete_is_handed_off(
    state: S, restart_at: str | None, clock: ManualClock
) -> None:
    service, purpose, lands_in = HAND_OFFS[state]

    async def look(flow: PlayedFlow, motion: UUID) -> None:
        completions = len(await flow.completions(motion))
        assert await flow.state(motion) is state
        assigned = await flow.orchestrator.route_to_branch(motion, state)
        assert (assigned.service, assigned.purpose, assigned.state) == (service, purpose, lands_in)
        assert await flow.state(motion) is lands_in
        routed = await flow.routing(motion)
        assert (routed.routing_id, routed.service) == (assigned.routing_id, service)
        # It is picked up, never redone: nobody was asked for the same work again.
        assert len(await flow.completions(motion)) == completions

    await at_rest(lambda flow: rest_with_complete_work(flow, state), restart_at, clock, look)


@pytest.mark.postgres
async def test_every_resting_point_survives_a_restart_on_postgresql(
    postgres_database: str, clock: ManualClock
) -> None:
    async with opened(postgres_database, clock=clock) as flow:
        complete = {state: await rest_with_complete_work(flow, state) for state in HAND_OFFS}
        unfinished = {state: await rest_with_open_work(flow, state) for state in OWNERS}
    async with opened(postgres_database, clock=clock) as flow:
        for state, motion in complete.items():
            assigned = await flow.orchestrator.route_to_branch(motion, state)
            assert (assigned.service, assigned.purpose, assigned.state) == HAND_OFFS[state]
        for state, motion in unfinished.items():
            assigned = await flow.orchestrator.route_to_branch(motion, state)
            assert (assigned.service, assigned.purpose) == OWNERS[state]


@pytest.mark.parametrize("state", [*OWNERS, S.RATIFIED, S.TABLED, S.INTRODUCED])
async def test_the_worker_picks_a_resting_motion_up_where_it_stands(
    state: S, sqlite_address: str, clock: ManualClock
) -> None:
    async with opened(sqlite_address, clock=clock) as flow:
        motion = await rest_with_complete_work(flow, state)
        reported = [done.purpose for done in await flow.completions(motion)]
    branches = cast()
    async with opened(sqlite_address, clock=clock, branches=branches) as flow:
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED
        asked = [call.purpose for service in branches.values() for call in service.calls]
        if state is not S.TABLED:  # which is deliberated anew
            assert not set(asked) & set(reported)


async def test_a_completed_acknowledgement_ends_the_motion_when_it_is_picked_up() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.WITNESSING)
        await flow.succeeds(motion)
        await flow.halt()
        await flow.succeeds(motion)
        await flow.resume()
        with pytest.raises(NotRoutable, match="it has ended in ACKNOWLEDGED"):
            await flow.orchestrator.route_to_branch(motion, S.WITNESSING)
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_a_returned_motion_goes_to_the_king() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.DELIBERATING)
        await flow.fails(motion, "validation_error", "too vague")
        await flow.fails(motion, "system_error")
        await flow.halt()
        await flow.orchestrator.resolve_escalation(motion, ZOE, "retry")
        await flow.resume()
        assigned = await flow.orchestrator.route_to_branch(motion, S.INTRODUCED)
        assert (assigned.service, assigned.purpose) == ("king_service", "revise")
        assert assigned.findings == ("too vague",)


@pytest.mark.parametrize("state", OWNERS)
async def test_while_a_routing_is_open_it_is_returned_again(state: S) -> None:
    async with opened() as flow:
        motion = await flow.reach(state)
        routed = await flow.routing(motion)
        before = await flow.flow.store.head()
        first = await flow.orchestrator.route_to_branch(motion, state)
        assert first == await flow.orchestrator.route_to_branch(motion, state)
        assert first.routing_id == routed.routing_id
        await flow.halt()
        assert first == await flow.orchestrator.route_to_branch(motion, state)
        assert (await flow.flow.store.head()).position == before.position + 1


async def test_a_motion_under_review_is_with_the_conclave() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.fails(motion, "permission_error")
        assigned = await flow.orchestrator.route_to_branch(motion, S.EXECUTING)
        assert (assigned.service, assigned.purpose) == ("conclave_service", "review")
        assert assigned.state is S.EXECUTING


async def test_routing_together_routes_once(store_address: str) -> None:
    async with opened(store_address) as flow:
        motion = await flow.introduce()
        assigned = await together(
            8, lambda _: flow.orchestrator.route_to_branch(motion, S.INTRODUCED)
        )
        routed = await flow.routing(motion)
        first = [a for a in assigned if not isinstance(a, NotInState)]
        assert {a.routing_id for a in first} == {routed.routing_id}
        assert await flow.story(motion, 1) == [
            "moved: INTRODUCED > DELIBERATING (advance)",
            "routed: deliberate to conclave_service",
        ]


async def test_a_routing_says_all_there_is_to_know(clock: ManualClock) -> None:
    async with opened(clock=clock) as flow:
        motion = await flow.introduce(ballots={"bo": "yes"}, reference="B/1", topics=["bridges"])
        await flow.orchestrator.process_motion(motion)
        clock.advance(60)
        await flow.succeeds(motion, {"tally": 1})
        routed = await flow.last(motion, MotionRouted)
        assert (routed.service, routed.branch, routed.purpose) == (
            "president_service",
            B.PRESIDENT,
            "plan",
        )
        assert (routed.from_state, routed.state, routed.attempt) == (S.RATIFIED, S.PLANNING, 1)
        assert routed.deadline == clock.now() + timedelta(hours=72)
        assert routed.configuration == flow.flow.configuration.digest()
        assigned = await flow.orchestrator.route_to_branch(motion, S.PLANNING)
        assert assigned.motion_id == motion
        assert assigned.routing_id == routed.routing_id
        assert (assigned.title, assigned.text) == ("Mend the bridge", "Before the flood.")
        assert (assigned.introduced_by, assigned.reference) == (INTRODUCER, "B/1")
        assert assigned.ballots == {"bo": "yes"}
        assert assigned.metadata == {"topics": ["bridges"]}
        assert assigned.outputs == {"deliberate": {"tally": 1}}
        assert (assigned.deadline, assigned.attempt) == (routed.deadline, 1)


# -- What is not routed, and why -----------------------------------------------------------------


async def _refused(flow: PlayedFlow, motion: UUID, state: S) -> str:
    """Ask for a routing that cannot be, and return why not."""
    before = (await flow.flow.store.head()).position
    with pytest.raises(NotRoutable) as refusal:
        await flow.orchestrator.route_to_branch(motion, state)
    assert (await flow.flow.store.head()).position == before
    status = await flow.orchestrator.process_motion(motion)
    assert (await flow.flow.store.head()).position == before
    assert status.current_state is state
    return str(refusal.value)


@pytest.mark.parametrize("state", sorted(TERMINAL_STATES))
async def test_a_terminal_motion_is_not_routed(state: S) -> None:
    async with opened() as flow:
        motion = await flow.reach(state)
        assert f"it has ended in {state}" in await _refused(flow, motion, state)


@pytest.mark.parametrize("state", OWNERS)
async def test_a_blocked_motion_is_not_routed(state: S) -> None:
    async with opened() as flow:
        motion = await flow.reach(state)
        await flow.fails(motion, "system_error", "the archive burnt down")
        why = await _refused(flow, motion, state)
        assert "a named person: resolve" in why
        assert "system_error: the archive burnt down" in why


@pytest.mark.parametrize("state", HAND_OFFS)
async def test_nothing_is_routed_while_the_pipeline_is_halted(
    state: S, restart_at: str | None, clock: ManualClock
) -> None:
    async def rest(flow: PlayedFlow) -> UUID:
        motion = await rest_with_complete_work(flow, state)
        await flow.halt("the archive burns")
        return motion

    async def look(flow: PlayedFlow, motion: UUID) -> None:
        why = await _refused(flow, motion, state)
        assert "halted (the archive burns); a named person must resume it" in why

    await at_rest(rest, restart_at, clock, look)


async def test_a_motion_that_finds_no_place_is_not_routed(store_address: str) -> None:
    async with opened(store_address, settings={"max_concurrent_motions": 1}) as flow:
        await flow.reach(S.DELIBERATING)
        waiting = await flow.introduce()
        why = await _refused(flow, waiting, S.INTRODUCED)
        assert "waits in the docket: all 1 places are taken" in why


async def test_a_tabled_motion_is_not_routed_before_its_date_or_at_all(clock: ManualClock) -> None:
    async with opened(clock=clock) as flow:
        forever = await flow.reach(S.TABLED)
        assert "take it up" in await _refused(flow, forever, S.TABLED)
        dated = await flow.introduce()
        await flow.orchestrator.process_motion(dated)
        until = clock.now() + timedelta(days=3)
        await flow.succeeds(dated, {"until": until.isoformat()}, next_state=S.TABLED)
        assert "take it up on its date by 2026-01-04" in await _refused(flow, dated, S.TABLED)
        clock.advance(hours=72)
        assigned = await flow.orchestrator.route_to_branch(dated, S.TABLED)
        assert assigned.purpose == "deliberate"


REACHABLE = [state for state in S if state is not S.RATIFIED]


@pytest.mark.parametrize("state", REACHABLE)
async def test_a_motion_is_not_routed_from_a_state_it_is_not_in(state: S) -> None:
    async with opened() as flow:
        motion = await flow.reach(state)
        before = (await flow.flow.store.head()).position
        for other in set(S) - {state}:
            with pytest.raises(NotInState, match=f"is in {state}, not in {other}"):
                await flow.orchestrator.route_to_branch(motion, other)
        assert (await flow.flow.store.head()).position == before


async def test_what_is_not_there_cannot_be_routed() -> None:
    async with opened() as flow:
        unknown = uuid4()
        with pytest.raises(UnknownMotion, match=str(unknown)):
            await flow.orchestrator.route_to_branch(unknown, S.INTRODUCED)
        with pytest.raises(UnknownMotion):
            await flow.orchestrator.process_motion(unknown)
        motion = await flow.introduce()
        with pytest.raises(InvalidInput, match="state must be one of INTRODUCED"):
            await flow.orchestrator.route_to_branch(motion, "LIMBO")  # type: ignore[arg-type]


# -- What follows from a completion, in one append -------------------------------------------------


def topics(append: Append) -> list[str]:
    return [event.topic for event in append.events]


async def test_completion_transition_and_next_routing_are_one_append(store_address: str) -> None:
    completed, moved, routed = "BRANCH_COMPLETED", "TRANSITION_WITNESSED", "MOTION_ROUTED"
    async with opened(store_address) as flow:
        motion = await flow.introduce()
        with flow.appends() as seen:
            await flow.orchestrator.process_motion(motion)
            for _ in range(6):
                await flow.succeeds(motion)
        assert [topics(append) for append in seen if append.stream_id == motion] == [
            [moved, routed],
            [completed, moved, moved, routed],
            [completed, moved, routed],
            [completed, moved, routed],
            [completed, moved, routed],
            [completed, routed],  # recording leaves the state as it is
            [completed, moved],  # and nothing comes after the end
        ]
        stored = await flow.stored(motion)
        assert [event.topic for event in stored] == ["MOTION_INTRODUCED"] + [
            event.topic for append in seen if append.stream_id == motion for event in append.events
        ]
        groups = iter(stored[1:])
        for append in seen:
            if append.stream_id != motion:
                continue
            together_ = [next(groups) for _ in append.events]
            positions = [event.id for event in together_]
            assert positions == list(range(positions[0], positions[0] + len(positions)))
            assert len({event.committed_at_us for event in together_}) == 1


@pytest.mark.parametrize("state", OWNERS)
async def test_the_outcome_tells_where_the_motion_went(state: S) -> None:
    async with opened() as flow:
        motion = await flow.reach(state)
        before = await flow.routing(motion)
        outcome = await flow.succeeds(motion)
        service, _, lands_in = HAND_OFFS[state]
        routed = await flow.routing(motion)
        assert (outcome.motion_id, outcome.routing_id) == (motion, before.routing_id)
        assert (outcome.accepted, outcome.status, outcome.state) == (True, "applied", lands_in)
        assert (outcome.next_service, outcome.next_routing_id) == (service, routed.routing_id)
        assert (outcome.strategy, outcome.reason) == (None, None)


@pytest.mark.parametrize(
    ("vote", "edge"),
    [(S.REJECTED, "moved: DELIBERATING > REJECTED (advance)"),
     (S.TABLED, "moved: DELIBERATING > TABLED (advance)")],
)  # fmt: skip
async def test_a_deliberation_may_end_otherwise(vote: S, edge: str) -> None:
    async with opened() as flow:
        motion = await flow.reach(S.DELIBERATING)
        before = await flow.length(motion)
        outcome = await flow.succeeds(motion, {}, next_state=vote)
        assert outcome.state is vote
        assert outcome.next_service is None
        assert await flow.story(motion, before) == [
            "completed: deliberate by conclave_service",
            edge,
        ]


async def test_a_deliberation_that_proposes_nothing_is_a_validation_error() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.DELIBERATING)
        routed = await flow.routing(motion)
        result = BranchResult(
            motion, B.CONCLAVE, success=True, output={}, next_state=None,
            routing_id=routed.routing_id,
        )  # fmt: skip
        outcome = await flow.orchestrator.handle_completion(motion, result)
        assert (outcome.status, outcome.strategy) == ("escalated", "return_to_previous")
        assert outcome.state is S.INTRODUCED
        assert outcome.next_service == "king_service"


async def test_while_halted_a_completion_is_recorded_alone_and_applied_later(
    store_address: str,
) -> None:
    async with opened(store_address) as flow:
        motions = {state: await flow.reach(state) for state in OWNERS}
        before = {state: await flow.length(motion) for state, motion in motions.items()}
        await flow.halt()
        for state, motion in motions.items():
            outcome = await flow.succeeds(motion)
            assert (outcome.accepted, outcome.status, outcome.state) == (True, "recorded", state)
            assert outcome.next_routing_id is None
        await flow.idle()
        for state, motion in motions.items():
            [recorded] = await flow.story(motion, before[state])
            assert recorded.startswith("completed: ")
        await flow.resume()
        for state, motion in motions.items():
            await flow.orchestrator.process_motion(motion)
            service, purpose, lands_in = HAND_OFFS[state]
            assert (await flow.story(motion))[-1] == f"routed: {purpose} to {service}"
            assert await flow.state(motion) is lands_in


async def test_a_halt_between_the_decision_and_the_append_is_not_missed(
    store_address: str,
) -> None:
    """The store itself refuses a transition decided before a halt that it has seen since."""
    knight = ScriptedKnight()
    async with opened(store_address, knight=knight) as flow:
        motion = await flow.reach(S.PLANNING)
        before = await flow.length(motion)

        async def halting(request: Any) -> Any:
            await flow.halt()
            return honest_knight(request)

        knight.then(halting)
        outcome = await flow.succeeds(motion)
        assert outcome.status == "recorded"
        assert await flow.story(motion, before) == ["completed: plan by president_service"]
        assert await flow.state(motion) is S.PLANNING
