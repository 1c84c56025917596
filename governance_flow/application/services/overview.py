"""What dashboards ask of many motions at once; none of it costs more the more motions there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from governance_flow.application.ports.flow_orchestrator import MotionPage
    from governance_flow.application.ports.overview import (
        Board,
        DocketPage,
        FoundMotions,
        MotionFilter,
        Series,
    )
    from governance_flow.application.services.status import StatusQueries


class Overview:
    """Answers never older than the question, like those of the orchestrator.

    Every method may raise StoreError, and InvalidInput for malformed arguments. ``at_least`` is a
    position of the log up to which the answer must know everything.
    """

    def __init__(self, status: StatusQueries) -> None:
        self._status = status

    async def board(self, *, at_least: int | None = None) -> Board:
        """Return every state at a glance: how many, how many of them blocked, the oldest."""
        return await self._status.board(at_least=at_least)

    async def series(self, *, at_least: int | None = None) -> Series:
        """Return what happened in the last 24 hours, hour by hour, and in the last 30 days.

        Hours and days are those of the calendar (UTC); the last ones are still under way.
        """
        return await self._status.series(at_least=at_least)

    async def docket(
        self, *, limit: int = 50, after: str | None = None, at_least: int | None = None
    ) -> DocketPage:
        """Return a page of the motions that wait for a place, in the order of their admission."""
        return await self._status.docket(limit=limit, after=after, at_least=at_least)

    async def motions(
        self,
        wanted: MotionFilter,
        *,
        limit: int = 50,
        after: str | None = None,
        at_least: int | None = None,
    ) -> MotionPage:
        """Return a page of the list that the filter makes, in the order that belongs to it.

        A page may hold fewer motions than ``limit``, even none, though there is a next one.
        """
        return await self._status.listed(wanted, limit=limit, after=after, at_least=at_least)

    async def search(
        self,
        text: str,
        *,
        limit: int = 20,
        after: str | None = None,
        at_least: int | None = None,
    ) -> FoundMotions:
        """Return the motions that have all the words of a text, the newest first.

        Words are those of the title, the reference and the introducer; the last one may be the
        beginning of one. The id of a motion finds it too.
        """
        return await self._status.search(text, limit=limit, after=after, at_least=at_least)
