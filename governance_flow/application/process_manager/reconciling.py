"""Finding what has drifted from the events: operational rows are restored, the rest is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from governance_flow.application.ports.flow_orchestrator import ActionKind
from governance_flow.application.summaries import summarise
from governance_flow.application.times import to_us
from governance_flow.domain.errors import CorruptStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from governance_flow.application.ports.assignments import AssignmentStore
    from governance_flow.application.ports.event_store import EventStore
    from governance_flow.application.ports.read_model import ReadModel
    from governance_flow.application.services.breaker import Breaker
    from governance_flow.application.services.motions import Motions
    from governance_flow.application.services.pipelines import Pipelines

Cursor = tuple[int, UUID]
"""When a motion was introduced, in microseconds, and its id."""

PAGE = 500
WITHOUT_ROW = frozenset({ActionKind.NOTHING, ActionKind.PERSON, ActionKind.TAKING_UP})
"""What a motion can wait for without anything standing in the operational tables."""

log = structlog.get_logger(__name__)


class Reconciler:
    """Compares every live motion with the operational rows, a page at a time.

    At the end of each sweep it also has a few rows of the read model compared with their
    streams: ``sample`` returns what differs, in words.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        assignments: AssignmentStore,
        motions: Motions,
        pipelines: Pipelines,
        read_model: ReadModel,
        breaker: Breaker,
        sample: Callable[[], Awaitable[Sequence[object]]],
    ) -> None:
        self._store = store
        self._assignments = assignments
        self._motions = motions
        self._pipelines = pipelines
        self._read_model = read_model
        self._breaker = breaker
        self._sample = sample

    async def reconcile(self) -> int:
        """Restore whatever is missing; returns how many motions had lost their row."""
        after, total = await self.reconcile_page(None)
        while after is not None:
            after, restored = await self.reconcile_page(after)
            total += restored
        return total

    async def reconcile_page(self, after: Cursor | None) -> tuple[Cursor | None, int]:
        """Look at the motions behind ``after``; None: at the first ones.

        Returns where the next page begins (None: that was the last), and how many had lost their
        row.
        """
        if after is None:
            # Whoever recorded one system error too many may not have lived to halt the pipeline.
            await self._breaker.check()
            await self._read_model.catch_up((await self._store.head()).position)
        page = await self._read_model.motions(
            state=None, blocked=None, active=True, limit=PAGE, after=after
        )
        last = page[-1] if len(page) == PAGE else None
        expected = [row.motion_id for row in page if row.action_kind not in WITHOUT_ROW]
        suspects = await self._assignments.missing(expected)
        if suspects:
            # Most have only moved on between the two questions: ask again, of the present.
            await self._read_model.catch_up((await self._store.head()).position)
            suspects = await self._assignments.missing(suspects)
        restored = await self._restore(suspects)
        if last is None:
            await self._report_drift()
        return (to_us(last.introduced_at), last.motion_id) if last else None, restored

    async def _report_drift(self) -> None:
        for fault in await self._sample():
            log.error(
                "the read model differs from the events",
                fault=str(fault),
                remedy="governance-flow audit verify, then governance-flow rebuild",
            )

    async def _restore(self, motion_ids: Sequence[UUID]) -> int:
        restored = 0
        for motion_id in motion_ids:
            try:
                motion = (await self._motions.load(motion_id, fresh=True)).motion
            except CorruptStream as error:
                log.error(  # noqa: TRY400 - the message says all there is
                    "motion not reconciled", motion_id=str(motion_id), error=str(error)
                )
                continue
            pipeline = await self._pipelines.refresh()
            if summarise(motion, pipeline).action_kind in WITHOUT_ROW:
                continue
            change = self._pipelines.operations.after(motion, pipeline)
            if not await self._assignments.restore(
                change, version=motion.version, halt_epoch=pipeline.halt_epoch
            ):
                continue
            log.warning("lost operational row restored", motion_id=str(motion_id))
            restored += 1
        return restored
