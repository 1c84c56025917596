"""Records events: groups of appends in one transaction, and the library's own interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic, sleep
from typing import Any
from uuid import UUID

from eventsourcing import persistence
from eventsourcing.persistence import ApplicationRecorder, Notification, StoredEvent, Subscription

from governance_flow.application.ports.assignments import WorkChange
from governance_flow.application.ports.event_store import Append, CommittedEvent
from governance_flow.domain.errors import StoreError, StoreUnavailable
from governance_flow.infrastructure.append_rules import (
    Decision,
    Outcome,
    check_append,
    decide,
    placed,
    stamped,
)
from governance_flow.infrastructure.database.base import AnyDatabase, StoreTransaction
from governance_flow.infrastructure.database.errors import CommitOutcomeUnknown, ConstraintViolated
from governance_flow.infrastructure.database.hints import Channel
from governance_flow.infrastructure.event_table import END, EventTable
from governance_flow.infrastructure.subscription import HintedSubscription
from governance_flow.infrastructure.work_changes import WorkChanges

COMMITS_MAX = 3
"""How often a group is committed anew after its commit turned out not to have taken place."""

PAUSE_SECONDS_MIN = 0.05
PAUSE_SECONDS_MAX = 1.0
"""Bounds of the growing pause between attempts to learn what became of a commit."""


class SqlRecorder(ApplicationRecorder):
    """Events in an SQL database, in one dense order. Synchronous; safe to use from many threads.

    ``settle_seconds`` is how long to go on asking a lost database whether a commit took place.
    """

    def __init__(self, database: AnyDatabase, *, settle_seconds: float = 15.0) -> None:
        self._database = database
        self._table = EventTable(database.dialect)
        self._work = WorkChanges(database.dialect)
        self._settle_seconds = settle_seconds

    def commit_group(self, appends: Sequence[Append]) -> list[Outcome]:
        """Commit the appends in one transaction and return what each came to, in order.

        One that fails its conditions fails alone. Raises InvalidInput for a malformed one, and a
        StoreError if nothing of the group was committed, or nobody can say whether it was (then
        the error's ``outcome_unknown`` is true).
        """
        for append in appends:
            check_append(append)
        streams = {append.stream_id for append in appends}
        fenced = {append.fence.routing_id for append in appends if append.fence}

        def plan(tx: StoreTransaction) -> Decision:
            locked = self._table.lock(tx, streams, fenced)
            return decide(
                appends,
                head=locked.head,
                versions=locked.versions,
                leases=locked.leases,
                now_us=locked.now_us,
            )

        return list(self._commit(plan, appends).outcomes)

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Append the events, whatever their versions, as long as none is taken.

        The library's interface: raises its IntegrityError if one is, its OperationalError if the
        database cannot be used.
        """
        if not stored_events:
            return None

        def plan(tx: StoreTransaction) -> Decision:
            locked = self._table.lock(tx)
            head = stamped(locked.head, locked.now_us)
            position = head.position + len(stored_events)
            return Decision((placed(stored_events, head),), replace(head, position=position))

        with _library_errors():
            return [event.id for event in self._commit(plan).events]

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return a stream's events; the library's interface."""
        stream_id = originator_id if isinstance(originator_id, UUID) else UUID(originator_id)
        with _library_errors():
            events = self._database.read_once_now(
                lambda tx: self._table.stream(
                    tx,
                    stream_id,
                    after_version=-1 if gt is None else gt,
                    up_to_version=END if lte is None else lte,
                    backwards=desc,
                    limit=END if limit is None else limit,
                )
            )
        return [
            StoredEvent(e.originator_id, e.originator_version, e.topic, e.state) for e in events
        ]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return a page of the log; the library's interface."""
        after = 0 if start is None else start - inclusive_of_start
        with _library_errors():
            return self._database.read_once_now(
                lambda tx: self._table.page(
                    tx,
                    after_position=after,
                    limit=limit,
                    up_to_position=END if stop is None else stop,
                    topics=topics,
                )
            )

    def max_notification_id(self) -> int | None:
        """Return the last position, None for an empty log; the library's interface."""
        with _library_errors():
            return self._database.read_once_now(self._table.head).position or None

    def subscribe(
        self, gt: int | None = None, topics: Sequence[str] = ()
    ) -> Subscription[ApplicationRecorder]:
        """Return an endless iterator over the log; the library's interface."""
        self._database.start_listening()
        return HintedSubscription(self, self._database.hints, gt=gt, topics=topics)

    def _commit(
        self, plan: Callable[[StoreTransaction], Decision], appends: Sequence[Append] = ()
    ) -> Decision:
        """Commit what ``plan`` decides under the lock; acknowledge only what is known.

        What the ``appends`` that go through change in the operational rows is committed with them.
        """
        for _ in range(COMMITS_MAX):
            decisions: list[Decision] = []

            def work(tx: StoreTransaction, decisions: list[Decision] = decisions) -> None:
                decision = plan(tx)
                if decision.events:
                    self._table.append(tx, decision.events, decision.head)
                    self._work.apply(tx, _work_of(appends, decision))
                decisions.append(decision)

            try:
                self._database.write_now(work)
            except CommitOutcomeUnknown as error:
                if not self._took_place(decisions[-1], error):
                    continue
                self._database.hints.publish(Channel.EVENTS, decisions[-1].head.position)
            return decisions[-1]
        raise StoreUnavailable(
            f"{self._database.where}: the connection was lost in {COMMITS_MAX} commits running; "
            "nothing was recorded",
            where=self._database.where,
        )

    def _took_place(self, decision: Decision, lost: CommitOutcomeUnknown) -> bool:
        """Find out whether the commit whose answer was lost took place.

        A group is committed whole or not at all, so one of its events tells. It is looked for
        under the head lock: while the lost transaction may still commit it holds that lock, so
        what is not there by then never will be.
        """
        if not decision.events:
            return True
        sent = decision.events[0]

        def look(tx: StoreTransaction) -> list[CommittedEvent]:
            self._table.lock(tx)
            version = sent.originator_version
            return self._table.stream(
                tx, UUID(str(sent.originator_id)), after_version=version - 1, up_to_version=version
            )

        deadline = monotonic() + self._settle_seconds
        pause_seconds = PAUSE_SECONDS_MIN
        while True:
            try:
                return self._database.write_now(look) == [sent]
            except StoreError as error:
                if monotonic() + pause_seconds > deadline:
                    raise StoreUnavailable(
                        f"{lost.message}; whether the last commit took place could not be learnt, "
                        "so read the stream before trying again",
                        where=self._database.where,
                        outcome_unknown=True,
                    ) from error
            sleep(pause_seconds)
            pause_seconds = min(2 * pause_seconds, PAUSE_SECONDS_MAX)


def _work_of(appends: Sequence[Append], decision: Decision) -> list[WorkChange]:
    return [
        append.work
        for append, outcome in zip(appends, decision.outcomes, strict=False)
        if append.work is not None and isinstance(outcome, tuple)
    ]


@contextmanager
def _library_errors() -> Iterator[None]:
    try:
        yield
    except ConstraintViolated as error:
        raise persistence.IntegrityError(error.message) from error
    except StoreError as error:
        raise persistence.OperationalError(error.message) from error
