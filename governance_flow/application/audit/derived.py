"""What is derived from the log, compared with the log: the read model, and the workers' lists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from governance_flow.application.audit.faults import Check, Fault
from governance_flow.application.audit.folding import motion_at
from governance_flow.application.audit.tally import Recent
from governance_flow.application.process_manager.reconciling import WITHOUT_ROW
from governance_flow.application.summaries import summarise
from governance_flow.application.times import from_us
from governance_flow.domain.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from governance_flow.application.ports.audit import (
        AuditLog,
        OperationalRows,
        ReadModelCheck,
        ReadModelSnapshot,
    )
    from governance_flow.application.ports.event_store import EventStore, Head
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.application.ports.read_model import PipelineCounts, ReadModel
    from governance_flow.domain.motion import Motion

RECENT = timedelta(hours=24)
_ROUNDS_MAX = 5


@dataclass(frozen=True, slots=True)
class Standing:
    """The read model at one position, and what a replay up to there counts as recent.

    ``counts`` is None if the read model moved on whenever it was looked at.
    """

    snapshot: ReadModelSnapshot
    counts: PipelineCounts | None
    recent: Recent

    def differences(self) -> Iterator[Fault]:
        """Compare the counts of the last day with those of the replay."""
        if self.counts is None:
            return
        for name, stands, should in (
            ("completions", self.counts.completions, self.recent.completions),
            ("failures", self.counts.failures, self.recent.failures),
            ("finished motions", self.counts.finished, self.recent.finished),
        ):
            if stands != should:
                message = f"recent {name} should be {should}, but is {stands}"
                yield Fault(Check.READ_MODEL, f"the read model: {message}")


class ReadModelSide:
    """The read model, and the check that knows its tables."""

    def __init__(self, read_model: ReadModel, check: ReadModelCheck[Any]) -> None:
        self._read_model = read_model
        self.check = check

    async def stand(self, head: Head) -> Standing:
        """Bring the read model up to the head, and return where it stands then.

        Raises whatever keeps it from getting there.
        """
        since = from_us(head.committed_at_us).replace(microsecond=0) - RECENT
        await self._read_model.catch_up(head.position)
        for _ in range(_ROUNDS_MAX):
            counts = await self._read_model.counts(since=since)
            snapshot = await self.check.snapshot()
            if snapshot.position == counts.position:
                return Standing(snapshot, counts, Recent(since))
        return Standing(await self.check.snapshot(), None, Recent(since))


class ListsCheck:
    """Looks for motions that wait for a branch or the orchestrator, and stand on no list."""

    def __init__(
        self,
        store: EventStore,
        log: AuditLog,
        mapper: EventMapper,
        read_model: ReadModel,
        operations: OperationalRows,
    ) -> None:
        self._store = store
        self._log = log
        self._mapper = mapper
        self._read_model = read_model
        self._operations = operations

    async def lost(self, motions: Sequence[UUID]) -> list[Fault]:
        """Name those of the waiting motions that nobody would ever come to."""
        return [
            Fault(
                Check.OPERATIONS,
                "it waits for a branch or for the orchestrator, but stands on no list of theirs; "
                "a running worker puts it back",
                stream_id=str(motion_id),
            )
            for motion_id in await self._operations.missing(motions)
            if await self._is_lost(motion_id)
        ]

    async def _is_lost(self, motion_id: UUID) -> bool:
        """Look again until the motion stood still while it was looked at."""
        for _ in range(_ROUNDS_MAX):
            head = await self._store.head()
            await self._read_model.catch_up(head.position)
            motion = await motion_at(self._log, self._mapper, motion_id, head.position)
            if motion is None or not waits_on_a_list(motion):
                return False
            if not await self._operations.missing([motion_id]):
                return False
            if not await self._store.read_stream(motion_id, after_version=motion.version):
                return True
        return False


def waits_on_a_list(motion: Motion) -> bool:
    """Whether the motion must stand on the list of a branch or of the orchestrator."""
    return summarise(motion, Pipeline()).action_kind not in WITHOUT_ROW
