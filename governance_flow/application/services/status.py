"""Questions about the pipeline: one motion from its stream, the whole from the read model."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from governance_flow.application.ports.flow_orchestrator import (
    Lag,
    MotionPage,
    MotionPipelineState,
    PipelineStatus,
)
from governance_flow.application.ports.overview import (
    Board,
    DocketPage,
    FoundMotions,
    MotionFilter,
    OldestInState,
    Series,
    StateOnBoard,
)
from governance_flow.application.services.input_fields import (
    MAX_NAME_CHARACTERS,
    MAX_TITLE_CHARACTERS,
    number_field,
    text_field,
)
from governance_flow.application.services.pages import decode_cursor, encode_cursor
from governance_flow.application.summaries import summarise
from governance_flow.domain.states import TERMINAL_STATES, GovernanceState

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from governance_flow.application.ports.clock import Clock
    from governance_flow.application.ports.event_store import EventStore, Head
    from governance_flow.application.ports.read_model import ReadModel, StateCounts
    from governance_flow.application.services.motions import Motions
    from governance_flow.application.services.pipelines import Pipelines
    from governance_flow.domain.motion import Motion

RECENT = timedelta(hours=24)
FIRST_PAGE = 20
MAX_PAGE = 1000
MAX_POSITION = 2**63 - 1


class StatusQueries:
    """Answers never older than the question: the read model catches up with the head first."""

    def __init__(
        self,
        store: EventStore,
        motions: Motions,
        pipelines: Pipelines,
        read_model: ReadModel,
        clock: Clock,
    ) -> None:
        self._store = store
        self._motions = motions
        self._pipelines = pipelines
        self._read_model = read_model
        self._clock = clock

    async def motion_status(self, motion_id: UUID) -> MotionPipelineState:
        """Return one motion as its stream has it."""
        await self._pipelines.refresh()
        return self.shown((await self._motions.load(motion_id, fresh=True)).motion)

    async def pipeline_status(self, *, at_least: int | None = None) -> PipelineStatus:
        """Return the pipeline as it stands at the head of the store, or later."""
        head = await self.caught_up(at_least)
        now = self._clock.now()
        glance = await self._read_model.glance(since=now - RECENT, limit=FIRST_PAGE)
        counts = glance.counts
        # A halt that the counters have seen is never shown as running.
        pipeline = await self._pipelines.as_of(glance.halt_epoch)
        by_state = {state: counts.by_state.get(state, 0) for state in GovernanceState}
        oldest = counts.oldest_introduced_at
        capacity = self._pipelines.configuration.max_concurrent_motions
        return PipelineStatus(
            active_motions=sum(n for s, n in by_state.items() if s not in TERMINAL_STATES),
            motions_by_state=by_state,
            blocked_motions=counts.blocked,
            oldest_motion_age=now - oldest if oldest else timedelta(),
            recent_completions=counts.completions,
            recent_failures=counts.failures,
            active=tuple(summary.at(now, pipeline.halt) for summary in glance.active),
            waiting_motions=counts.waiting,
            admitted=head.admitted,
            free_places=max(0, capacity - head.admitted),
            finished_recently=counts.finished,
            halted=pipeline.halted,
            halt_reason=pipeline.halt.reason if pipeline.halt else None,
            halted_since=pipeline.halt.since if pipeline.halt else None,
            position=counts.position,
            lag=Lag(counts.behind_events, counts.behind_seconds),
            as_of=now,
        )

    async def list_motions(
        self,
        *,
        state: GovernanceState | None = None,
        blocked: bool | None = None,
        limit: int = 50,
        after: str | None = None,
        at_least: int | None = None,
    ) -> MotionPage:
        """Return a page of motions, in the order in which they were introduced."""
        wanted = MotionFilter(state=state, blocked=blocked)
        return await self.motions(wanted, limit=limit, after=after, at_least=at_least)

    async def motions(
        self,
        wanted: MotionFilter,
        *,
        limit: int = 50,
        after: str | None = None,
        at_least: int | None = None,
    ) -> MotionPage:
        """Return a page of the list that the filter makes, in the order that belongs to it.

        Where one condition is looked up and the others are tried motion by motion, a page may
        hold fewer motions than ``limit``, even none, though there is a next one.
        """
        number_field("limit", limit, at_least=1, at_most=MAX_PAGE)
        place = decode_cursor(after) if after is not None else None
        if wanted.introduced_by is not None:
            text_field("introduced_by", wanted.introduced_by, max_characters=MAX_NAME_CHARACTERS)
        await self.caught_up(at_least)
        pipeline = await self._pipelines.refresh()
        now = self._clock.now()
        found = await self._read_model.listed(wanted, now=now, limit=limit, after=place)
        return MotionPage(
            motions=tuple(summary.at(now, pipeline.halt) for summary in found.motions),
            next_after=encode_cursor(found.next_after) if found.next_after else None,
        )

    async def board(self, *, at_least: int | None = None) -> Board:
        """Return every state at a glance, in the order of the flow."""
        await self.caught_up(at_least)
        now = self._clock.now()
        counts = await self._read_model.board(now=now)
        return Board(
            states=tuple(
                _on_board(state, counts.by_state[state], now) for state in GovernanceState
            ),
            overdue=counts.overdue,
            overdue_more=counts.overdue_more,
            waits_for_person=counts.waits_for_person,
            position=counts.position,
            lag=Lag(counts.behind_events, counts.behind_seconds),
            as_of=now,
        )

    async def series(self, *, at_least: int | None = None) -> Series:
        """Return what happened in the last 24 hours, hour by hour, and in the last 30 days."""
        await self.caught_up(at_least)
        return await self._read_model.series(now=self._clock.now())

    async def docket(
        self, *, limit: int = 50, after: str | None = None, at_least: int | None = None
    ) -> DocketPage:
        """Return a page of the motions that wait for a place, in the order of their admission."""
        page = await self.motions(
            MotionFilter(waiting=True), limit=limit, after=after, at_least=at_least
        )
        head = await self._store.head()
        capacity = self._pipelines.configuration.max_concurrent_motions
        return DocketPage(
            motions=page.motions,
            next_after=page.next_after,
            free_places=max(0, capacity - head.admitted),
            halted=self._pipelines.known.halted,
        )

    async def search(
        self,
        text: str,
        *,
        limit: int = FIRST_PAGE,
        after: str | None = None,
        at_least: int | None = None,
    ) -> FoundMotions:
        """Return the motions that have all the words of a text, the newest first.

        Words are those of the title, the reference and the introducer; the last one may be the
        beginning of one. The id of a motion finds it too.
        """
        text_field("text", text, max_characters=MAX_TITLE_CHARACTERS)
        number_field("limit", limit, at_least=1, at_most=MAX_PAGE)
        place = decode_cursor(after) if after is not None else None
        await self.caught_up(at_least)
        pipeline = await self._pipelines.refresh()
        found = await self._read_model.found(text, limit=limit, before=place)
        now = self._clock.now()
        return FoundMotions(
            motions=tuple(summary.at(now, pipeline.halt) for summary in found.motions),
            next_after=encode_cursor(found.next_after) if found.next_after else None,
            complete=found.complete,
        )

    async def caught_up(self, at_least: int | None) -> Head:
        """Bring the read model up to the head, or further if asked for; return that head."""
        if at_least is not None:
            number_field("at_least", at_least, at_least=0, at_most=MAX_POSITION)
        head = await self._store.head()
        await self._read_model.catch_up(max(head.position, at_least or 0))
        return head

    def shown(self, motion: Motion) -> MotionPipelineState:
        """Return what to show of a motion that has just been loaded or changed."""
        pipeline = self._pipelines.known
        return summarise(motion, pipeline).at(self._clock.now(), pipeline.halt)


def _on_board(state: GovernanceState, counts: StateCounts, now: datetime) -> StateOnBoard:
    oldest = counts.oldest
    return StateOnBoard(
        state=state,
        motions=counts.motions,
        blocked=counts.blocked,
        overdue=counts.overdue,
        oldest=None
        if oldest is None
        else OldestInState(
            motion_id=oldest.motion_id,
            title=oldest.title,
            entered_state_at=oldest.entered_state_at,
            time_in_state=now - oldest.entered_state_at,
        ),
    )
