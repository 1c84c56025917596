"""Whatever befalls a motion, in whatever order, the rules hold and it can be brought to its end."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from governance_flow.domain.answers import Answer
from governance_flow.domain.branches import GovernanceBranch, Purpose
from governance_flow.domain.decisions.proceed import proceed
from governance_flow.domain.errors import Refused, ViolationRefused
from governance_flow.domain.escalation import ERROR_TYPE_MAP, Resolution, ReviewDecision
from governance_flow.domain.events import MotionEvent, MotionRouted, TransitionWitnessed
from governance_flow.domain.evolve import evolve
from governance_flow.domain.motion import Motion
from governance_flow.domain.next_action import (
    AwaitBranch,
    AwaitOrchestrator,
    AwaitPerson,
    AwaitPlace,
    AwaitTakingUp,
    Finished,
    next_action,
)
from governance_flow.domain.states import (
    ADMITTED_STATES,
    TERMINAL_STATES,
    GovernanceState,
    admitted_delta,
)
from tests.support.motions import INTRODUCER, MOTION_ID, NOON, Scenario, person, signing_knight

S = GovernanceState
Command = Callable[["Scenario"], object]

STEPS_TO_THE_END = 40

# -- What may befall a motion ------------------------------------------------------------------


def succeed(flow: Scenario, next_state: S | None = None, who: str | None = None) -> None:
    if flow.motion.routing is None:
        return
    output: dict[str, Any] = {"did": "well"}
    if flow.routing.purpose is Purpose.REVIEW:
        output = {"decision": "resume"}
    flow.succeeds(output, next_state=next_state, by=person(who) if who else None)


def vote_or_revise(flow: Scenario, output: dict[str, Any], next_state: S | None) -> None:
    routed = flow.motion.routing
    if routed is not None and routed.purpose in (Purpose.DELIBERATE, Purpose.REVISE):
        flow.succeeds(output, next_state=next_state)


def fail(flow: Scenario, error_type: str | None) -> None:
    if flow.motion.routing is not None:
        flow.fails(error_type)


def review(flow: Scenario, decision: str) -> None:
    if flow.motion.routing is not None and flow.routing.purpose is Purpose.REVIEW:
        flow.review(decision, until="2026-03-20T00:00:00Z")


def intrude(flow: Scenario, branch: GovernanceBranch, next_state: S, routing_id: int) -> None:
    flow.report(
        branch, next_state=next_state, by=person("mallory"), routing_id=UUID(int=routing_id)
    )


def repeat(flow: Scenario, which: int) -> None:
    answers = list(flow.motion.answers.values())
    if answers:
        answer = answers[which % len(answers)]
        before = len(flow.events)
        again = flow.report(answer.record.branch, routing_id=answer.routing_id)
        assert again == answer
        assert len(flow.events) == before


def overrun(flow: Scenario, hours: int) -> None:
    flow.wait(hours=hours)
    if flow.motion.routing is not None:
        flow.expire()


def set_halted(flow: Scenario, halted: bool) -> None:
    if halted and not flow.pipeline.halted:
        flow.halt()
    if not halted and flow.pipeline.halted:
        flow.resume().proceed()


def set_knight(flow: Scenario, awake_for: int | None) -> None:
    """Let the Knight witness so many transitions more, or all (None)."""
    left = [awake_for]

    def knight(request: Any) -> Any:
        if left[0] is None:
            return signing_knight(request)
        left[0] -= 1
        return signing_knight(request) if left[0] >= 0 else Scenario.sleeping(request)

    flow.knight = knight


def command(function: Callable[..., object], **arguments: st.SearchStrategy[Any]) -> Any:
    built = st.fixed_dictionaries(arguments)
    return built.map(lambda chosen: partial(function, **chosen))


STATES = st.sampled_from(S)
OUTPUTS = st.sampled_from(
    [
        {},
        {"until": "2026-03-09T00:00:00Z"},
        {"until": "never"},
        {"title": "Build a ferry", "ballots": {"bo": "no"}},
        {"ballots": {"bo": ["no"]}},
    ]
)
ERROR_TYPES = st.sampled_from([*ERROR_TYPE_MAP, "odd", None])

COMMANDS: st.SearchStrategy[Command] = st.one_of(
    command(succeed),
    command(succeed),
    command(succeed),
    command(succeed, next_state=STATES),
    command(succeed, who=st.sampled_from([INTRODUCER, "max"])),
    command(
        vote_or_revise,
        output=OUTPUTS,
        next_state=st.sampled_from([None, S.RATIFIED, S.TABLED, S.REJECTED, S.WITHDRAWN]),
    ),
    command(fail, error_type=ERROR_TYPES),
    command(fail, error_type=ERROR_TYPES),
    command(review, decision=st.sampled_from([*(d.value for d in ReviewDecision), "what?"])),
    command(
        intrude,
        branch=st.sampled_from(GovernanceBranch),
        next_state=STATES,
        routing_id=st.integers(1, 30),
    ),
    command(repeat, which=st.integers(0, 30)),
    command(overrun, hours=st.sampled_from([0, 1, 100])),
    command(
        Scenario.resolve,
        decision=st.sampled_from(Resolution),
        by=st.sampled_from(["zoe", INTRODUCER, "max"]),
    ),
    command(Scenario.resolve, decision=st.sampled_from(Resolution)),
    command(Scenario.amend, by=st.sampled_from([INTRODUCER, "zoe"]), title=st.just("Build it")),
    command(Scenario.withdraw, by=st.sampled_from(["zoe", "zoe", "zoe", INTRODUCER])),
    command(Scenario.proceed),
    command(set_halted, halted=st.booleans()),
    command(set_knight, awake_for=st.sampled_from([None, None, 0, 1])),
)
LIVE_STATES = st.sampled_from([state for state in S if state not in TERMINAL_STATES])


@st.composite
def lives(draw: st.DrawFn) -> list[Command]:
    """Lead a motion somewhere, and then let anything happen to it."""
    start = draw(LIVE_STATES)
    return [lambda flow: flow.reaching(start), *draw(st.lists(COMMANDS, min_size=10, max_size=30))]


def live(flow: Scenario, commands: list[Command]) -> dict[UUID, Answer]:
    """Let it all happen, checking after each; return what each completion was answered."""
    answers: dict[UUID, Answer] = {}
    for carry_out in commands:
        ended = flow.motion if flow.motion.terminal else None
        with suppress(Refused, ViolationRefused):
            carry_out(flow)
        assert ended is None or flow.motion is ended
        check(flow)
        for routing_id, answer in flow.motion.answers.items():
            answers.setdefault(routing_id, answer)
    return answers


# -- What holds at any time --------------------------------------------------------------------


def check(flow: Scenario) -> None:
    motion = flow.motion
    routed = {event.routing_id for event in flow.events if isinstance(event, MotionRouted)}
    opened = {motion.routing.routing_id} if motion.routing else set()
    assert routed - set(motion.answers) - motion.superseded == opened
    assert not opened & (set(motion.answers) | motion.superseded)

    moves = [event for event in flow.events if isinstance(event, TransitionWitnessed)]
    held = sum(admitted_delta(move.from_state, move.to_state) for move in moves)
    assert held == (motion.state in ADMITTED_STATES)
    assert all(move.from_state not in TERMINAL_STATES for move in moves)

    stands_still = bool(motion.pauses) and motion.pauses[-1].end is None
    assert stands_still is (motion.block is not None)
    if motion.block is not None and motion.routing is not None and not motion.block.needs_person:
        assert motion.routing.purpose is Purpose.REVIEW or motion.resolution is not None
    assert motion.version == len(flow.events)
    check_next_action(flow)


def check_next_action(flow: Scenario) -> None:
    """What a motion waits for is what would move it, and nothing else would."""
    motion = flow.motion
    follows = proceed(motion, flow.context())
    action = next_action(motion)
    match action:
        case Finished():
            assert motion.terminal
        case AwaitBranch(routing):
            assert routing is motion.routing
        case AwaitPerson(error):
            assert error.event_id in {event.event_id for event in flow.events}
        case AwaitTakingUp():
            assert motion.state is S.TABLED
        case AwaitPlace(since):
            assert motion.state in (S.INTRODUCED, S.TABLED)
            assert bool(follows) is (since <= flow.now)
            return
        case AwaitOrchestrator():
            assert flow.pipeline.halted
            assert follows
            return
    assert not follows


# -- The properties ----------------------------------------------------------------------------


@given(lives())
@settings(max_examples=150)
def test_the_rules_hold_whatever_happens(commands: list[Command]) -> None:
    flow = Scenario()
    answers = live(flow, commands)
    assert flow.motion.answers == answers
    check_chain(flow)
    check_folding(flow)


def check_chain(flow: Scenario) -> None:
    """Every change of state has a statement that binds it and covers all since the last."""
    state, previous, since = S.INTRODUCED, None, 0
    for index, event in enumerate(flow.events):
        if not isinstance(event, TransitionWitnessed):
            continue
        said = json.loads(event.statement.splitlines()[1])
        assert (said["from"], said["to"]) == (state, event.to_state)
        assert (said["version"], said["motion_id"]) == (index + 1, str(MOTION_ID))
        assert said["cause"]["reason"] == event.cause.reason
        assert said["actor"]["id"] == event.actor.id
        assert said["previous_statement"] == previous
        assert [(c["version"], c["sha256"]) for c in said["covers"]] == [
            (covered + 1, sha256(flow.stored[covered]).hexdigest())
            for covered in range(since, index)
        ]
        state, previous, since = event.to_state, sha256(event.statement.encode()).hexdigest(), index
    assert flow.motion.state is state


def check_folding(flow: Scenario) -> None:
    """Only transitions change the state, and what was stored folds to what was in memory."""
    motion: Motion | None = None
    for event, stored in zip(flow.events, flow.stored, strict=True):
        read: MotionEvent = type(event).model_validate_json(stored)
        before, motion = motion, evolve(motion, read, MOTION_ID)
        changed = before is not None and before.state is not motion.state
        assert changed is isinstance(event, TransitionWitnessed)
    assert motion == flow.motion


@given(lives(), st.integers(0, 60))
@settings(max_examples=30)
def test_a_motion_can_be_folded_in_parts(commands: list[Command], cut: int) -> None:
    flow = Scenario()
    live(flow, commands)
    motion: Motion | None = None
    for event in flow.events[:cut]:
        motion = evolve(motion, event, MOTION_ID)
    for event in flow.events[cut:]:
        motion = evolve(motion, event, MOTION_ID)
    assert motion == flow.motion


@given(lives())
@settings(max_examples=150)
def test_every_motion_can_be_brought_to_its_end_by_those_it_waits_for(
    commands: list[Command],
) -> None:
    flow = Scenario()
    live(flow, commands)
    flow.knight = signing_knight
    set_halted(flow, halted=False)
    for _ in range(STEPS_TO_THE_END):
        match next_action(flow.motion):
            case Finished():
                return
            case AwaitBranch():
                succeed(flow)
            case AwaitPerson():
                flow.resolve(Resolution.RETRY, by="yan")
            case AwaitTakingUp():
                flow.resolve(Resolution.TAKE_UP, by="yan")
            case AwaitPlace(since):
                flow.now = max(flow.now, since)
                flow.proceed()
            case AwaitOrchestrator():
                flow.proceed()
        assert flow.news, f"nothing came of it in {flow.state}"
        check(flow)
    raise AssertionError(f"still {flow.state} after {STEPS_TO_THE_END} steps")


@given(lives())
@settings(max_examples=30)
def test_time_never_runs_backwards_for_an_open_routing(commands: list[Command]) -> None:
    flow = Scenario()
    live(flow, commands)
    for event in flow.events:
        if isinstance(event, MotionRouted) and event.deadline is not None:
            assert event.deadline > max(event.timestamp, event.not_before or NOON)
