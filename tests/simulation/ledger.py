"""Who reported what, under which lease, and what they were told: to hold the record against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from governance_flow.application.ports.flow_orchestrator import CompletionOutcome
from tests.simulation.account import require

NOTE = "report"
"""The key in a report's output under which its number stands, so that it can be told apart."""


@dataclass(frozen=True)
class Report:
    """One answer to one assignment, however often it is handed in."""

    number: int
    motion_id: str
    routing_id: str
    token: int | None


class Ledger:
    """Numbers every report, and remembers the outcome that its sender was told."""

    def __init__(self) -> None:
        self._reports: list[Report] = []
        self._recorded: set[str] = set()
        self._outcomes: dict[UUID, CompletionOutcome] = {}
        self.repeated = 0

    def write(self, motion_id: UUID, routing_id: UUID, token: int | None) -> int:
        """Return the number of a new report."""
        number = len(self._reports)
        self._reports.append(Report(number, str(motion_id), str(routing_id), token))
        return number

    def recorded(self, motion_id: str, event: Mapping[str, Any]) -> Report | None:
        """Note that a report was recorded: it must be about the routing it is recorded for."""
        routing_id = event["routing_id"]
        self._recorded.add(routing_id)
        number: int | None = event.get("output", {}).get(NOTE)
        if number is None:
            return None
        report = self._reports[number]
        require(report.motion_id == motion_id, "a report about another motion is recorded")
        require(
            report.routing_id == routing_id,
            f"the report about routing {report.routing_id} is recorded for {routing_id}",
        )
        return report

    def acknowledged(self, routing_id: UUID, outcome: CompletionOutcome) -> None:
        """Note what a sender was told: it must be in the record, and told to everybody alike."""
        require(str(outcome.routing_id) == str(routing_id), "an answer about another routing")
        require(str(routing_id) in self._recorded, f"acknowledged and lost: {outcome}")
        first = self._outcomes.setdefault(routing_id, outcome)
        self.repeated += first is not outcome
        require(first == outcome, f"a repeated report is told {outcome}, the first {first}")
