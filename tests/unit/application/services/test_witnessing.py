"""No state changes without the Knight's statement, whatever the Knight does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest

from governance_flow.application.ports.event_store import CommittedEvent
from governance_flow.application.ports.flow_orchestrator import GovernanceState, Purpose
from governance_flow.application.ports.knight_witness import WitnessRequest, WitnessStatement
from governance_flow.domain.canonical import canonical_json
from governance_flow.domain.events import OrchestratorError, TransitionWitnessed
from governance_flow.domain.witness import STATEMENT_HEADER
from governance_flow.transparency.notes import Note, sign_note
from tests.support.clock import ManualClock
from tests.support.flows import (
    ZOE,
    Postbox,
    ScriptedKnight,
    cast,
    failing,
    opened,
    tabling,
)
from tests.support.keys import KNIGHT, LOG
from tests.support.motions import INTRODUCER, failing_knight, honest_knight

S = GovernanceState

IMPATIENT = {"knight": {"witness_timeout_seconds": 0.01}}


# -- Knights that cannot be relied on ----------------------------------------------------------


async def hanging(_request: WitnessRequest) -> WitnessStatement:
    await asyncio.Event().wait()
    raise AssertionError


async def cancelling(_request: WitnessRequest) -> WitnessStatement:
    raise asyncio.CancelledError


def forging(**changes: Any) -> Any:
    """Bear witness to something that is not quite what was asked."""

    def forge(request: WitnessRequest) -> WitnessStatement:
        body = {**request.binding, "witness": "sir forge", **changes}
        return WitnessStatement(f"{STATEMENT_HEADER}\n{canonical_json(body)}\n")

    return forge


def spaced(request: WitnessRequest) -> WitnessStatement:
    body = json.dumps({**request.binding, "witness": "sir lax"})
    return WitnessStatement(f"{STATEMENT_HEADER}\n{body}\n")


def strange_keys(request: WitnessRequest) -> WitnessStatement:
    body = {**request.binding, "witness": "sir odd", "\ud800\x00" * 10_000: 1}
    return WitnessStatement(f"{STATEMENT_HEADER}\n{json.dumps(body)}\n")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("it cannot be said")


UNRELIABLE: dict[str, tuple[object, str]] = {
    "fails": (failing_knight, "the Knight sleeps"),
    "raises": (RuntimeError("fell off his horse"), "RuntimeError: fell off his horse"),
    "raises what cannot be stored": (ValueError("a\x00b\ud800"), r"ValueError: a\x00b\ud800"),
    "raises what cannot be said": (Unspeakable(), "Unspeakable"),
    "raises at great length": (ValueError("y" * 100_000), "yyy…"),
    "raises TimeoutError": (TimeoutError("the bell"), "TimeoutError: the bell"),
    "hangs": (hanging, "did not answer within 0.01 s"),
    "cancels himself": (cancelling, "cancelled itself"),
    "leaves": (SystemExit(1), "SystemExit: 1"),
    "returns None": (None, "returned NoneType, not a WitnessStatement"),
    "returns a text": (lambda _: "I saw it", "returned str"),
    "returns bytes": (lambda _: WitnessStatement(b"x"), "returned WitnessStatement"),  # type: ignore[arg-type]
    "returns rubbish": (lambda _: WitnessStatement("I saw it"), "does not begin with"),
    "returns a header": (lambda _: WitnessStatement(f"{STATEMENT_HEADER}\n"), "not JSON"),
    "returns a list": (lambda _: WitnessStatement(f"{STATEMENT_HEADER}\n[]\n"), "not an object"),
    "returns a surrogate": (lambda _: WitnessStatement("\ud800"), "cannot be encoded"),
    "returns a book": (lambda _: WitnessStatement("y" * 1_000_001), "has 1000001 characters"),
    "names nobody": (forging(witness=""), "does not name its witness"),
    "sees another motion": (forging(motion_id=str(UUID(int=7))), "bind the transition: motion_id"),
    "sees another state": (forging(to="ACKNOWLEDGED"), "bind the transition: to"),
    "sees another version": (forging(version=1), "bind the transition: version"),
    "covers nothing": (forging(covers=[]), "bind the transition: covers"),
    "breaks the chain": (forging(previous_statement=None), "transition: previous_statement"),
    "says more": (forging(weather="fine"), "bind the transition: weather"),
    "says strange things": (strange_keys, "bind the transition"),
    "writes carelessly": (spaced, "not canonical JSON"),
}  # fmt: skip


@pytest.mark.parametrize(("unreliable", "said"), UNRELIABLE.values(), ids=UNRELIABLE)
async def test_without_a_valid_statement_nothing_moves_and_nothing_is_lost(
    unreliable: object, said: str
) -> None:
    async with opened(settings=IMPATIENT) as flow:
        motion = await flow.reach(S.EXECUTING)
        before = await flow.length(motion)
        flow.knight.then(unreliable if callable(unreliable) else _answering(unreliable))
        outcome = await flow.succeeds(motion, {"built": True})
        assert (outcome.accepted, outcome.status, outcome.state) == (True, "escalated", S.EXECUTING)
        assert await flow.story(motion, before) == [
            "completed: execute by duke_service",
            "error: system_error, halt_and_alert",
        ]
        error = await flow.last(motion, OrchestratorError)
        assert said in error.message
        assert len(error.message) <= 8_000
        assert (error.branch, error.routing_id) == ("knight", None)
        status = await flow.status(motion)
        assert status.current_state is S.EXECUTING
        assert status.next_action is not None
        assert status.next_action.kind == "person"
        assert len(status.blocking_issues) == 1

        # Once a person says so, what was reported is applied, and not asked for again.
        after = await flow.orchestrator.resolve_escalation(motion, ZOE, "retry")
        assert after.current_state is S.JUDGING
        assert await flow.story(motion, before + 2) == [
            "resolved: retry by zoe",
            "moved: EXECUTING > JUDGING (advance)",
            "routed: judge to prince_service",
        ]
        assert (await flow.motion(motion)).outputs[Purpose.EXECUTE] == {"built": True}


def _answering(answer: object) -> object:
    """Raise an error, and return anything else."""
    return answer if isinstance(answer, BaseException) else (lambda _request: answer)


async def test_being_cancelled_while_the_knight_thinks_is_not_the_knights_fault() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        before = await flow.length(motion)
        asked = asyncio.Event()

        async def thinking(request: WitnessRequest) -> WitnessStatement:
            asked.set()
            return await hanging(request)

        flow.knight.then(thinking)
        completing = asyncio.create_task(flow.succeeds(motion))
        await asked.wait()
        completing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await completing
        assert await flow.length(motion) == before
        assert (await flow.succeeds(motion)).state is S.JUDGING


# -- Every kind of transition ------------------------------------------------------------------


async def test_an_admission_that_is_not_witnessed_leaves_the_motion_in_the_docket(
    store_address: str,
) -> None:
    async with opened(store_address) as flow:
        motion = await flow.introduce()
        flow.knight.then(failing_knight)
        status = await flow.orchestrator.process_motion(motion)
        assert status.current_state is S.INTRODUCED
        assert status.blocking_issues == ("system_error: the Knight sleeps",)
        assert (await flow.flow.store.head()).admitted == 0
        status = await flow.orchestrator.resolve_escalation(motion, ZOE, "retry")
        assert (status.current_state, status.blocking_issues) == (S.INTRODUCED, ())
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED
        assert (await flow.story(motion))[1:4] == [
            "error: system_error, halt_and_alert",
            "resolved: retry by zoe",
            "moved: INTRODUCED > DELIBERATING (advance)",
        ]


async def test_a_ratified_motion_whose_next_step_is_not_witnessed_rests_ratified() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.DELIBERATING)
        before = await flow.length(motion)
        flow.knight.then(honest_knight, failing_knight)
        outcome = await flow.succeeds(motion)
        assert (outcome.status, outcome.state) == ("escalated", S.RATIFIED)
        assert await flow.story(motion, before) == [
            "completed: deliberate by conclave_service",
            "moved: DELIBERATING > RATIFIED (advance)",
            "error: system_error, halt_and_alert",
        ]
        await flow.orchestrator.resolve_escalation(motion, ZOE, "retry")
        assert await flow.story(motion, before + 4) == [
            "moved: RATIFIED > PLANNING (advance)",
            "routed: plan to president_service",
        ]


async def test_a_return_that_is_not_witnessed_is_made_later() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        before = await flow.length(motion)
        flow.knight.then(failing_knight)
        await flow.fails(motion, "validation_error", "no dates")
        assert await flow.state(motion) is S.EXECUTING
        # The return itself was never made, so it is not in the record as if it had been.
        assert await flow.story(motion, before) == [
            "failed: execute by duke_service, validation_error",
            "error: system_error, halt_and_alert",
        ]
        await flow.orchestrator.resolve_escalation(motion, ZOE, "retry")
        assert await flow.story(motion, before + 3) == [
            "error: validation_error, return_to_previous",
            "moved: EXECUTING > PLANNING (return)",
            "routed: plan to president_service",
        ]


async def test_a_withdrawal_that_is_not_witnessed_is_not_made() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.DELIBERATING)
        flow.knight.then(failing_knight)
        status = await flow.orchestrator.withdraw_motion(motion, INTRODUCER)
        assert status.current_state is S.DELIBERATING
        assert status.last_error == "system_error: the Knight sleeps"
        # What the branch was doing goes on, and what it reports is kept.
        outcome = await flow.succeeds(motion)
        assert (outcome.status, outcome.state) == ("recorded", S.DELIBERATING)
        await flow.orchestrator.resolve_escalation(motion, ZOE, "retry")
        assert await flow.state(motion) is S.PLANNING


async def test_the_knight_may_fail_as_often_as_a_person_tries_again() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.WITNESSING)
        await flow.succeeds(motion)
        flow.knight.then(failing_knight, failing_knight, failing_knight)
        await flow.succeeds(motion)
        for _ in range(2):
            status = await flow.orchestrator.resolve_escalation(motion, ZOE, "retry")
            assert status.current_state is S.WITNESSING
            flow.clock.advance(700)
        status = await flow.orchestrator.resolve_escalation(motion, ZOE, "retry")
        assert status.current_state is S.ACKNOWLEDGED
        assert [done.purpose for done in await flow.completions(motion)].count(
            Purpose.ACKNOWLEDGE
        ) == 1


# -- The worker lives through it ---------------------------------------------------------------


@pytest.mark.parametrize(
    "unreliable", [failing_knight, RuntimeError("!"), SystemExit(), cancelling, hanging]
)
async def test_the_worker_goes_on_with_other_motions_and_an_alert_goes_out(
    unreliable: object,
) -> None:
    knight, postbox = ScriptedKnight(), Postbox()
    async with opened(knight=knight, sinks=[postbox], settings=IMPATIENT) as flow:
        stuck = await flow.introduce("stuck")
        knight.then(unreliable)
        await flow.idle()
        other = await flow.introduce("other")
        await flow.idle()
        assert await flow.state(stuck) is S.INTRODUCED
        assert await flow.state(other) is S.ACKNOWLEDGED
        assert [(alert.kind, alert.motion_id) for alert in postbox.alerts] == [
            ("motion_halted", stuck)
        ]
        await flow.orchestrator.retry_motion(stuck, ZOE)
        await flow.idle()
        assert await flow.state(stuck) is S.ACKNOWLEDGED


# -- The chain ---------------------------------------------------------------------------------


def check_chain(stored: Sequence[CommittedEvent]) -> int:
    """Follow a motion's statements from its stored bytes alone; return how many there are."""
    previous, uncovered, statements = None, [], 0
    for item in stored:
        digest = {"version": item.originator_version, "sha256": sha256(item.state).hexdigest()}
        if item.topic != "TRANSITION_WITNESSED":
            uncovered.append(digest)
            continue
        event = json.loads(item.state)
        header, line, _ = event["statement"].split("\n", 2)
        said = json.loads(line)
        assert header == STATEMENT_HEADER
        assert said["motion_id"] == str(item.originator_id)
        assert said["version"] == item.originator_version
        assert (said["from"], said["to"]) == (event["from_state"], event["to_state"])
        assert said["cause"]["kind"] == event["cause"]["kind"]
        assert said["actor"] == event["actor"]
        assert said["previous_statement"] == previous
        assert said["covers"] == uncovered
        previous = sha256(event["statement"].encode()).hexdigest()
        uncovered = [digest]
        statements += 1
    return statements


async def test_statements_chain_per_motion_and_leave_nothing_uncovered(
    store_address: str, clock: ManualClock
) -> None:
    until = (clock.now() + timedelta(days=1)).isoformat()
    branches = cast(
        conclave=[tabling(until=until)],
        president=[failing("timeout_error")],
        duke=[failing("validation_error")],
        prince=[failing("permission_error")],
    )
    async with opened(store_address, clock=clock, branches=branches) as flow:
        motions = [await flow.introduce(f"motion {number}") for number in range(3)]
        withdrawn = await flow.introduce()
        await flow.orchestrator.withdraw_motion(withdrawn, INTRODUCER)
        await flow.idle()
        clock.advance(hours=24)
        await flow.idle()
        clock.advance(5)
        await flow.idle()
        lengths = []
        for motion in motions:
            assert await flow.state(motion) is S.ACKNOWLEDGED
            stored = await flow.stored(motion)
            assert stored[-1].topic == "TRANSITION_WITNESSED"
            lengths.append(check_chain(stored))
        assert min(lengths) == 7
        assert sum(lengths) == 3 * 7 + 2 + 2
        assert check_chain(await flow.stored(withdrawn)) == 1


async def test_the_knight_is_asked_about_every_change_of_state(clock: ManualClock) -> None:
    async with opened(clock=clock) as flow:
        motion = await flow.reach(S.JUDGING)
        await flow.fails(motion, "validation_error")
        await flow.reach(S.ACKNOWLEDGED, motion)
        moves = [e for e in await flow.events(motion) if isinstance(e, TransitionWitnessed)]
        asked = [(r.transition.from_state, r.transition.to_state) for r in flow.knight.requests]
        assert [(move.from_state, move.to_state) for move in moves] == asked
        assert [r.version for r in flow.knight.requests] == [
            item.originator_version
            for item in await flow.stored(motion)
            if item.topic == "TRANSITION_WITNESSED"
        ]


async def test_a_signature_below_the_statement_is_kept_to_the_letter() -> None:
    def signing(request: WitnessRequest) -> WitnessStatement:
        return WitnessStatement(sign_note(honest_knight(request).text, [LOG]))

    async with opened() as flow:
        motion = await flow.introduce()
        flow.knight.then(signing)
        await flow.reach(S.ACKNOWLEDGED, motion)
        [first, *_] = [e for e in await flow.events(motion) if isinstance(e, TransitionWitnessed)]
        by = [signature.name for signature in Note.parse(first.statement).signatures]
        assert by == [LOG.name, KNIGHT.name]
        assert check_chain(await flow.stored(motion)) == 7
