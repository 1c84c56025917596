"""Records events: groups of appends in one transaction, and the library's own interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from time import monotonic, sleep
from typing import Any, NamedTuple
from uuid import UUID

from eventsourcing import persistence
from eventsourcing.persistence import ApplicationRecorder, Notification, StoredEvent, Subscription

from governance_flow.application.ports.assignments import WorkChange
from governance_flow.application.ports.event_store import Append
from governance_flow.domain.errors import StoreError, StoreUnavailable
from governance_flow.infrastructure.alone import Alone
from governance_flow.infrastructure.append_rules import (
    Decision,
    Outcome,
    check_append,
    decide,
    granted,
    placed,
    stamped,
)
from governance_flow.infrastructure.appending import Appending
from governance_flow.infrastructure.database.base import AnyDatabase, StoreTransaction
from governance_flow.infrastructure.database.errors import CommitOutcomeUnknown, ConstraintViolated
from governance_flow.infrastructure.database.hints import Channel
from governance_flow.infrastructure.event_table import END, EventTable, HeadRow, Locked
from governance_flow.infrastructure.subscription import HintedSubscription
from governance_flow.infrastructure.work_changes import only_moves

Plan = Callable[[StoreTransaction], tuple[Locked, Decision]]
"""Locks the head and decides what to append."""

COMMITS_MAX = 3
"""How often a group is committed anew after its commit turned out not to have taken place."""

PAUSE_SECONDS_MIN = 0.05
PAUSE_SECONDS_MAX = 1.0
"""Bounds of the growing pause between attempts to learn what became of a commit."""


class _Tried(NamedTuple):
    """What was sent to be committed: the decision, and the head before and after it."""

    decision: Decision
    before: HeadRow
    after: HeadRow


class SqlRecorder(ApplicationRecorder):
    """Events in an SQL database, in one dense order. Synchronous; safe to use from many threads.

    ``settle_seconds`` is how long to go on asking a lost database whether a commit took place.
    """

    def __init__(self, database: AnyDatabase, *, settle_seconds: float = 15.0) -> None:
        self._database = database
        self._table = EventTable(database.dialect)
        self._appending = Appending(database.dialect)
        self._alone = Alone()
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
        docket = any(append.in_turn for append in appends)

        def plan(tx: StoreTransaction) -> tuple[Locked, Decision]:
            locked = self._table.lock(tx, streams, fenced, docket=docket)
            return locked, decide(
                appends,
                head=locked.head,
                versions=locked.versions,
                leases=locked.leases,
                now_us=locked.now_us,
                docket_empty=locked.docket_empty,
            )

        return list(self._commit(plan, appends).outcomes)

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> Sequence[int] | None:
        """Append the events, whatever their versions, as long as none is taken.

        The library's interface: raises its IntegrityError if one is, its OperationalError if the
        database cannot be used.
        """
        if not stored_events:
            return None

        def plan(tx: StoreTransaction) -> tuple[Locked, Decision]:
            locked = self._table.lock(tx)
            head = stamped(locked.head, locked.now_us)
            after = replace(head, position=head.position + len(stored_events))
            return locked, Decision((placed(stored_events, head),), after)

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

    def _commit(self, plan: Plan, appends: Sequence[Append] = ()) -> Decision:
        """Commit what ``plan`` decides under the lock; acknowledge only what is known.

        What the ``appends`` that go through change in the operational rows is committed with them.
        """
        for _ in range(COMMITS_MAX):
            tried: list[_Tried] = []

            def work(tx: StoreTransaction, tried: list[_Tried] = tried) -> None:
                if self._at_once(tx, appends, tried):
                    return
                locked, decision = plan(tx)
                if decision.events:
                    self._appending.at_commit(tx, locked, decision, _work_of(appends, decision))
                tried.append(_Tried(decision, locked.row, HeadRow(decision.head, locked.writer)))

            try:
                self._database.write_now(work)
            except CommitOutcomeUnknown as error:
                self._alone.disturbed()
                if not self._took_place(tried[-1].decision, error):
                    continue
                self._database.hints.publish(Channel.EVENTS, tried[-1].decision.head.position)
                self._database.hints.publish(Channel.WORK)
                return tried[-1].decision
            decision, before, after = tried[-1]
            if decision.events:
                self._alone.committed(before, after)
            return decision
        raise StoreUnavailable(
            f"{self._database.where}: the connection was lost in {COMMITS_MAX} commits running; "
            "nothing was recorded",
            where=self._database.where,
        )

    def _at_once(
        self, tx: StoreTransaction, appends: Sequence[Append], tried: list[_Tried]
    ) -> bool:
        """Commit the appends in one round trip, if nobody else appends; tell whether it was done.

        They are decided on the head that the last commit left. That it still is the head, and that
        the streams and leases are as they must be for all appends to go through, the database sees
        to, in the statement that appends.
        """
        row = self._alone.row
        if row is None or not appends or tx.dialect != "postgres":
            return False
        wanted = granted(appends)
        changes = [append.work for append in appends if append.work]
        if wanted is None or not only_moves(changes):
            return False
        decision = decide(
            appends,
            head=row.head,
            versions=wanted.versions,
            leases=wanted.leases,
            now_us=tx.now_us(),
        )
        if not decision.unanimous:
            return False
        tried.append(_Tried(decision, row, row))
        after = self._appending.at_once(tx, row, decision, changes, wanted)
        if after is None:
            self._alone.disturbed()
            return False
        tried[-1] = _Tried(decision, row, after)
        return True

    def _took_place(self, decision: Decision, lost: CommitOutcomeUnknown) -> bool:
        """Find out whether the commit whose answer was lost took place.

        A group is committed whole or not at all, so one of its events tells. It is looked for
        under the head lock: while the lost transaction may still commit it holds that lock, or,
        if it has not come that far, relies on the head being the row that it was. So what is not
        there by then, and has a head of another row before it, never will be.
        """
        if not decision.events:
            return True
        sent = decision.events[0]

        def look(tx: StoreTransaction) -> bool:
            self._table.lock(tx)
            version = sent.originator_version
            found = self._table.stream(
                tx, UUID(str(sent.originator_id)), after_version=version - 1, up_to_version=version
            )
            if found != [sent]:
                self._table.renew(tx)
            return found == [sent]

        deadline = monotonic() + self._settle_seconds
        pause_seconds = PAUSE_SECONDS_MIN
        while True:
            try:
                return self._database.write_now(look)
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
