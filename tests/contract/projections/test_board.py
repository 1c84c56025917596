"""The board: every state at a glance, from counters and the ends of indexes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from governance_flow.application.ports.overview import StateOnBoard
from governance_flow.domain.states import TERMINAL_STATES, GovernanceState
from projections import lists
from tests.support.clock import ManualClock
from tests.support.flows import ZOE, PlayedFlow, opened

S = GovernanceState


async def states(flow: PlayedFlow) -> dict[S, StateOnBoard]:
    return {column.state: column for column in (await flow.flow.status.board()).states}


async def test_an_empty_board(store_address: str, clock: ManualClock) -> None:
    async with opened(store_address, clock=clock) as flow:
        board = await flow.flow.status.board()
        assert board.states == tuple(StateOnBoard(state, 0, 0, 0, None) for state in S)
        assert (board.overdue, board.overdue_more, board.waits_for_person) == (0, False, 0)
        assert (board.position, board.lag.events, board.as_of) == (0, 0, clock.now())


async def test_each_state_shows_how_many_are_in_it_and_who_has_been_for_the_longest(
    store_address: str, clock: ManualClock
) -> None:
    async with opened(store_address, clock=clock) as flow:
        first = await flow.introduce("introduced first, planned last")
        clock.advance(1)
        oldest = await flow.reach(S.PLANNING, await flow.introduce("planned first"))
        clock.advance(1)
        await flow.reach(S.PLANNING, first)
        for state in TERMINAL_STATES:
            await flow.reach(state)
        tabled = await flow.reach(S.TABLED)
        await flow.fails(oldest, "system_error")
        reviewed = await flow.reach(S.JUDGING)
        await flow.fails(reviewed, "permission_error")
        clock.advance(60)
        shown = await states(flow)
        assert {state: column.motions for state, column in shown.items() if column.motions} == {
            S.PLANNING: 2,
            S.JUDGING: 1,
            S.TABLED: 1,
            **dict.fromkeys(TERMINAL_STATES, 1),
        }
        planning = shown[S.PLANNING]
        assert planning.oldest is not None
        assert (planning.oldest.motion_id, planning.oldest.title) == (oldest, "planned first")
        assert planning.oldest.time_in_state == timedelta(seconds=61)
        assert planning.oldest.entered_state_at == clock.now() - timedelta(seconds=61)
        assert (planning.blocked, shown[S.JUDGING].blocked) == (1, 1)
        assert all(shown[state].oldest is None for state in (*TERMINAL_STATES, S.EXECUTING))
        assert (await flow.flow.status.board()).waits_for_person == 2
        await flow.orchestrator.retry_motion(oldest, ZOE)
        await flow.orchestrator.retry_motion(tabled, ZOE)
        await flow.succeeds(oldest)
        clock.advance(1)
        board = await flow.flow.status.board()
        planning = next(column for column in board.states if column.state is S.PLANNING)
        assert planning.oldest is not None
        assert (planning.oldest.motion_id, planning.motions, planning.blocked) == (first, 1, 0)
        assert board.waits_for_person == 0


async def test_what_is_overdue_is_counted_by_state_and_not_while_it_stands_still(
    store_address: str, clock: ManualClock
) -> None:
    async with opened(store_address, clock=clock) as flow:
        for state in (S.PLANNING, S.JUDGING, S.PLANNING, S.TABLED):
            await flow.reach(state)
        clock.advance(hours=47)
        await flow.halt()
        clock.advance(hours=100)
        assert (await flow.flow.status.board()).overdue == 0
        await flow.resume()
        clock.advance(hours=1)
        assert (await flow.flow.status.board()).overdue == 1
        clock.advance(hours=24)
        shown = await states(flow)
        assert {state: column.overdue for state, column in shown.items() if column.overdue} == {
            S.PLANNING: 2,
            S.JUDGING: 1,
        }
        board = await flow.flow.status.board()
        assert (board.overdue, board.overdue_more) == (3, False)


@pytest.mark.parametrize(("counted", "more"), [(2, True), (3, False)])
async def test_only_so_many_overdue_motions_are_counted(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch, counted: int, more: bool
) -> None:
    monkeypatch.setattr(lists, "OVERDUE_COUNTED_MAX", counted)
    async with opened(clock=clock) as flow:
        for _ in range(3):
            await flow.reach(S.PLANNING)
        clock.advance(hours=73)
        board = await flow.flow.status.board()
        assert (board.overdue, board.overdue_more) == (counted, more)
        assert sum(column.overdue for column in board.states) == counted
