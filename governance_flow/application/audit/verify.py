"""The whole verification: every position, every stream, every statement, and what was derived."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from governance_flow.application.audit.derived import (
    ListsCheck,
    ReadModelSide,
    Standing,
    waits_on_a_list,
)
from governance_flow.application.audit.expected import NOTHING, Expected
from governance_flow.application.audit.faults import AuditReport, Check, Fault, Findings
from governance_flow.application.audit.head import end_faults, state_faults
from governance_flow.application.audit.key_history import KeyHistory
from governance_flow.application.audit.log_check import LogCheck
from governance_flow.application.audit.pages import pages_by_position
from governance_flow.application.audit.positions import PositionCheck
from governance_flow.application.audit.promises import ENVIRONMENT
from governance_flow.application.audit.walk import StreamWalk
from governance_flow.application.audit.words import counted
from governance_flow.application.process_manager.collecting import collecting_rarely
from governance_flow.domain.errors import (
    GovernanceFlowError,
    StoreReadOnly,
)
from governance_flow.domain.keys import KeyRole

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from uuid import UUID

    from governance_flow.application.ports.audit import (
        AuditLog,
        LogEnds,
        Progress,
        ReadModelFault,
    )
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.application.ports.projection import MotionChange
    from governance_flow.application.ports.transparency_log import LogCheckpoints, LogTree

EVERY_POSITION = 2**63 - 1

LISTED_AT_ONCE = 200
"""How many motions are looked for on the workers' lists at a time."""


class Auditor:
    """Verifies a store that goes on being used meanwhile.

    Without ``read_model`` and ``lists`` only the log itself is verified.
    """

    def __init__(
        self,
        log: AuditLog,
        mapper: EventMapper,
        *,
        read_model: ReadModelSide | None = None,
        lists: ListsCheck | None = None,
        tree: LogTree | None = None,
        checkpoints: LogCheckpoints | None = None,
    ) -> None:
        self._log = log
        self._mapper = mapper
        self._tree = tree
        self._checkpoints = checkpoints
        self._read_model = read_model
        self._lists = lists

    async def verify(
        self, progress: Progress | None = None, *, expected: Expected = NOTHING
    ) -> AuditReport:
        """Verify everything up to the head of the log as it is now.

        ``expected`` is what the auditor holds that the store cannot have changed. The log is read
        twice, which is what ``progress`` counts. Faults are never raised, they are listed;
        StoreError is raised only for a store that cannot be reached or read at all, InvalidInput
        for a checkpoint to compare with that is none.
        """
        with collecting_rarely():
            return await self._verified(progress, expected)

    async def _verified(self, progress: Progress | None, expected: Expected) -> AuditReport:
        ends = await self._log.ends()
        run = _Run(self._log, self._mapper, ends, progress)
        keys = await KeyHistory.read(self._log, self._mapper, up_to_position=ends.last_position)
        run.keys(keys, expected)
        check = None
        if self._tree is not None and self._checkpoints is not None:
            log_key = expected.log_key or keys.log_key
            kept = expected.opened(log_key)
            check = LogCheck(self._tree, self._checkpoints, log_key, kept)
        await run.positions(check)
        if self._read_model is not None:
            await run.stand(self._read_model)
            # Motions are followed as far as the read model stands, which may be further than the
            # log was when it was looked at first.
            run.know(await KeyHistory.read(self._log, self._mapper, up_to_position=EVERY_POSITION))
        await run.streams(self._read_model, self._lists)
        return run.report()


class _Run:
    """One verification."""

    def __init__(
        self, log: AuditLog, mapper: EventMapper, ends: LogEnds, progress: Progress | None
    ) -> None:
        self._log = log
        self._mapper = mapper
        self._ends = ends
        self._progress = progress
        self._done = 0
        self._total = 2 * ends.last_position
        self._findings = Findings()
        self._later = Findings()
        """What is found about derived things, to be listed behind the faults of the log."""
        self._notes: list[str] = []
        self._seen = PositionCheck()
        self._walk: StreamWalk | None = None
        self._walk_failed = False
        """Whether it was the walk itself, and no reader of it, that an error came out of."""
        self._standing: Standing | None = None
        self._waiting: list[UUID] = []
        self._lists_failed = False
        self._keys: KeyHistory | None = None
        self._tree: LogCheck | None = None

    def keys(self, keys: KeyHistory, expected: Expected) -> None:
        """Take the keys that the store has adopted, and hold them against the expected ones."""
        self._keys = keys
        self._findings.extend(keys.faults)
        self._findings.extend(expected.differing(keys))

    def know(self, keys: KeyHistory) -> None:
        """Take the keys that were adopted meanwhile, too."""
        self._keys = keys

    async def positions(self, check: LogCheck | None) -> None:
        """Read the log in its own order, and build its tree anew."""
        self._tree = check
        if check is not None:
            await check.start()
        async for page in pages_by_position(self._log, up_to_position=self._ends.last_position):
            for row in page:
                self._findings.extend(self._seen.add(row))
            if check is not None:
                self._findings.extend(await check.add(page))
            self._moved(len(page))
        self._findings.extend(end_faults(self._ends.head, self._seen))
        if check is not None:
            self._findings.extend(await check.finish(self._ends.last_position))
            unsigned = self._ends.last_position + 1 - max(1, check.signed_size)
            if unsigned and not self._findings.count:
                self._notes.append(self._uncovered(unsigned, check))

    def _uncovered(self, events: int, check: LogCheck) -> str:
        """Say that nothing was promised about the last events, and whether that is strange."""
        keys = self._keys.adoptions if self._keys else []
        since = next((a.row.position for a in keys if a.role is KeyRole.LOG), None)
        if since is not None and not check.checkpoints:
            return (
                f"the log's key is in use since position {since:,}, but no checkpoint is left: "
                "were they deleted? Compare with one that was kept (--checkpoint)"
            )
        return (
            f"no checkpoint covers the last {counted(events, 'event')} yet: "
            "governance-flow audit checkpoint signs one"
        )

    async def stand(self, side: ReadModelSide) -> None:
        """Find out where the read model stands, if it can be brought up to the log at all."""
        if self._ends.head is None:
            self._notes.append("the read model was not compared: the store has no head row")
            return
        try:
            self._standing = await side.stand(self._ends.head)
        except ENVIRONMENT:
            raise
        except StoreReadOnly as error:
            self._notes.append(f"the read model was not compared: {error}")
        except Exception as error:  # noqa: BLE001 - a log with faults may stop it in any way
            message = f"the read model cannot be brought up to the log: {_words(error)}"
            self._later.add(Fault(Check.READ_MODEL, message))
        else:
            if self._standing.counts is None:
                self._notes.append(
                    "the counts of the last day were not compared: the read model never stood still"
                )

    async def streams(self, side: ReadModelSide | None, lists: ListsCheck | None) -> None:
        """Read the log stream by stream, and hold what was derived from it against it."""
        walk = self._walk = StreamWalk(
            self._log,
            self._mapper,
            self._findings,
            head_position=self._ends.last_position,
            replay_position=self._standing.snapshot.position if self._standing else 0,
            on_page=self._moved,
            keys=self._keys,
        )
        lists = lists if self._standing is not None else None
        async with aclosing(self._replay(walk, lists)) as replay:
            if side is not None and self._standing is not None:
                await self._compare(side, self._standing, replay)
            async for _ in replay:
                pass
            if side is not None and not self._counted:
                unread = (
                    "a stream" if walk.motions_broken == 1 else f"{walk.motions_broken} streams"
                )
                self._notes.append(
                    f"the read model's counters were not compared: {unread} cannot be followed"
                )
        if lists is not None:
            await self._look_for_lost(lists)
        if walk.sum.value != self._seen.sum.value:
            message = (
                "read by stream, the log holds other rows than read by position: "
                "its index is damaged"
            )
            self._findings.add(Fault(Check.POSITIONS, message))
        if self._ends.head is not None:
            for fault in state_faults(self._ends.head, walk):
                self._findings.add(fault)

    async def _compare(
        self, side: ReadModelSide, standing: Standing, replay: AsyncGenerator[MotionChange]
    ) -> None:
        try:
            async for difference in side.check.verify(standing.snapshot, replay):
                self._differs(difference)
        except ENVIRONMENT:
            raise
        except Exception as error:
            if self._walk_failed:
                raise
            message = f"the read model cannot be read: {_words(error)}"
            self._later.add(Fault(Check.READ_MODEL, message))
        else:
            if self._counted:
                for fault in standing.differences():
                    self._later.add(fault)

    def _differs(self, difference: ReadModelFault) -> None:
        motion_id = difference.motion_id
        if motion_id is not None:
            message = str(difference).removeprefix(f"motion {motion_id}: ")
            self._later.add(Fault(Check.READ_MODEL, message, stream_id=str(motion_id)))
        elif self._counted:
            self._later.add(Fault(Check.READ_MODEL, str(difference)))

    @property
    def _counted(self) -> bool:
        """Whether the walk could count everything: if not, its counts say nothing."""
        return self._walk is not None and not self._walk.motions_broken

    async def _replay(
        self, walk: StreamWalk, lists: ListsCheck | None
    ) -> AsyncGenerator[MotionChange]:
        """Hand on the motions, having looked at each for what nobody else looks for."""
        self._walk_failed = True
        async for change in walk.changes():
            if self._standing is not None:
                for item in change.events:
                    self._standing.recent.add(item.event)
            if lists is not None and change.after is not None and change.poison is None:
                if waits_on_a_list(change.after):
                    self._waiting.append(change.motion_id)
                if len(self._waiting) == LISTED_AT_ONCE:
                    await self._look_for_lost(lists)
            self._walk_failed = False
            yield change
            self._walk_failed = True
        self._walk_failed = False

    async def _look_for_lost(self, lists: ListsCheck) -> None:
        waiting, self._waiting = self._waiting, []
        if self._lists_failed:
            return
        try:
            for fault in await lists.lost(waiting):
                self._later.add(fault)
        except ENVIRONMENT:
            raise
        except Exception as error:  # noqa: BLE001 - a table that is gone, for instance
            self._lists_failed = True
            message = f"the lists of what is to be done cannot be read: {_words(error)}"
            self._later.add(Fault(Check.OPERATIONS, message))

    def _moved(self, rows: int) -> None:
        self._done += rows
        if self._progress is not None:
            # Workers append meanwhile: the second reading may be longer than the first.
            self._progress(self._done, max(self._done, self._total))

    def report(self) -> AuditReport:
        """Return what was found."""
        walk = self._walk
        listed = [*self._findings.listed, *self._later.listed]
        return AuditReport(
            position=self._ends.last_position,
            events=self._seen.events,
            motions=walk.motions if walk else 0,
            statements=walk.statements if walk else 0,
            checkpoints=self._tree.checkpoints if self._tree else 0,
            faults=tuple(listed),
            fault_count=self._findings.count + self._later.count,
            notes=tuple(self._notes),
        )


def _words(error: Exception) -> str:
    if isinstance(error, GovernanceFlowError):
        return str(error)
    return f"{type(error).__name__}: {error}"
