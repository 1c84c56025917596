"""Whether a stored statement binds exactly the transition it stands in, and all before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from governance_flow.application.audit.faults import Check, Fault
from governance_flow.domain.errors import WitnessFailed
from governance_flow.domain.events import ProposedTransition, TransitionWitnessed
from governance_flow.domain.witness import WitnessChain, WitnessRequest, WitnessStatement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any
    from uuid import UUID

    from governance_flow.application.ports.audit import StoredRow
    from governance_flow.domain.events import MotionEvent


class StatementCheck:
    """Recomputes a motion's chain over the stored bytes, and holds each statement against it.

    ``count`` is the number of statements seen.
    """

    def __init__(self, motion_id: UUID) -> None:
        self._motion_id = motion_id
        self._chain = WitnessChain()
        self._covered: dict[int, StoredRow] = {}
        self.count = 0

    def add(self, event: MotionEvent, row: StoredRow) -> Iterator[Fault]:
        """Check the event if it carries a statement, and extend the chain by it."""
        if not isinstance(event, TransitionWitnessed):
            self._chain = self._chain.with_event(row.version, row.state)
            self._covered[row.version] = row
            return
        self.count += 1
        request = self._chain.request(self._motion_id, row.version, _proposed(event))
        statement = WitnessStatement(event.statement)
        try:
            statement.require_binding(request)
        except WitnessFailed as failure:
            altered = list(self._altered(request, _body(statement)))
            yield from altered or [_fault(row, str(failure))]
        self._chain = self._chain.with_statement(row.version, row.state, event.statement)
        self._covered = {row.version: row}

    def _altered(self, request: WitnessRequest, body: dict[str, Any]) -> Iterator[Fault]:
        """Name the events whose bytes changed, if that is all that is wrong."""
        expected = request.binding()
        said = body.get("covers")
        body = {key: value for key, value in body.items() if key != "witness"}
        if {**body, "covers": expected["covers"]} != expected or not isinstance(said, list):
            return
        for covered, claim in zip(expected["covers"], said, strict=False):
            if claim == covered or not isinstance(claim, dict):
                continue
            if claim.get("version") != covered["version"]:
                return
            yield _fault(
                self._covered[covered["version"]],
                f"its stored bytes are not those that the statement at version {request.version} "
                f"covers (SHA-256 {covered['sha256']}, witnessed {claim.get('sha256')})",
            )


def _proposed(event: TransitionWitnessed) -> ProposedTransition:
    """Return what the Knight must have been asked for this event to be rightful."""
    return ProposedTransition(
        event_id=event.event_id,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        actor=event.actor,
        timestamp=event.timestamp,
        from_state=event.from_state,
        to_state=event.to_state,
        cause=event.cause,
        until=event.until,
    )


def _body(statement: WitnessStatement) -> dict[str, Any]:
    try:
        return statement.body()
    except WitnessFailed:
        return {}


def _fault(row: StoredRow, message: str) -> Fault:
    return Fault(
        Check.WITNESS,
        message,
        position=row.position,
        stream_id=row.stream_id,
        version=row.version,
    )
