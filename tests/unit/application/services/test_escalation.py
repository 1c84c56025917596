"""What the error table says, end to end: returned, reviewed, halted, and resolved by a person."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from governance_flow.application.ports.flow_orchestrator import GovernanceState, Purpose
from governance_flow.domain.errors import InvalidInput, NotAllowed, Refused, UnknownMotion
from governance_flow.domain.events import EscalationResolved, OrchestratorError
from tests.support.clock import ManualClock
from tests.support.flows import (
    ZOE,
    Postbox,
    Scripted,
    cast,
    deciding,
    failing,
    opened,
    succeeding,
    tabling,
    together,
)
from tests.support.motions import INTRODUCER

S = GovernanceState

BRANCH = {
    S.DELIBERATING: "conclave",
    S.PLANNING: "president",
    S.EXECUTING: "duke",
    S.JUDGING: "prince",
    S.WITNESSING: "knight",
}
SERVICE = {
    S.DELIBERATING: ("deliberate", "conclave_service"),
    S.PLANNING: ("plan", "president_service"),
    S.EXECUTING: ("execute", "duke_service"),
    S.JUDGING: ("judge", "prince_service"),
    S.WITNESSING: ("record", "knight_witness_service"),
}
RETURNED = {
    S.DELIBERATING: (S.INTRODUCED, "revise", "king_service"),
    S.PLANNING: (S.DELIBERATING, "deliberate", "conclave_service"),
    S.EXECUTING: (S.PLANNING, "plan", "president_service"),
    S.JUDGING: (S.EXECUTING, "execute", "duke_service"),
    S.WITNESSING: (S.JUDGING, "judge", "prince_service"),
}
REVIEWABLE = [S.PLANNING, S.EXECUTING, S.JUDGING]


def scripts(state: S, *answers: object) -> dict[str, Scripted]:
    """Let the owner of a state answer so."""
    return cast(**{BRANCH[state]: answers})


# -- Validation errors: return to previous --------------------------------------------------------


@pytest.mark.parametrize("state", BRANCH)
async def test_a_validation_error_returns_the_motion_and_then_it_goes_its_way(state: S) -> None:
    branches = scripts(state, failing("validation_error", "no dates are given"))
    async with opened(branches=branches) as flow:
        motion = await flow.introduce()
        await flow.idle()
        purpose, service = SERVICE[state]
        previous, again, owner = RETURNED[state]
        story = await flow.story(motion)
        at = story.index(f"failed: {purpose} by {service}, validation_error")
        assert story[at + 1 : at + 4] == [
            "error: validation_error, return_to_previous",
            f"moved: {state} > {previous} (return)",
            f"routed: {again} to {owner}",
        ]
        findings = [call.findings for call in branches[owner].calls if call.purpose == again]
        assert findings[-1] == ("no dates are given",)
        assert await flow.state(motion) is S.ACKNOWLEDGED
        assert branches[service].purposes.count(purpose) == 2


async def test_what_was_undone_is_kept_in_the_record_and_no_longer_handed_on() -> None:
    branches = cast(
        president=[succeeding({"plan": 1}), succeeding({"plan": 2})],
        duke=[failing("validation_error")],
    )
    async with opened(branches=branches) as flow:
        motion = await flow.introduce()
        await flow.idle()
        first, second = branches["president_service"].calls
        assert "plan" not in second.outputs
        assert first.outputs == second.outputs
        assert [call.outputs[Purpose.PLAN] for call in branches["duke_service"].calls] == [
            {"plan": 1},
            {"plan": 2},
        ]
        plans = [d.output for d in await flow.completions(motion) if d.purpose == "plan"]
        assert plans == [{"plan": 1}, {"plan": 2}]


@pytest.mark.parametrize("state", REVIEWABLE)
async def test_the_third_return_out_of_a_state_becomes_a_review(state: S) -> None:
    branches = scripts(state, *[failing("validation_error", "still wrong")] * 3)
    async with opened(branches=branches) as flow:
        motion = await flow.introduce()
        await flow.idle()
        previous, *_ = RETURNED[state]
        story = await flow.story(motion)
        assert story.count(f"moved: {state} > {previous} (return)") == 2
        reviewed = story.index("routed: review to conclave_service")
        assert story[reviewed - 1] == "error: validation_error, conclave_review"
        [review] = [c for c in branches["conclave_service"].calls if c.purpose == "review"]
        assert review.findings == ("returned 2 times already: still wrong",)
        # The review said resume, so it was done once more, well this time.
        assert await flow.state(motion) is S.ACKNOWLEDGED


async def test_only_a_review_that_says_resume_resets_the_count_of_returns() -> None:
    fails = failing("validation_error")
    branches = cast(duke=[fails, fails, fails, fails, fails, fails])
    async with opened(branches=branches) as flow:
        motion = await flow.introduce()
        await flow.idle()
        returns = "moved: EXECUTING > PLANNING (return)"
        reviews = "routed: review to conclave_service"
        story = [line for line in await flow.story(motion) if line in (returns, reviews)]
        assert story == [returns, returns, reviews, returns, returns, reviews]


async def test_how_many_returns_there_may_be_is_configured() -> None:
    branches = cast(duke=[failing("validation_error")])
    async with opened(branches=branches, settings={"max_returns_per_state": 0}) as flow:
        motion = await flow.introduce()
        await flow.idle()
        assert "error: validation_error, conclave_review" in await flow.story(motion)


@pytest.mark.parametrize("state", [S.DELIBERATING, S.WITNESSING])
async def test_conclave_and_knight_are_not_reviewed_by_the_conclave(state: S) -> None:
    branches = scripts(state, *[failing("validation_error")] * 3)
    async with opened(branches=branches) as flow:
        motion = await flow.introduce()
        await flow.idle()
        status = await flow.status(motion)
        assert status.current_state is state
        assert status.next_action is not None
        assert status.next_action.kind == "person"
        assert (await flow.story(motion))[-1] == "error: validation_error, halt_and_alert"


async def test_an_acknowledgement_may_not_be_refused() -> None:
    branches = cast(conclave=[succeeding(), failing("validation_error", "judged in haste")])
    async with opened(branches=branches) as flow:
        motion = await flow.introduce()
        await flow.idle()
        story = await flow.story(motion)
        assert "moved: WITNESSING > JUDGING (return)" in story
        assert await flow.state(motion) is S.ACKNOWLEDGED
        assert branches["prince_service"].calls[-1].findings == ("judged in haste",)


async def test_an_acknowledgement_that_broke_down_is_tried_again_and_nothing_recorded_anew() -> (
    None
):
    branches = cast(conclave=[succeeding(), failing("system_error")])
    async with opened(branches=branches) as flow:
        motion = await flow.introduce()
        await flow.idle()
        status = await flow.orchestrator.retry_motion(motion, ZOE)
        assert status.owner == "conclave_service"
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED
        assert branches["knight_witness_service"].purposes == ["record"]
        assert branches["conclave_service"].purposes == ["deliberate", *["acknowledge"] * 2]


# -- Permission and compliance errors: the Conclave reviews ----------------------------------------


@pytest.mark.parametrize("error_type", ["permission_error", "compliance_error"])
@pytest.mark.parametrize("state", REVIEWABLE)
async def test_a_review_that_says_resume_lets_the_owner_try_again(
    state: S, error_type: str
) -> None:
    branches = scripts(state, failing(error_type, "no key to the archive"))
    async with opened(branches=branches) as flow:
        motion = await flow.introduce()
        await flow.idle()
        purpose, service = SERVICE[state]
        story = await flow.story(motion)
        at = story.index(f"failed: {purpose} by {service}, {error_type}")
        assert story[at + 1 : at + 5] == [
            f"error: {error_type}, conclave_review",
            "routed: review to conclave_service",
            "completed: review by conclave_service",
            f"routed: {purpose} to {service}",
        ]
        assert await flow.state(motion) is S.ACKNOWLEDGED
        review = branches["conclave_service"].calls[1]
        assert (review.purpose, review.state, review.deadline) == ("review", state, None)
        assert review.findings == ("no key to the archive",)


@pytest.mark.parametrize("state", REVIEWABLE)
async def test_a_review_may_return_the_motion(state: S) -> None:
    async with opened() as flow:
        motion = await flow.reach(state)
        await flow.fails(motion, "compliance_error")
        before = await flow.length(motion)
        await flow.succeeds(motion, {"decision": "return", "reason": "plan anew"})
        previous, again, owner = RETURNED[state]
        assert await flow.story(motion, before) == [
            "completed: review by conclave_service",
            f"moved: {state} > {previous} (return)",
            f"routed: {again} to {owner}",
        ]
        assert (await flow.routing(motion)).findings == ("plan anew",)


@pytest.mark.parametrize("state", REVIEWABLE)
async def test_a_review_may_reject_the_motion(state: S) -> None:
    async with opened() as flow:
        motion = await flow.reach(state)
        await flow.fails(motion, "compliance_error")
        await flow.succeeds(motion, {"decision": "reject"})
        assert (await flow.story(motion))[-1] == f"moved: {state} > REJECTED (review)"
        assert (await flow.flow.store.head()).admitted == 0


@pytest.mark.parametrize("state", REVIEWABLE)
async def test_a_review_may_table_the_motion_which_begins_anew_then(
    state: S, clock: ManualClock
) -> None:
    async with opened(clock=clock) as flow:
        motion = await flow.reach(state)
        await flow.fails(motion, "compliance_error")
        await flow.succeeds(motion, {"decision": "table", "until": "2026-01-02T12:00:00+00:00"})
        assert (await flow.story(motion))[-1] == f"moved: {state} > TABLED (review)"
        await flow.idle()
        assert await flow.state(motion) is S.TABLED
        clock.advance(hours=24)
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"decision": None},
        {"decision": "perhaps"},
        {"decision": ["resume"]},
        {"decision": "RESUME"},
        {"decision": "table", "until": "soon"},
        {"decision": "table", "until": "2026-01-02T12:00:00"},
    ],
)
async def test_a_review_is_asked_again_twice_and_then_halts(answer: dict[str, Any]) -> None:
    conclave = [succeeding(), succeeding(answer), succeeding(answer), succeeding(answer)]
    branches = cast(conclave=conclave, duke=[failing("permission_error")])
    async with opened(branches=branches) as flow:
        motion = await flow.introduce()
        await flow.idle()
        story = await flow.story(motion)
        asked = story.index("routed: review to conclave_service")
        again = [
            "completed: review by conclave_service",
            "error: validation_error, retry_with_backoff",
            "routed: review to conclave_service",
        ]
        assert story[asked + 1 :] == [
            *again,
            *again,
            "completed: review by conclave_service",
            "error: validation_error, halt_and_alert",
        ]
        status = await flow.status(motion)
        assert status.current_state is S.EXECUTING
        assert status.next_action is not None
        assert status.next_action.kind == "person"


async def test_an_unclear_answer_may_be_followed_by_a_clear_one() -> None:
    branches = cast(
        conclave=[succeeding(), deciding("perhaps"), deciding("er"), deciding("reject")],
        duke=[failing("permission_error")],
    )
    async with opened(branches=branches) as flow:
        motion = await flow.introduce()
        await flow.idle()
        assert await flow.state(motion) is S.REJECTED


async def test_a_vote_that_tables_without_a_usable_date_is_a_validation_error() -> None:
    branches = cast(conclave=[tabling(until="next week")])
    async with opened(branches=branches) as flow:
        motion = await flow.introduce()
        await flow.idle()
        assert "moved: DELIBERATING > INTRODUCED (return)" in await flow.story(motion)
        [finding] = branches["king_service"].calls[0].findings
        assert 'output["until"] must be a time with its offset' in finding


# -- System errors, and every type that is not listed: halt and alert --------------------------


@pytest.mark.parametrize("error_type", ["system_error", None, "cosmic_ray", "Validation_Error"])
@pytest.mark.parametrize("state", BRANCH)
async def test_everything_else_halts_the_motion_and_calls_for_a_person(
    state: S, error_type: str | None
) -> None:
    postbox = Postbox()
    branches = scripts(state, failing(error_type, "the roof fell in"))
    async with opened(branches=branches, sinks=[postbox]) as flow:
        motion = await flow.introduce()
        await flow.idle()
        status = await flow.status(motion)
        recorded = error_type or "system_error"
        assert status.current_state is state
        assert status.blocking_issues == (f"{recorded}: the roof fell in",)
        assert status.next_action is not None
        assert (status.next_action.kind, status.next_action.who) == ("person", "a named person")
        error = await flow.last(motion, OrchestratorError)
        assert (error.error_type, error.strategy) == (recorded, "halt_and_alert")
        assert (error.branch, error.attempt) == (BRANCH[state], 1)
        [alert] = postbox.alerts
        assert (alert.kind, alert.motion_id) == ("motion_halted", motion)
        assert alert.alert_id == str(error.event_id)
        assert f"{recorded}: the roof fell in" in alert.message


async def test_a_failure_that_says_nothing_is_recorded_as_one_that_said_nothing() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.fails(motion, None, None)
        error = await flow.last(motion, OrchestratorError)
        assert error.message == "the duke reported a failure without saying why"


# -- Resolved by a named person --------------------------------------------------------------------


async def test_a_person_lets_it_be_tried_again(store_address: str) -> None:
    settings = {"breaker": {"system_errors": 6}}
    async with opened(store_address, settings=settings) as flow:
        motions = {state: await flow.reach(state) for state in BRANCH}
        for state, motion in motions.items():
            await flow.fails(motion, "system_error")
            before = await flow.length(motion)
            await flow.orchestrator.resolve_escalation(motion, ZOE, "retry", "the roof is mended")
            purpose, service = SERVICE[state]
            assert await flow.story(motion, before) == [
                "resolved: retry by zoe",
                f"routed: {purpose} to {service}",
            ]
            resolved = await flow.last(motion, EscalationResolved)
            error = await flow.last(motion, OrchestratorError)
            assert (resolved.error_id, resolved.notes) == (error.event_id, "the roof is mended")
            assert (resolved.actor.id, resolved.actor.authenticated_by) == (ZOE, "asserted")
        await flow.idle()
        for motion in motions.values():
            assert await flow.state(motion) is S.ACKNOWLEDGED


@pytest.mark.parametrize("state", BRANCH)
async def test_a_person_returns_it(state: S) -> None:
    async with opened() as flow:
        motion = await flow.reach(state)
        await flow.fails(motion, "system_error")
        before = await flow.length(motion)
        await flow.orchestrator.resolve_escalation(motion, ZOE, "return", "think again")
        previous, again, owner = RETURNED[state]
        assert await flow.story(motion, before) == [
            "resolved: return by zoe",
            f"moved: {state} > {previous} (return)",
            f"routed: {again} to {owner}",
        ]
        assert (await flow.routing(motion)).findings == ("think again",)


@pytest.mark.parametrize("state", BRANCH)
async def test_a_person_asks_for_a_review(state: S) -> None:
    async with opened() as flow:
        motion = await flow.reach(state)
        await flow.fails(motion, "system_error", "the roof fell in")
        before = await flow.length(motion)
        status = await flow.orchestrator.resolve_escalation(motion, ZOE, "review")
        assert await flow.story(motion, before) == [
            "resolved: review by zoe",
            "routed: review to conclave_service",
        ]
        assert status.blocking_issues == ("system_error: the roof fell in",)
        await flow.succeeds(motion, {"decision": "resume"})
        purpose, service = SERVICE[state]
        assert (await flow.story(motion))[-1] == f"routed: {purpose} to {service}"


async def test_whoever_acted_on_the_motion_may_not_resolve_it() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.PLANNING)
        await flow.succeeds(motion, actor="paula")
        await flow.fails(motion, "system_error", actor="dora")
        before = (await flow.flow.store.head()).position
        for acted in (INTRODUCER, "paula", "dora", "conclave_service"):
            for decision in ("retry", "return", "review"):
                with pytest.raises(NotAllowed, match=f"{acted} has acted on motion") as refusal:
                    await flow.orchestrator.resolve_escalation(motion, acted, decision)
                assert refusal.value.motion_id == motion
            with pytest.raises(NotAllowed):
                await flow.orchestrator.retry_motion(motion, acted)
        assert (await flow.flow.store.head()).position == before
        assert (await flow.orchestrator.retry_motion(motion, ZOE)).blocking_issues == ()


async def test_there_must_be_something_to_resolve() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        with pytest.raises(Refused, match="not blocked: there is nothing to resolve"):
            await flow.orchestrator.resolve_escalation(motion, ZOE, "retry")
        await flow.fails(motion, "permission_error")
        with pytest.raises(Refused, match="under review by the Conclave: its answer decides"):
            await flow.orchestrator.retry_motion(motion, ZOE)
        with pytest.raises(Refused, match="can be taken up only in TABLED"):
            await flow.orchestrator.resolve_escalation(motion, ZOE, "take_up")
        with pytest.raises(InvalidInput, match="decision must be one of retry, return, review"):
            await flow.orchestrator.resolve_escalation(motion, ZOE, "ignore")
        with pytest.raises(UnknownMotion):
            await flow.orchestrator.resolve_escalation(uuid4(), ZOE, "retry")


async def test_nothing_comes_before_the_first_state() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.DELIBERATING)
        await flow.fails(motion, "validation_error")
        await flow.fails(motion, "system_error")
        with pytest.raises(Refused, match="cannot be returned from INTRODUCED"):
            await flow.orchestrator.resolve_escalation(motion, ZOE, "return")
        status = await flow.orchestrator.resolve_escalation(motion, ZOE, "retry")
        assert status.owner == "king_service"


async def test_resolved_twice_at_once_is_resolved_once(store_address: str) -> None:
    async with opened(store_address) as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.fails(motion, "system_error")
        outcomes = await together(8, lambda _: flow.orchestrator.retry_motion(motion, ZOE))
        assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 7
        story = await flow.story(motion)
        assert story.count("resolved: retry by zoe") == 1
        assert story.count("routed: execute to duke_service") == 2
