"""The port Snapshots on an SQL database."""

from __future__ import annotations

from uuid import UUID

import structlog
from pydantic import TypeAdapter, ValidationError

from governance_flow.application.loaded import Loaded
from governance_flow.application.queries import load_queries
from governance_flow.infrastructure.database.base import AnyDatabase

FORMAT = 1
"""Changes with the shape of ``Loaded``: snapshots of another format are passed over."""

_ADAPTER: TypeAdapter[Loaded] = TypeAdapter(Loaded)

log = structlog.get_logger(__name__)


class SqlSnapshots:
    """One row for each long stream."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database
        self._sql = load_queries(
            "governance_flow.infrastructure", "sql/snapshots.sql", database.dialect
        )

    async def latest(self, motion_id: UUID) -> Loaded | None:
        """Return the latest snapshot; None if there is none, or none this program can read."""
        params = {"stream_id": str(motion_id), "format": FORMAT}
        rows = await self._database.read_once(
            lambda tx: tx.execute(self._sql.latest_snapshot, params)
        )
        if not rows:
            return None
        try:
            return _ADAPTER.validate_json(rows[0][0])
        except ValidationError as error:
            # The stream itself is whole, so this costs time and nothing else.
            log.warning("unreadable snapshot passed over", motion_id=str(motion_id), why=str(error))
            return None

    async def keep(self, loaded: Loaded) -> None:
        """Keep this one instead of an older one."""
        params = {
            "stream_id": str(loaded.motion.id),
            "version": loaded.version,
            "format": FORMAT,
            "state": _ADAPTER.dump_json(loaded),
        }
        await self._database.write(lambda tx: tx.execute(self._sql.keep_snapshot, params))
