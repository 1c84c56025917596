"""Whether a stored statement binds exactly the transition it stands in, and all before it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeGuard

from governance_flow.application.audit.faults import Check, Fault
from governance_flow.domain.errors import WitnessFailed
from governance_flow.domain.events import ProposedTransition, TransitionWitnessed
from governance_flow.domain.witness import WitnessChain, WitnessRequest, WitnessStatement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from governance_flow.application.ports.event_store import CommittedEvent
    from governance_flow.domain.events import MotionEvent


class StatementCheck:
    """Recomputes a motion's chain over the stored bytes, and holds each statement against it.

    ``count`` is the number of statements seen.
    """

    def __init__(self, motion_id: UUID) -> None:
        self._motion_id = motion_id
        self._chain = WitnessChain()
        self._covered: dict[int, CommittedEvent] = {}
        self.count = 0

    def add(self, event: MotionEvent, stored: CommittedEvent) -> Iterator[Fault]:
        """Check the event if it carries a statement, and extend the chain by it."""
        if not isinstance(event, TransitionWitnessed):
            self._chain = self._chain.with_event(stored.originator_version, stored.state)
            self._covered[stored.originator_version] = stored
            return
        self.count += 1
        request = self._chain.request(self._motion_id, stored.originator_version, _proposed(event))
        statement = WitnessStatement(event.statement)
        try:
            statement.require_binding(request)
        except WitnessFailed as failure:
            altered = list(self._altered(stored.originator_version, _body(statement)))
            only = altered and _differs_in_covers_alone(statement, request)
            yield from altered if only else [_fault(stored, str(failure))]
        self._chain = self._chain.with_statement(
            stored.originator_version, stored.state, event.statement
        )
        self._covered = {stored.originator_version: stored}

    def salvage(self, stored: CommittedEvent) -> Iterator[Fault]:
        """Look for altered events from one on that cannot be followed.

        What cannot be followed is often only a consequence of what was altered before it.
        """
        version = stored.originator_version
        statement = _statement_in(stored)
        if statement is not None:
            yield from self._altered(version, _body(statement))
            self._chain = self._chain.with_statement(version, stored.state, statement.text)
            self._covered = {version: stored}
        else:
            self._chain = self._chain.with_event(version, stored.state)
            self._covered[version] = stored

    def _altered(self, version: int, body: dict[str, Any]) -> Iterator[Fault]:
        """Name the events whose bytes are not those that the statement at ``version`` covers."""
        said = body.get("covers")
        claims = [claim for claim in said if isinstance(claim, dict)] if _is_list(said) else []
        witnessed = {
            claim["version"]: claim.get("sha256")
            for claim in claims
            if isinstance(claim.get("version"), int)
        }
        for covered in self._chain.covered:
            claim = witnessed.get(covered.version, covered.sha256)
            if claim != covered.sha256:
                yield _fault(
                    self._covered[covered.version],
                    f"its stored bytes are not those that the statement at version {version} "
                    f"covers (SHA-256 {covered.sha256}, witnessed {claim})",
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


def _differs_in_covers_alone(statement: WitnessStatement, request: WitnessRequest) -> bool:
    """Whether the statement is about this transition, so that the events must be at fault."""
    expected = request.binding()
    body = {key: value for key, value in _body(statement).items() if key != "witness"}
    return {**body, "covers": expected["covers"]} == expected


def _statement_in(stored: CommittedEvent) -> WitnessStatement | None:
    """Return the statement in an event that may be unreadable otherwise."""
    if stored.topic != TransitionWitnessed.topic:
        return None
    try:
        text = json.loads(stored.state)["statement"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    statement = WitnessStatement(text) if isinstance(text, str) else None
    return statement if statement is not None and _body(statement) else None


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _body(statement: WitnessStatement) -> dict[str, Any]:
    try:
        return statement.body()
    except WitnessFailed:
        return {}


def _fault(stored: CommittedEvent, message: str) -> Fault:
    return Fault(
        Check.WITNESS,
        message,
        position=stored.id,
        stream_id=str(stored.originator_id),
        version=stored.originator_version,
    )
