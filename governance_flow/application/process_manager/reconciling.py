"""Finding live motions whose operational row was lost, and writing it again from the stream."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog

from governance_flow.application.ports.flow_orchestrator import ActionKind
from governance_flow.application.times import to_us
from governance_flow.domain.errors import CorruptStream

if TYPE_CHECKING:
    from governance_flow.application.ports.assignments import AssignmentStore
    from governance_flow.application.ports.database import Database
    from governance_flow.application.ports.read_model import ReadModel
    from governance_flow.application.process_manager.operations import Operations
    from governance_flow.application.services.motions import Motions
    from governance_flow.application.services.pipelines import Pipelines

PAGE = 500
WITHOUT_ROW = frozenset({ActionKind.NOTHING, ActionKind.PERSON, ActionKind.TAKING_UP})
"""What a motion can wait for without anything standing in the operational tables."""

log = structlog.get_logger(__name__)


class Reconciler:
    """Compares every live motion with the operational rows, a page at a time."""

    def __init__(  # noqa: PLR0913 - one collaborator each
        self,
        *,
        database: Database,
        assignments: AssignmentStore,
        operations: Operations,
        motions: Motions,
        pipelines: Pipelines,
        read_model: ReadModel,
    ) -> None:
        self._database = database
        self._assignments = assignments
        self._operations = operations
        self._motions = motions
        self._pipelines = pipelines
        self._read_model = read_model

    async def reconcile(self) -> int:
        """Restore what is missing; returns how many motions had lost their row."""
        restored = 0
        after = None
        while True:
            page = await self._read_model.motions(
                state=None, blocked=None, active=True, limit=PAGE, after=after
            )
            expected = [row.motion_id for row in page if row.action_kind not in WITHOUT_ROW]
            for motion_id in await self._assignments.missing(expected):
                try:
                    motion = (await self._motions.load(motion_id, fresh=True)).motion
                except CorruptStream as error:
                    log.error("motion not reconciled", motion_id=str(motion_id), error=str(error))
                    continue
                pipeline = await self._pipelines.current()
                await self._database.write(
                    partial(self._operations.align, motions=[motion], pipeline=pipeline)
                )
                log.warning("lost operational row restored", motion_id=str(motion_id))
                restored += 1
            if len(page) < PAGE:
                return restored
            after = (to_us(page[-1].introduced_at), page[-1].motion_id)
