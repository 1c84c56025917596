"""Motions of a file, driven to their end by the built-in services, without a store or a worker."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar
from uuid import UUID

from governance_flow.application.ports.branch_services import BranchService
from governance_flow.application.ports.flow_orchestrator import BranchResult
from governance_flow.application.services.assignments import assignment_of
from governance_flow.branches.knight import KnightWitness
from governance_flow.branches.registry import build_branches
from governance_flow.domain.events import MotionIntroduced
from governance_flow.domain.witness import WitnessChain, WitnessRequest, WitnessStatement
from tests.support.clock import ManualClock
from tests.support.motions import Scenario, person, service, told

MAX_ANSWERS = 60

T = TypeVar("T")


class BuiltInScenario(Scenario):
    """One motion and the built-in services that work on it."""

    def __init__(self, entry: dict[str, Any]) -> None:
        super().__init__()
        self.clock = ManualClock(self.now)
        self.services = build_branches(self.rules, environ={}, clock=self.clock)
        self.knight = _witness
        self.answers = 0
        self._begin(dict(entry))

    def _begin(self, entry: dict[str, Any]) -> None:
        """Begin anew, with the motion of the file."""
        self.events, self.stored, self._motion = [], [], None
        self.chain = WitnessChain()
        known = ("title", "text", "introduced_by", "reference", "ballots")
        fields = {name: entry.pop(name) for name in known if name in entry}
        introduced = MotionIntroduced(
            event_id=self.new_id(),
            correlation_id=UUID(int=0),
            actor=person(fields["introduced_by"]),
            timestamp=self.now,
            metadata=entry,
            **fields,
        )
        self.append([introduced])

    async def run(self) -> None:
        """Go on until nothing can be done but by a person, or by waiting for a far date."""
        self.proceed()
        while self.motion.routing is not None:
            await self._answer(self.services[self.routing.service])
            self.answers += 1
            assert self.answers < MAX_ANSWERS, f"it goes round in circles: {self.whole_story}"

    async def _answer(self, branch: BranchService) -> None:
        routed = self.routing
        if routed.not_before is not None:
            self.now = max(self.now, routed.not_before)
        result = await branch.perform(assignment_of(self.motion, routed, self.rules, 1))
        assert isinstance(result, BranchResult)
        self.report(
            result.branch,
            success=result.success,
            output=result.output,
            next_state=result.next_state,
            error=result.error,
            error_type=result.error_type,
            by=person(result.actor) if result.actor else service(routed.service),
            routing_id=result.routing_id,
        )

    @property
    def whole_story(self) -> list[str]:
        """Everything that happened to the motion, in lines."""
        return [told(event) for event in self.events]


def _witness(request: WitnessRequest) -> WitnessStatement:
    return _at_once(KnightWitness().witness(request))


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits for anything."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        value: T = stop.value
        return value
    raise AssertionError("the coroutine waited for something")
