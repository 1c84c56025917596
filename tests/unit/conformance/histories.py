"""Lawful histories, made by the product itself, in which everything happens that can happen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

from governance_flow.application.ports.flow_orchestrator import BranchResult
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.errors import ViolationRefused
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.states import GovernanceState
from tests.support.flows import ZOE, PlayedFlow, opened
from tests.support.histories import eventful
from tests.support.motions import INTRODUCER, failing_knight
from tests.unit.conformance.exported import Event, exported

S = GovernanceState

Story = Callable[[PlayedFlow], Awaitable[object]]

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "powers are kept apart otherwise": {
        "separation_of_powers": {"excludes": {"conclave": ["president"]}}
    },
    "people outside do not answer": {
        "branches": {"duke_service": {"kind": "external", "attempt_timeout_seconds": 60.0}}
    },
}
"""What is configured otherwise in some of the stories."""


async def the_whole_way(flow: PlayedFlow) -> None:
    """Take three motions to the end, one after the other and two at once."""
    await flow.reach(S.ACKNOWLEDGED)
    first, second = await flow.introduce("A pier"), await flow.introduce("A weir")
    for state in (S.DELIBERATING, S.EXECUTING, S.WITNESSING, S.ACKNOWLEDGED):
        flow.clock.advance(hours=1)
        for motion in (first, second):
            if await flow.state(motion) is S.INTRODUCED or state is not S.DELIBERATING:
                await _further(flow, motion, state)


async def _further(flow: PlayedFlow, motion: UUID, state: S) -> None:
    if state is S.DELIBERATING:
        await flow.orchestrator.process_motion(motion)
    while await flow.state(motion) is not state:
        await flow.succeeds(motion)


async def returned_and_revised(flow: PlayedFlow) -> None:
    """Send one motion back to the King, who amends it; another, which he withdraws."""
    amended = await flow.reach(S.DELIBERATING)
    await flow.fails(amended, "validation_error", "too vague")
    flow.clock.advance(10)
    await flow.succeeds(amended, {"title": "Mend the bridge soon", "text": "By May."})
    await flow.reach(S.ACKNOWLEDGED, amended)
    withdrawn = await flow.reach(S.DELIBERATING)
    await flow.fails(withdrawn, "validation_error", "not ours to decide")
    await flow.succeeds(withdrawn, next_state=S.WITHDRAWN)


async def returned_too_often(flow: PlayedFlow) -> None:
    """Return a motion out of a state until that becomes a review, which says resume."""
    motion = await flow.reach(S.EXECUTING)
    for _ in range(2):
        await flow.fails(motion, "validation_error", "cannot be done")
        flow.clock.advance(60)
        await flow.succeeds(motion)
    await flow.fails(motion, "validation_error", "still cannot")
    await flow.succeeds(motion, {"decision": "resume"})
    await flow.fails(motion, "validation_error", "no, it cannot")
    await flow.reach(S.ACKNOWLEDGED, motion)


async def reviewed(flow: PlayedFlow) -> None:
    """Let reviews end in every way there is."""
    for answer in ("resume", "return", "table", "reject"):
        motion = await flow.reach(S.JUDGING)
        await flow.fails(motion, "compliance_error", "against the by-laws")
        flow.clock.advance(60)
        if answer == "resume":
            await flow.succeeds(motion, {"decision": "perhaps"})
        await flow.succeeds(motion, {"decision": answer, "reason": "so decided"})
    undecided = await flow.reach(S.PLANNING)
    await flow.fails(undecided, "permission_error")
    for _ in range(3):
        await flow.succeeds(undecided, {"decision": "perhaps"})
    await flow.orchestrator.resolve_escalation(undecided, ZOE, Resolution.RETURN, "start again")
    await flow.reach(S.ACKNOWLEDGED, undecided)
    offender = await flow.reach(S.DELIBERATING)
    await flow.fails(offender, "compliance_error", "the Conclave itself")
    await flow.orchestrator.resolve_escalation(offender, ZOE, Resolution.RETRY)
    await flow.succeeds(offender)


async def timed_out(flow: PlayedFlow) -> None:
    """Let attempts time out until they are given up, and let a deadline pass."""
    motion = await flow.reach(S.PLANNING)
    for _ in range(4):
        await flow.fails(motion, "timeout_error", "no answer")
        flow.clock.advance(400)
    await flow.orchestrator.resolve_escalation(motion, ZOE, Resolution.RETRY)
    flow.clock.advance(hours=100)
    await flow.orchestrator.process_motion(motion)
    flow.clock.advance(10)
    await flow.reach(S.ACKNOWLEDGED, motion)


async def nobody_outside(flow: PlayedFlow) -> None:
    """Let those who fetch their work take too long for it."""
    motion = await flow.reach(S.EXECUTING)
    flow.clock.advance(61)
    await flow.orchestrator.process_motion(motion)
    flow.clock.advance(20)
    await flow.succeeds(motion)


async def tabled(flow: PlayedFlow) -> None:
    """Table one motion until a date, one without, one for ever; amend and withdraw."""
    dated, undated = await flow.reach(S.DELIBERATING), await flow.reach(S.DELIBERATING)
    until = flow.clock.now() + timedelta(days=3)
    await flow.succeeds(dated, {"until": until.isoformat()}, next_state=S.TABLED)
    await flow.succeeds(undated, next_state=S.TABLED)
    flow.clock.advance(hours=73)
    await flow.orchestrator.process_motion(dated)
    await flow.orchestrator.amend_motion(undated, INTRODUCER, text="After the flood.")
    await flow.orchestrator.retry_motion(undated, ZOE)
    await flow.orchestrator.process_motion(undated)
    await flow.succeeds(undated, next_state=S.REJECTED)
    again = await flow.introduce()
    await flow.orchestrator.amend_motion(again, INTRODUCER, title="Mend it well")
    await flow.reach(S.TABLED, again)
    await flow.orchestrator.withdraw_motion(again, INTRODUCER)
    await flow.orchestrator.withdraw_motion(await flow.reach(S.DELIBERATING), INTRODUCER)


async def unwitnessed(flow: PlayedFlow) -> None:
    """Let the Knight fail, and a person decide; let people decide in every way."""
    for decision in (Resolution.RETRY, Resolution.RETURN, Resolution.REVIEW):
        motion = await flow.reach(S.EXECUTING)
        flow.knight.then(failing_knight)
        await flow.succeeds(motion)
        flow.clock.advance(300)
        await flow.orchestrator.resolve_escalation(motion, ZOE, decision, "as it must be")
        await flow.succeeds(motion)


async def not_withdrawn(flow: PlayedFlow) -> None:
    """Let a withdrawal go unwitnessed while the Conclave deliberates, which then fails."""
    motion = await flow.reach(S.DELIBERATING)
    flow.knight.then(failing_knight)
    await flow.orchestrator.withdraw_motion(motion, INTRODUCER)
    await flow.fails(motion, "timeout_error", "no quorum")
    await flow.orchestrator.resolve_escalation(motion, ZOE, Resolution.RETRY)
    await flow.succeeds(motion)


async def halted(flow: PlayedFlow) -> None:
    """Halt the pipeline while work is under way; what is reported meanwhile is applied later."""
    going, failing = await flow.reach(S.PLANNING), await flow.reach(S.JUDGING)
    await flow.halt()
    flow.clock.advance(hours=5)
    await flow.succeeds(going)
    await flow.fails(failing, "validation_error", "not judged")
    await flow.resume()
    for motion in (going, failing):
        await flow.orchestrator.process_motion(motion)
        await flow.reach(S.ACKNOWLEDGED, motion)


async def broken_down(flow: PlayedFlow) -> None:
    """Let so many things fail that the pipeline halts itself."""
    motions = [await flow.reach(S.PLANNING) for _ in range(6)]
    for motion in motions[:5]:
        flow.clock.advance(20)
        await flow.fails(motion, "system_error", "out of disk")
    await flow.resume()
    for motion in motions[:2]:
        await flow.orchestrator.resolve_escalation(motion, ZOE, Resolution.RETRY)
        await flow.reach(S.ACKNOWLEDGED, motion)


async def refused(flow: PlayedFlow) -> None:
    """Have acts refused: a stranger's, which changes nothing, and two of who was asked."""
    motion = await flow.reach(S.PLANNING)
    stranger = BranchResult(
        motion, GovernanceBranch.DUKE, success=True, output={}, next_state=S.JUDGING, actor="zed"
    )
    await _refused(flow, motion, stranger)
    collapsing = BranchResult(
        motion,
        GovernanceBranch.PRINCE,
        True,
        {},
        None,
        actor=INTRODUCER,
    )
    await _refused(flow, motion, collapsing)
    await flow.succeeds(motion)
    await flow.succeeds(motion, next_state=S.WITNESSING)
    await flow.succeeds(motion, {"decision": "resume"})
    await flow.succeeds(motion)
    await flow.succeeds(motion, actor=INTRODUCER)
    await flow.succeeds(motion, {"decision": "resume"})
    await flow.reach(S.ACKNOWLEDGED, motion)


async def _refused(flow: PlayedFlow, motion: UUID, result: BranchResult) -> None:
    try:
        await flow.orchestrator.handle_completion(motion, result)
    except ViolationRefused:
        return
    raise AssertionError("it was not refused")


async def under_other_powers(flow: PlayedFlow) -> None:
    """Let one who introduced a motion plan it too: as configured, that is allowed."""
    motion = await flow.reach(S.PLANNING)
    await flow.succeeds(motion, actor=INTRODUCER)
    await flow.reach(S.ACKNOWLEDGED, motion)


STORIES: Mapping[str, Story] = {
    "the whole way": the_whole_way,
    "much happens": eventful,
    "returned and revised": returned_and_revised,
    "returned too often": returned_too_often,
    "reviewed": reviewed,
    "timed out": timed_out,
    "people outside do not answer": nobody_outside,
    "tabled": tabled,
    "unwitnessed": unwitnessed,
    "not withdrawn": not_withdrawn,
    "halted": halted,
    "broken down": broken_down,
    "refused": refused,
    "powers are kept apart otherwise": under_other_powers,
}


@cache
def history(name: str) -> tuple[Event, ...]:
    """Return the log of a story. It is made once, and nobody changes its events."""

    async def tell() -> tuple[Event, ...]:
        async with opened(settings=SETTINGS.get(name, {})) as flow:
            await STORIES[name](flow)
            return tuple(await exported(flow.flow))

    return asyncio.run(tell())


async def reconfigured(address: str, settings: list[Mapping[str, Any]]) -> list[Event]:
    """Return the log of a store that was opened under one configuration after the other."""
    events: list[Event] = []
    for number, configured in enumerate(settings):
        async with opened(address, settings=configured) as flow:
            motion = await flow.reach(S.EXECUTING)
            await flow.fails(motion, "timeout_error")
            if number:
                await flow.reach(S.ACKNOWLEDGED, motion)
            events = await exported(flow.flow)
    return events
