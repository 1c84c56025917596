"""What becomes of a group of appends, decided without touching a database.

The appends of a group are looked at one after the other, each on what those before it left: one
that fails takes no place, and its neighbours do not notice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from types import MappingProxyType
from typing import assert_never
from uuid import UUID

from governance_flow.application.ports.assignments import AgendaKind
from governance_flow.application.ports.event_store import (
    Append,
    CommittedEvent,
    HaltSwitch,
    Head,
    Made,
    StoredEvent,
)
from governance_flow.domain.errors import (
    CapacityReached,
    ConcurrencyConflict,
    HaltEpochMoved,
    InvalidInput,
    LeaseLost,
    StoreError,
)
from governance_flow.domain.frozen import unchecked

Outcome = tuple[CommittedEvent, ...] | StoreError
"""What an append gets: its events with their positions, or why nothing of it was recorded."""


@dataclass(frozen=True, slots=True)
class LeaseState:
    """The lease of an open assignment: its last token, and whether somebody holds it now."""

    token: int
    held: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of each append, in order, and the head once the group is committed."""

    outcomes: tuple[Outcome, ...]
    head: Head

    @property
    def unanimous(self) -> bool:
        """Return whether every append goes through."""
        return all(isinstance(outcome, tuple) for outcome in self.outcomes)

    @property
    def events(self) -> list[CommittedEvent]:
        """Return the events to insert, in order of position."""
        return [
            event for outcome in self.outcomes if isinstance(outcome, tuple) for event in outcome
        ]


@dataclass(frozen=True, slots=True)
class Granted:
    """What appends take for granted about their streams and the leases they are fenced with.

    ``docket_empty`` says whether one of them needs that nobody waits for a place.
    """

    versions: dict[UUID, int]
    tokens: dict[UUID, int]
    docket_empty: bool = False

    @property
    def leases(self) -> dict[UUID, LeaseState]:
        """Return the leases as they are taken to be."""
        return {routing: LeaseState(token, held=True) for routing, token in self.tokens.items()}


def granted(appends: Sequence[Append]) -> Granted | None:
    """Return what must be so for the appends to go through; None if that cannot be said so simply.

    It cannot where an assignment must not be leased at all, which is a matter of time.
    """
    versions: dict[UUID, int] = {}
    tokens: dict[UUID, int] = {}
    for append in appends:
        versions.setdefault(append.stream_id, append.expected_version)
        if append.fence is None:
            continue
        if append.fence.lease_token is None:
            return None
        tokens.setdefault(append.fence.routing_id, append.fence.lease_token)
    return Granted(versions, tokens, any(append.in_turn for append in appends))


def check_append(append: Append) -> None:
    """Raise InvalidInput for an append that no state of the store could accept."""
    events = append.events
    if not events:
        raise InvalidInput("an append holds at least one event", stream_id=append.stream_id)
    for offset, event in enumerate(events, start=1):
        if event.originator_id is not append.stream_id and event.originator_id != append.stream_id:
            raise InvalidInput(
                f"an event of stream {event.originator_id} is appended to {append.stream_id}",
                stream_id=append.stream_id,
            )
        if event.originator_version != append.expected_version + offset:
            raise InvalidInput(
                f"event {offset} of an append to stream {append.stream_id} has version "
                f"{event.originator_version}; {append.expected_version + offset} follows on "
                f"the expected version {append.expected_version}",
                stream_id=append.stream_id,
            )
    if append.made and len(append.made) != len(events):
        raise InvalidInput(
            f"{len(events)} events, made from {len(append.made)}", stream_id=append.stream_id
        )
    if append.admitted_delta > 0 and append.capacity is None:
        raise InvalidInput(
            "an append that takes a place must say how many there are", stream_id=append.stream_id
        )
    if append.in_turn and append.admitted_delta <= 0:
        raise InvalidInput(
            "only an append that takes a place has a turn to wait for", stream_id=append.stream_id
        )


def decide(
    appends: Sequence[Append],
    *,
    head: Head,
    versions: Mapping[UUID, int],
    now_us: int,
    leases: Mapping[UUID, LeaseState] = MappingProxyType({}),
    docket_empty: bool = True,
) -> Decision:
    """Return what the appends come to.

    ``head`` is the head row under its lock, ``versions`` the version of each stream that is not
    empty, ``now_us`` the store's clock, ``leases`` those of the routings that are fenced, and
    ``docket_empty`` whether nobody waits for a place.
    """
    head = stamped(head, now_us)
    versions = dict(versions)
    outcomes: list[Outcome] = []
    for append in appends:
        failure = (
            _failure(append, head, versions.get(append.stream_id, 0))
            or (None if docket_empty else _out_of_turn(append))
            or _fenced_off(append, leases)
        )
        if failure is not None:
            outcomes.append(failure)
            continue
        outcomes.append(placed(append.events, head, append.made))
        versions[append.stream_id] = append.expected_version + len(append.events)
        head = _advanced(head, append)
        docket_empty = docket_empty and not _waits_for_place(append, now_us)
    return Decision(tuple(outcomes), head)


def stamped(head: Head, now_us: int) -> Head:
    """Return the head with the time of this commit, which is never before that of the last."""
    return replace(head, committed_at_us=max(head.committed_at_us, now_us))


def placed(
    events: Sequence[StoredEvent], head: Head, made: Sequence[Made] = ()
) -> tuple[CommittedEvent, ...]:
    """Return the events with the positions that follow on ``head``, and its commit time."""
    position = head.position
    committed = []
    for event, known in zip_longest(events, made):
        position += 1
        committed.append(
            unchecked(
                CommittedEvent,
                {
                    **event.__dict__,
                    "id": position,
                    "committed_at_us": head.committed_at_us,
                    "made": known,
                },
            )
        )
    return tuple(committed)


def _failure(append: Append, head: Head, version: int) -> StoreError | None:
    if version != append.expected_version:
        return ConcurrencyConflict(
            f"stream {append.stream_id} is at version {version}, not {append.expected_version}",
            stream_id=append.stream_id,
            expected_version=append.expected_version,
            actual_version=version,
        )
    if append.halt_epoch is not None and append.halt_epoch != head.halt_epoch:
        return HaltEpochMoved(
            f"the pipeline was halted or resumed since stream {append.stream_id} was decided on",
            stream_id=append.stream_id,
            expected_epoch=append.halt_epoch,
            actual_epoch=head.halt_epoch,
        )
    admitted = head.admitted + append.admitted_delta
    if append.admitted_delta > 0 and append.capacity is not None and admitted > append.capacity:
        return CapacityReached(
            f"all {append.capacity} places are taken; stream {append.stream_id} waits for one",
            stream_id=append.stream_id,
            capacity=append.capacity,
            admitted=head.admitted,
        )
    if admitted < 0:
        return StoreError(
            f"stream {append.stream_id} gives back a place that nobody holds",
            stream_id=append.stream_id,
            admitted=head.admitted,
        )
    return None


def _out_of_turn(append: Append) -> CapacityReached | None:
    if not append.in_turn:
        return None
    return CapacityReached(
        f"others wait in the docket; stream {append.stream_id} comes after them",
        stream_id=append.stream_id,
        capacity=append.capacity,
    )


def _waits_for_place(append: Append, now_us: int) -> bool:
    item = append.work.item if append.work else None
    return item is not None and item.kind is AgendaKind.ADMIT and item.due_us <= now_us


def _fenced_off(append: Append, leases: Mapping[UUID, LeaseState]) -> LeaseLost | None:
    """Return why the completion's claim on its assignment does not hold, if it does not."""
    fence = append.fence
    lease = leases.get(fence.routing_id) if fence else None
    if fence is None or lease is None:
        return None
    if fence.lease_token is None and lease.held:
        reason = "it is leased to somebody else; complete it under the lease token of a claim"
    elif fence.lease_token is not None and fence.lease_token != lease.token:
        reason = f"lease token {fence.lease_token} has been superseded; claim it again"
    else:
        return None
    return LeaseLost(
        f"routing {fence.routing_id}: {reason}",
        routing_id=fence.routing_id,
        stream_id=append.stream_id,
    )


def _advanced(head: Head, append: Append) -> Head:
    head = Head(
        head.position + len(append.events),
        head.committed_at_us,
        head.halt_epoch,
        head.halted,
        head.admitted + append.admitted_delta,
    )
    match append.halt_switch:
        case None:
            return head
        case HaltSwitch.HALT:
            return replace(head, halted=True, halt_epoch=head.halt_epoch + 1)
        case HaltSwitch.RESUME:
            return replace(head, halted=False, halt_epoch=head.halt_epoch + 1)
        case HaltSwitch.RENEW:
            return replace(head, halt_epoch=head.halt_epoch + 1)
        case _:
            assert_never(append.halt_switch)
