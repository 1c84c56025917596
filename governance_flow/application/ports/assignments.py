"""The port to the operational rows: what is to be done, by when, and who is doing it.

Events say what was decided; these rows hold what events do not: leases, attempts to deliver, the
order of things to do. They are written in the transaction that appends the events they follow from
(a ``WorkChange`` goes with each append), and worked off under leases.

Every time is in microseconds UTC by the *store's* clock, so that machines need not agree on the
time. A lease is held as long as nobody else took it over, and carries a fencing token: tokens grow,
and no two claims ever get the same, not even for a routing that was closed and opened again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol
from uuid import UUID

from governance_flow.application.ports.backlog import BacklogReader
from governance_flow.application.ports.database import Transaction

if TYPE_CHECKING:
    from governance_flow.application.ports.event_store import Head


@dataclass(frozen=True, slots=True)
class OpenAssignment:
    """A routing that waits for its branch, or is being worked on.

    ``not_before_us`` is when it may first be claimed; ``deadline_us`` is that of the motion's
    state, or of this attempt if somebody outside makes it and has less time;
    ``attempt_timeout_seconds`` bounds one call of the branch service.
    """

    routing_id: UUID
    motion_id: UUID
    service: str
    state: str
    purpose: str
    attempt: int
    not_before_us: int
    deadline_us: int | None
    attempt_timeout_seconds: float | None
    opened_at_us: int


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """Who holds a routing. ``owner`` is None (and so is the expiry) while nobody does.

    ``token`` is the last one given out, 0 before the first; ``losses`` counts how often a lease
    ran out and was taken over.
    """

    owner: str | None
    token: int
    expires_at_us: int | None
    losses: int


class AssignmentCursor(NamedTuple):
    """Where a page of assignments ended: the next one starts behind it."""

    not_before_us: int
    routing_id: UUID


@dataclass(frozen=True, slots=True)
class LeasedAssignment(OpenAssignment):
    """An open assignment with its lease, free or held."""

    lease: LeaseInfo

    @property
    def cursor(self) -> AssignmentCursor:
        """Return the place of this row in the order of ``list_open``."""
        return AssignmentCursor(self.not_before_us, self.routing_id)


@dataclass(frozen=True, slots=True)
class ClaimedAssignment(OpenAssignment):
    """An assignment that the caller now holds until ``lease_expires_at_us``."""

    lease_owner: str
    lease_token: int
    lease_expires_at_us: int
    lease_losses: int


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for: at most ``limit`` assignments of these services, under a lease."""

    services: frozenset[str]
    owner: str
    limit: int
    lease_seconds: float


class HeldLease(NamedTuple):
    """What proves that a routing is held: its id and the token it was claimed with."""

    routing_id: UUID
    lease_token: int


class AgendaKind(StrEnum):
    """What the process manager itself must do for a motion."""

    ADMIT = "admit"
    APPLY = "apply"


@dataclass(frozen=True, slots=True)
class AgendaItem:
    """One thing to do for a motion, from ``due_us`` on, in order of ``order_us``."""

    motion_id: UUID
    kind: AgendaKind
    due_us: int
    order_us: int


@dataclass(frozen=True, slots=True)
class OutboxAlert:
    """An alert to deliver to one sink; ``body`` is JSON; ``attempts`` counts the failed ones."""

    alert_id: str
    sink: str
    body: str
    created_us: int
    due_us: int
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Keep:
    """Lease terms under which whoever appends keeps the assignment that follows, to go on at once.

    ``token`` was reserved before: it is used for first leases only, so it need not be new.
    """

    services: frozenset[str]
    owner: str
    token: int
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class WorkChange:
    """What an append changes in the operational rows, in the same transaction.

    A motion stands on at most one list: ``assignment`` and ``item`` replace whatever was there for
    it, and without either nothing is left. ``keep`` leases the assignment to whoever appends.
    ``deadlines_later_us`` moves every deadline there is.
    """

    motion_id: UUID | None = None
    assignment: OpenAssignment | None = None
    keep: Keep | None = None
    item: AgendaItem | None = None
    alerts: tuple[OutboxAlert, ...] = ()
    deadlines_later_us: int = 0


@dataclass(frozen=True, slots=True)
class DueWork:
    """What can be done right now, each at a glance, and the head row as it stood then.

    ``next_seconds`` is how long it is, by the store's clock, until something else becomes due, a
    lease that runs out included; None if nothing is planned.
    """

    head: Head
    assignments: bool
    recorded: bool
    docket: bool
    deadlines: bool
    delegations: bool
    alerts: bool
    next_seconds: float | None


@dataclass(frozen=True, slots=True)
class AssignmentCounts:
    """How many assignments there are, and how many of them are held under a live lease."""

    open: int
    leased: int


@dataclass(frozen=True, slots=True)
class WorkInHand:
    """What can be done now or is being done: zero everywhere means idle."""

    assignments: int
    agenda: int
    alerts: int


class Leases(Protocol):
    """Assignments, and the leases under which workers hold them."""

    async def reserve_token(self) -> int:
        """Return a fencing token that was never given out before, for ``Keep``."""
        ...

    async def claim(
        self, services: Sequence[str], *, owner: str, limit: int, lease_seconds: float
    ) -> list[ClaimedAssignment]:
        """Take at most ``limit`` assignments of these services that are due and free.

        Those due first come first. Free is what has no lease, or one that ran out; taking over
        the latter counts as a loss. Two callers never get the same one.
        """
        ...

    async def claim_each(self, wishes: Sequence[Wish]) -> list[list[ClaimedAssignment]]:
        """Claim for one after the other, in one transaction; return what each has got.

        Services of which somebody got less than they asked for have nothing left: whoever comes
        after and asks for no others gets nothing.
        """
        ...

    async def extend(self, leases: Sequence[HeldLease], *, lease_seconds: float) -> set[UUID]:
        """Let the leases run for so long from now; return the routings that are still held.

        A routing that is missing from the result was closed or taken over: stop working on it.
        """
        ...

    async def delegate(self, lease: HeldLease, *, lease_seconds: float) -> bool:
        """Let somebody complete later under this lease's token; False if it is not held.

        Nobody else can claim the routing then. If it is not completed within ``lease_seconds``,
        it shows up in ``overdue_delegations``.
        """
        ...

    async def overdue_delegations(self, *, limit: int) -> list[LeasedAssignment]:
        """Return what was delegated and not completed in time, the longest overdue first."""
        ...

    async def release(self, lease: HeldLease) -> bool:
        """Give the routing back, at once claimable; False if it was not held any more."""
        ...

    async def release_all(self, owner: str) -> None:
        """Give back, at once claimable, every routing that this owner holds."""
        ...

    async def holder(self, routing_id: UUID) -> LeaseInfo | None:
        """Return the lease of a routing, or None if it has no open assignment."""
        ...

    async def due_deadlines(self, *, limit: int) -> list[OpenAssignment]:
        """Return the assignments whose deadline has passed, the longest overdue first."""
        ...

    async def list_open(
        self, *, limit: int, service: str | None = None, after: AssignmentCursor | None = None
    ) -> list[LeasedAssignment]:
        """Return a page of open assignments in the order in which they are or were claimable."""
        ...

    async def counts(self) -> AssignmentCounts:
        """Return how many assignments are open and how many are held."""
        ...


class Agenda(Protocol):
    """What the process manager itself must do: at most one item a motion."""

    async def claim_agenda(
        self, kinds: Sequence[AgendaKind], *, limit: int, lease_seconds: float
    ) -> list[AgendaItem]:
        """Take at most ``limit`` due items that nobody holds, by (``order_us``, ``motion_id``)."""
        ...

    async def claim_docket(self, *, limit: int, lease_seconds: float) -> list[AgendaItem]:
        """Take the first motions that wait for a place; none while somebody else admits some.

        So however many workers there are, motions are admitted in the order of the docket.
        """
        ...

    async def release_agenda(self, motion_id: UUID, *, due_us: int | None = None) -> None:
        """Give an item back, due at ``due_us`` if that is given, as before otherwise."""
        ...


class AlertOutbox(Protocol):
    """Alerts on their way out. At least once: an alert is gone only after ``alert_done``."""

    async def claim_alerts(self, *, limit: int, lease_seconds: float) -> list[OutboxAlert]:
        """Take at most ``limit`` due alerts that nobody holds, the longest due first."""
        ...

    async def alert_done(self, alert_id: str, sink: str) -> None:
        """Forget an alert that was delivered, or given up for good."""
        ...

    async def retry_alert(self, alert_id: str, sink: str, *, delay_seconds: float) -> None:
        """Count a failed attempt, and let the alert be claimed again after the delay."""
        ...


class Checkpoints(Protocol):
    """How far a follower of the event store has got, moved with what it wrote."""

    def checkpoint(self, tx: Transaction, name: str) -> int:
        """Return the position the follower has done, 0 before its first."""
        ...

    def set_checkpoint(self, tx: Transaction, name: str, position: int) -> None:
        """Note that the follower has done everything up to the position."""
        ...


class Duties(Protocol):
    """What one worker does for all of them, as long as its lease lasts."""

    async def take_duty(self, name: str, *, owner: str, lease_seconds: float) -> float | None:
        """Take a duty, or keep it for longer.

        Returns None if it is ours now, otherwise for how many seconds somebody else has it.
        """
        ...

    async def lay_down_duty(self, name: str, *, owner: str) -> None:
        """Let somebody else take a duty at once, if it is ours."""
        ...


class AssignmentStore(Leases, Agenda, AlertOutbox, Checkpoints, Duties, BacklogReader, Protocol):
    """All operational rows of one store."""

    def apply(self, tx: Transaction, changes: Sequence[WorkChange]) -> None:
        """Make the rows say what the changes call for.

        An assignment that is there keeps its lease and its age; an item's lease ends; an alert
        that is there (same id and sink) is left as it is.
        """
        ...

    async def restore(self, change: WorkChange, *, version: int, halt_epoch: int) -> bool:
        """Apply a change worked out anew.

        Does nothing and returns False if the motion is not at ``version`` any more, or the
        pipeline was halted or resumed since ``halt_epoch``.
        """
        ...

    async def close(self, routing_id: UUID) -> None:
        """Remove the row of a routing that is not open, held or not."""
        ...

    async def due(self, services: Sequence[str]) -> DueWork:
        """Look, in one glance, at what can be done now; assignments for these services."""
        ...

    async def idle_counts(
        self, services: Sequence[str], kinds: Sequence[AgendaKind] = tuple(AgendaKind)
    ) -> WorkInHand:
        """Count what is due now or held: for these services and kinds, and in the outbox.

        What was delegated does not count until it is overdue.
        """
        ...

    async def missing(self, motion_ids: Sequence[UUID]) -> list[UUID]:
        """Return those of the motions that have no assignment and no item on the agenda."""
        ...

    async def wait_for_work(self, *, seen: int, timeout_seconds: float) -> int:
        """Return once rows were added since hint number ``seen``, or the time is up.

        Returns the number of the latest hint, for the next call; start with 0. Only a hint: it
        may come late or never, so the time bounds how long a caller goes without looking.
        """
        ...
