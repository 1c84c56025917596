"""Branches and Knights that do not do what they should: silent, hung, too eager, too late."""

from __future__ import annotations

import asyncio
import json
import signal
from dataclasses import replace
from functools import partial
from uuid import UUID

from governance_flow.application.ports.flow_orchestrator import ActionKind, BranchAssignment
from governance_flow.domain.branches import DUKE_SERVICE, PRESIDENT_SERVICE, PRINCE_SERVICE
from governance_flow.domain.errors import CompletionRefused
from tests.faults.stage import Stage
from tests.faults.worker import HOLD, SILENT, SILENT_ONCE, TWICE, number_of
from tests.faults.workers import Workman
from tests.support.driving import FATES, answer, motion_id

HUNG_STATES = ("INTRODUCED", "DELIBERATING", "RATIFIED", "PLANNING", "EXECUTING", "WITNESSING")
"""States out of which a worker's Knight witnesses; out of JUDGING the driving program's does."""

FIRST, SECOND = "the first", "the second"

IMPATIENT = {
    "knight": {"witness_timeout_seconds": 0.2},
    "retry": {"max_attempts": 1, "backoff_seconds": [0.0]},
    "branches": {
        PRINCE_SERVICE: {"kind": "external"},
        DUKE_SERVICE: {"kind": "builtin", "attempt_timeout_seconds": 0.3},
    },
}


async def hang_knight(stage: Stage, times: int) -> None:
    """Let the Knight hang for so many motions; a person lets them go on once he is well."""
    hung = [(number, stage.rng.choice(HUNG_STATES)) for number in ordinary(stage, times)]
    await stage.start_all(2, hangs=hung)
    await stage.introduce_these([number for number, _ in hung])
    await stage.introduce(times)
    await stage.rest()
    for number, state in hung:
        await _require_person(stage, motion_id(number), state)
    for workman in stage.workers:
        workman.tell("wake")
    stage.resolving = True
    await stage.rest()


async def fall_silent(stage: Stage, times: int) -> None:
    """Let the Duke not answer: the first time he is asked, or whenever he is."""
    numbers = ordinary(stage, 2 * times)
    once, always = numbers[:times], numbers[times:]
    manners = dict.fromkeys(once, SILENT_ONCE) | dict.fromkeys(always, SILENT)
    await stage.start_all(2, manners={DUKE_SERVICE: manners})
    await stage.introduce_these(numbers)
    await stage.introduce(times)
    await stage.rest()
    for number in always:
        await _require_person(stage, motion_id(number), "EXECUTING")
    for number in once:
        if stage.states[motion_id(number)] != "ACKNOWLEDGED":
            stage.strangers.append(f"motion {number} was not tried again")
    for workman in stage.workers:
        workman.tell("speak")
    stage.resolving = True
    await stage.rest()


async def answer_twice(stage: Stage, times: int) -> None:
    """Let the President report each result four times, and the Prince three times."""
    numbers = ordinary(stage, times)
    stage.judge_times = 3
    manners = {PRESIDENT_SERVICE: dict.fromkeys(numbers, TWICE)}
    await stage.start_all(2, manners=manners)
    await stage.introduce_these(numbers)
    await stage.rest()
    handed_in = [line for one in stage.workers for line in one.said if line["said"] == "handed in"]
    if len(handed_in) < times:
        stage.strangers.append(f"only {len(handed_in)} results were handed in again")
    for line in handed_in:
        if len({tuple(told) for told in line["told"]}) != 1:
            stage.strangers.append(f"told different things about one result: {line}")


async def answer_late_outside(stage: Stage, times: int) -> None:
    """Let somebody outside answer when the lease has gone to another, who then answers as well."""
    stage.judging = False
    await stage.start_all(2)
    for _ in range(times):
        [number] = await stage.introduce_these(ordinary(stage, 1))
        motion = motion_id(number)
        await stage.until(partial(_is_judged, stage, motion), "the motion is judged")
        first = await _fetched(stage, FIRST, lease_seconds=0.2)
        second = await _fetched(stage, SECOND, lease_seconds=30.0)
        if stage.rng.random() < 0.5:
            if await _hand_in(stage, first, FIRST):
                stage.strangers.append(f"motion {motion}: accepted under a lease that was lost")
            await _hand_in(stage, second, SECOND)
        else:
            await asyncio.gather(_hand_in(stage, first, FIRST), _hand_in(stage, second, SECOND))
        # By now it is only what everybody knows, and the first answer is given again.
        await _hand_in(stage, first, FIRST)
        await _require_by(stage, motion, second.routing_id, SECOND)
    await stage.rest()


async def answer_late_inside(stage: Stage, times: int) -> None:
    """Stop a worker's process in the middle of its work, until another one has taken it over."""
    for _ in range(times):
        [number] = ordinary(stage, 1)
        await stage.start_all(2, manners={DUKE_SERVICE: {number: HOLD}})
        await stage.introduce_these([number])
        await stage.until(partial(_has_begun, stage, number, 1), "the Duke has begun")
        [(frozen, _)] = _begun(stage, number)
        frozen.signal(signal.SIGSTOP)
        try:
            await stage.until(partial(_has_begun, stage, number, 2), "another took over")
        finally:
            frozen.signal(signal.SIGCONT)
        order = [frozen, *(one for one in stage.workers if one is not frozen)]
        if stage.rng.random() < 0.5:
            order.reverse()
        for workman in order:
            workman.tell("go")
        await stage.rest()
        # Whoever took it last had the lease; what the others did is worth nothing.
        holder, routing_id = _begun(stage, number)[-1]
        await _require_by(stage, motion_id(number), routing_id, holder.name)
        await stage.dismiss()


def ordinary(stage: Stage, count: int) -> list[int]:
    """Choose motions whose every answer is a plain success, so that they go the whole way."""
    return stage.choose(count, step=len(FATES))


async def _require_person(stage: Stage, motion: UUID, state: str) -> None:
    """Note it unless the motion says that a person must act, where it got stuck."""
    status = await stage.flow.orchestrator.get_motion_status(motion)
    action = status.next_action
    if action is None or action.kind is not ActionKind.PERSON or status.current_state != state:
        stage.strangers.append(f"motion {motion} in {status.current_state} waits for {action}")


def _begun(stage: Stage, number: int) -> list[tuple[Workman, UUID]]:
    """Return who has begun to play the Duke for a motion, and on which routing, in order."""
    said = {"said": "begun", "service": DUKE_SERVICE, "number": number}
    return [
        (workman, UUID(line["routing_id"]))
        for workman, line in stage.heard
        if said.items() <= line.items()
    ]


def _has_begun(stage: Stage, number: int, times: int) -> bool:
    return len(_begun(stage, number)) >= times


def _is_judged(stage: Stage, motion: UUID) -> bool:
    return stage.states[motion] == "JUDGING"


async def _fetched(stage: Stage, by: str, lease_seconds: float) -> BranchAssignment:
    """Fetch the one assignment of the Prince's, as soon as nobody else holds it."""
    external, store = stage.flow.external, stage.flow.store
    async with asyncio.timeout(30):
        while True:
            fetched = await external.fetch(
                [PRINCE_SERVICE], by=by, limit=1, lease_seconds=lease_seconds
            )
            if fetched:
                return fetched[0]
            # Nothing says that a lease has run out: the store's clock is asked again.
            position = (await store.head()).position
            await store.wait_for_append(after_position=position, timeout_seconds=0.1)


async def _hand_in(stage: Stage, assignment: BranchAssignment, by: str) -> bool:
    """Answer, saying who does; returns whether it was accepted."""
    result = answer(number_of(assignment.title), assignment)
    named = replace(result, lease_token=assignment.lease_token, output={**result.output, "by": by})
    try:
        outcome = await stage.flow.orchestrator.handle_completion(assignment.motion_id, named)
    except CompletionRefused:
        return False
    stage.ledger.completed(assignment.motion_id, assignment.routing_id)
    return outcome.accepted


async def _require_by(stage: Stage, motion: UUID, routing_id: UUID, by: str) -> None:
    """Note it unless what is recorded is the answer of whoever held the lease."""
    for stored in await stage.flow.store.read_stream(motion):
        event = json.loads(stored.state)
        if stored.topic == "BRANCH_COMPLETED" and event["routing_id"] == str(routing_id):
            if event["output"].get("by") != by:
                stage.strangers.append(f"motion {motion}: recorded is {event['output']}, not {by}")
            return
    stage.strangers.append(f"motion {motion}: nobody's answer to {routing_id} is recorded")
