"""The board: every state at a glance, what is stuck, what has happened lately; halt and resume."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Response

from governance_flow.api.service import TheBearer
from governance_flow.application.ports.overview import MotionFilter
from governance_flow.application.times import from_us
from governance_flow.dashboard.pages import TheFrame, render, see
from governance_flow.dashboard.problems import PageRoute
from governance_flow.domain.states import TERMINAL_STATES, GovernanceState

router = APIRouter(route_class=PageRoute, include_in_schema=False)

STUCK_MAX = 5

FLOW = tuple(
    state
    for state in GovernanceState
    if state not in TERMINAL_STATES and state is not GovernanceState.TABLED
)
ASIDE = (GovernanceState.TABLED, *(s for s in GovernanceState if s in TERMINAL_STATES))


@router.get("/")
async def show_board(frame: TheFrame) -> Response:
    """Show how the pipeline stands."""
    flow = frame.service.flow
    status = await flow.orchestrator.get_pipeline_status()
    board = await flow.status.board()
    kept = await flow.audit.proofs.kept()
    columns = {column.state: column for column in board.states}
    return render(
        frame,
        "board.html",
        title="Board",
        here="board",
        status_now=status,
        board=board,
        flow_columns=[columns[state] for state in FLOW],
        side_columns=[columns[state] for state in ASIDE],
        stuck=await flow.status.motions(MotionFilter(waits_for_person=True), limit=STUCK_MAX),
        overdue=await flow.status.motions(MotionFilter(overdue=True), limit=STUCK_MAX),
        series=await flow.status.series(),
        lags=sorted((await flow.runner.lag()).items()),
        checkpoint_at=None if kept is None else from_us(kept.signed_at_us),
        terminal=TERMINAL_STATES,
    )


@router.post("/halt")
async def halt_on_page(
    frame: TheFrame, bearer: TheBearer, reason: Annotated[str, Form()] = ""
) -> Response:
    """Halt the whole pipeline."""
    await frame.service.flow.orchestrator.halt_pipeline(bearer.actor, reason)
    return see("/", done="halted")


@router.post("/resume")
async def resume_on_page(
    frame: TheFrame, bearer: TheBearer, reason: Annotated[str, Form()] = ""
) -> Response:
    """Let a halted pipeline go on."""
    await frame.service.flow.orchestrator.resume_pipeline(bearer.actor, reason)
    return see("/", done="resumed")
