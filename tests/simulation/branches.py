"""Branches, Knights and pagers that do all there is to do, right and wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from governance_flow.application.ports.branch_services import CompletesLater
from governance_flow.application.ports.flow_orchestrator import BranchAssignment, BranchResult
from governance_flow.application.ports.knight_witness import WitnessRequest, WitnessStatement
from governance_flow.domain.branches import Purpose
from governance_flow.domain.errors import WitnessFailed
from governance_flow.domain.states import GovernanceState
from tests.simulation.ledger import NOTE, Ledger
from tests.simulation.virtual_time import VirtualClock
from tests.simulation.whims import Whims

if TYPE_CHECKING:
    from governance_flow.application.ports.alerts import Alert

S = GovernanceState

SendOff = Callable[[Coroutine[Any, Any, None]], None]
"""Starts something that goes on whatever becomes of the process that started it."""

RAISED = (TimeoutError, PermissionError, ValueError, RuntimeError)
WORK_SECONDS_MAX = 4.0
SLOW_SECONDS_MAX = 45.0
LATER_SECONDS_MAX = 60.0
VOTES = {S.RATIFIED: 80, S.REJECTED: 5, S.TABLED: 10, None: 5}
REVIEWS = {"resume": 50, "return": 15, "table": 8, "reject": 7, "perhaps": 20}


class Office:
    """Does the work of every branch, and hands in what others do later."""

    def __init__(
        self,
        whims: Whims,
        ledger: Ledger,
        clock: VirtualClock,
        send_off: SendOff,
        hand_in: Callable[[BranchResult], Coroutine[Any, Any, None]],
    ) -> None:
        self._whims = whims
        self._ledger = ledger
        self._clock = clock
        self._send_off = send_off
        self._hand_in = hand_in

    async def perform(self, assignment: BranchAssignment) -> BranchResult | CompletesLater:
        """Do the work of any branch, or something else."""
        whims = self._whims
        if whims.happens(whims.later):
            self._send_off(self.complete_later(assignment))
            return CompletesLater()
        result = await self._work(assignment)
        if _is_about(result, assignment) and whims.happens(whims.repeated):
            self._send_off(self._again(identified(result, assignment)))
        return result

    async def complete(self, assignment: BranchAssignment) -> None:
        """Do the work outside, and hand it in."""
        try:
            result = await self._work(assignment)
        except (TimeoutError, PermissionError, ValueError, RuntimeError) as error:
            # Whoever works outside reports what went wrong there; only they know what it was.
            result = self._failure(assignment, "system_error", str(error))
        if _is_about(result, assignment):
            named = identified(result, assignment)
            await self._hand_in(named)
            while self._whims.happens(self._whims.repeated):
                await self._again(named)

    async def complete_later(self, assignment: BranchAssignment) -> None:
        """Do the same, some time later."""
        await asyncio.sleep(self._whims.between(0, LATER_SECONDS_MAX))
        await self.complete(assignment)

    async def _again(self, result: BranchResult) -> None:
        await asyncio.sleep(self._whims.between(0, LATER_SECONDS_MAX))
        await self._hand_in(result)

    async def _work(self, assignment: BranchAssignment) -> BranchResult:
        whims = self._whims
        answer = whims.answer(assignment.purpose)
        slow = whims.happens(whims.slow)
        await asyncio.sleep(whims.between(0, SLOW_SECONDS_MAX if slow else WORK_SECONDS_MAX))
        match answer:
            case "success":
                return self._success(assignment)
            case "raises":
                raise whims.one_of(RAISED)("out of a service")
            case "hangs":
                await asyncio.sleep(24 * 3600)
                return self._success(assignment)
            case "cancels itself":
                raise asyncio.CancelledError
            case "skips a step":
                return replace(self._success(assignment), next_state=whims.one_of(list(S)))
            case "collapses a role":
                actor = whims.one_of((assignment.introduced_by, "ubiquitous"))
                return replace(self._success(assignment), actor=actor)
            case "rubbish":
                return self._rubbish(assignment)
            case "unnamed error":
                return self._failure(assignment, None, "it just failed")
            case error_type:
                return self._failure(assignment, error_type, f"{assignment.purpose} went wrong")

    def _rubbish(self, assignment: BranchAssignment) -> BranchResult:
        right = self._success(assignment)
        wrong: tuple[object, ...] = (
            "done!",
            replace(right, motion_id=UUID(int=0)),
            replace(right, output={**right.output, "not a number": float("nan")}),
            replace(right, output={**right.output, "lone surrogate": "\ud800"}),
        )
        return cast("BranchResult", self._whims.one_of(wrong))

    def _failure(
        self, assignment: BranchAssignment, error_type: str | None, message: str
    ) -> BranchResult:
        return BranchResult(
            assignment.motion_id,
            assignment.branch,
            success=False,
            output={NOTE: self._number(assignment)},
            next_state=None,
            error=message,
            error_type=error_type,
        )

    def _success(self, assignment: BranchAssignment) -> BranchResult:
        output, next_state = self._content(assignment)
        actor = f"{assignment.branch} clerk" if self._whims.happens(0.2) else None
        return BranchResult(
            assignment.motion_id,
            assignment.branch,
            success=True,
            output={**output, NOTE: self._number(assignment)},
            next_state=next_state,
            actor=actor,
        )

    def _content(
        self, assignment: BranchAssignment
    ) -> tuple[dict[str, Any], GovernanceState | None]:
        whims, calm = self._whims, len(self._whims.answers) == 1
        match assignment.purpose:
            case Purpose.DELIBERATE:
                vote = S.RATIFIED if calm else whims.pick(VOTES)
                return (self._date() if vote is S.TABLED else {}), vote
            case Purpose.REVIEW:
                decision = "resume" if calm else whims.pick(REVIEWS)
                return {"decision": decision, **self._date()}, None
            case Purpose.REVISE if not calm:
                kind = whims.pick({"same": 4, "amended": 4, "empty": 1, "withdrawn": 1})
                if kind == "withdrawn":
                    return {}, S.WITHDRAWN
                return {} if kind == "same" else {
                    "title": "Anew" if kind == "amended" else " "
                }, None
            case _:
                return {}, None

    def _date(self) -> dict[str, Any]:
        """Return until when to table: soon, long after the end, in the past, or no time at all."""
        now = self._clock.now()
        kind = self._whims.pick({"open": 3, "soon": 4, "late": 2, "past": 1, "bad": 1})
        dates = {
            "soon": (now + timedelta(seconds=self._whims.between(1, 150))).isoformat(),
            "late": (now + timedelta(days=100)).isoformat(),
            "past": (now - timedelta(days=1)).isoformat(),
            "bad": "when the time has come",
        }
        return {"until": dates[kind]} if kind in dates else {}

    def _number(self, assignment: BranchAssignment) -> int:
        return self._ledger.write(
            assignment.motion_id, assignment.routing_id, assignment.lease_token
        )


def _is_about(result: object, assignment: BranchAssignment) -> bool:
    return isinstance(result, BranchResult) and result.motion_id == assignment.motion_id


def identified(result: BranchResult, assignment: BranchAssignment) -> BranchResult:
    """Return the result under the routing and the lease it was made under."""
    return replace(result, routing_id=assignment.routing_id, lease_token=assignment.lease_token)


class Knight:
    """Witnesses, most of the time."""

    def __init__(self, whims: Whims) -> None:
        self._whims = whims

    async def witness(self, request: WitnessRequest) -> WitnessStatement:
        """Witness, or do something else."""
        whims = self._whims
        match whims.pick(whims.knight):
            case "takes its time":
                await asyncio.sleep(whims.between(0, 4))
            case "raises":
                raise whims.one_of((WitnessFailed, RuntimeError))("I saw nothing")
            case "hangs":
                await asyncio.sleep(24 * 3600)
            case "says something else":
                wrong: tuple[dict[str, Any], ...] = (
                    {"version": request.version + 1},
                    {"covered": request.covered[1:]},
                    {"previous_statement": "0" * 64},
                    {"motion_id": UUID(int=1)},
                )
                return WitnessStatement.about(replace(request, **whims.one_of(wrong)), "sir other")
            case "says nothing":
                return cast("WitnessStatement", None)
        return WitnessStatement.about(request, "sir test")


class Pager:
    """An alert sink that fails now and then."""

    name = "pager"

    def __init__(self, whims: Whims, delivered: set[str]) -> None:
        self._whims = whims
        self._delivered = delivered

    async def deliver(self, alert: Alert) -> None:
        """Take the alert, late or not at all."""
        if self._whims.happens(self._whims.pager_fails):
            await asyncio.sleep(self._whims.between(0, 30))
            raise ConnectionError("no signal")
        self._delivered.add(alert.alert_id)

    async def close(self) -> None:
        """Do nothing."""
