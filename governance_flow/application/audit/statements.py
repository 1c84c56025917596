"""Whether each stored statement binds exactly the transition it stands in, and all before it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from governance_flow.application.audit.faults import Check, Fault
from governance_flow.domain.errors import WitnessFailed
from governance_flow.domain.events import ProposedTransition, TransitionWitnessed
from governance_flow.domain.keys import KeyRole
from governance_flow.domain.witness import WitnessChain, WitnessRequest, WitnessStatement
from governance_flow.transparency.errors import TransparencyError
from governance_flow.transparency.notes import open_note

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from governance_flow.application.audit.key_history import KeyHistory
    from governance_flow.application.ports.event_store import CommittedEvent
    from governance_flow.domain.events import MotionEvent


class StatementCheck:
    """Recomputes a motion's chain over the stored bytes, and holds each statement against it.

    Where a statement and the bytes of an event disagree, either may have been altered. The next
    statement covers this one, and decides; so such a fault is held back until then, or until
    ``finish``. ``count`` is the number of statements seen. Without ``keys`` no signature is
    verified.
    """

    def __init__(self, motion_id: UUID, keys: KeyHistory | None = None) -> None:
        self._motion_id = motion_id
        self._keys = keys
        self._chain = WitnessChain()
        self._covered: dict[int, CommittedEvent] = {}
        self._latest: CommittedEvent | None = None
        self._suspects: dict[int, Fault] = {}
        self.count = 0

    def add(self, event: MotionEvent, stored: CommittedEvent) -> Iterator[Fault]:
        """Check the event if it carries a statement, and extend the chain by it."""
        if not isinstance(event, TransitionWitnessed):
            self._extend(stored, None)
            return
        self.count += 1
        yield from self._signature(stored, event.statement)
        statement = WitnessStatement(event.statement)
        request = self._chain.request(self._motion_id, stored.originator_version, _proposed(event))
        altered: dict[int, Fault] = {}
        try:
            statement.require_binding(request)
        except WitnessFailed as failure:
            altered = self._altered(stored, _body(statement))
            if not self._explained(request, statement, altered):
                yield _fault(stored, str(failure))
                altered = {}
        yield from self._blame(altered)
        self._extend(stored, statement)

    def _signature(self, stored: CommittedEvent, statement: str) -> Iterator[Fault]:
        if self._keys is None:
            return
        key = self._keys.at(KeyRole.KNIGHT, stored.id)
        if key is None:
            yield _unsigned(stored, "no key of the Knight was in force when it was recorded")
            return
        try:
            open_note(statement, [key])
        except TransparencyError as error:
            yield _unsigned(stored, str(error))

    def salvage(self, stored: CommittedEvent) -> Iterator[Fault]:
        """Look for altered events behind one that cannot be followed.

        What cannot be followed is often only a consequence of what was altered before it.
        """
        statement = _statement_in(stored)
        if statement is not None:
            yield from self._blame(self._altered(stored, _body(statement)))
        self._extend(stored, statement)

    def finish(self) -> Iterator[Fault]:
        """Report what was held back, once the stream is at its end."""
        for fault in self._suspects.values():
            unsure = "no later statement says which of the two was altered"
            yield replace(fault, message=f"{fault.message}; {unsure}")
        self._suspects = {}

    def _extend(self, stored: CommittedEvent, statement: WitnessStatement | None) -> None:
        version = stored.originator_version
        if statement is None:
            self._chain = self._chain.with_event(version, stored.state)
            self._covered[version] = stored
        else:
            self._chain = self._chain.with_statement(version, stored.state, statement.text)
            self._covered = {version: stored}
            self._latest = stored

    def _altered(self, stored: CommittedEvent, body: dict[str, Any]) -> dict[int, Fault]:
        """Return, by version, the events whose bytes are not those that the statement covers."""
        said = body.get("covers")
        claims = said if isinstance(said, list) else []
        witnessed = {
            claim["version"]: claim.get("sha256")
            for claim in claims
            if isinstance(claim, dict) and isinstance(claim.get("version"), int)
        }
        return {
            covered.version: _fault(
                self._covered[covered.version],
                "its stored bytes are not those that the statement at version "
                f"{stored.originator_version} covers (SHA-256 {covered.sha256}, "
                f"witnessed {witnessed[covered.version]})",
            )
            for covered in self._chain.covered
            if witnessed.get(covered.version, covered.sha256) != covered.sha256
        }

    def _explained(
        self, request: WitnessRequest, statement: WitnessStatement, altered: dict[int, Fault]
    ) -> bool:
        """Whether a statement binds all it must, but for what follows from altered events."""
        expected = request.binding
        body = {key: value for key, value in _body(statement).items() if key != "witness"}
        excused = {"covers": expected["covers"]} if altered else {}
        if self._latest is not None and self._latest.originator_version in altered:
            excused["previous_statement"] = expected["previous_statement"]
        return bool(altered) and {**body, **excused} == expected

    def _blame(self, altered: dict[int, Fault]) -> Iterator[Fault]:
        """Say who is at fault where the statement before and an event disagreed."""
        latest = self._latest
        for version, fault in self._suspects.items():
            if latest is not None and latest.originator_version in altered:
                yield _fault(latest, f"its statement covers other bytes of version {version}")
            else:
                yield fault
        self._suspects = altered


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


def _body(statement: WitnessStatement) -> dict[str, Any]:
    try:
        return statement.body()
    except WitnessFailed:
        return {}


def _unsigned(stored: CommittedEvent, problem: str) -> Fault:
    return Fault(
        Check.SIGNATURE,
        f"the statement is not signed by the Knight's key of that time: {problem}",
        position=stored.id,
        stream_id=str(stored.originator_id),
        version=stored.originator_version,
    )


def _fault(stored: CommittedEvent, message: str) -> Fault:
    return Fault(
        Check.WITNESS,
        message,
        position=stored.id,
        stream_id=str(stored.originator_id),
        version=stored.originator_version,
    )
