"""What waits for a person: each with what resolves it, or many at once; and what is overdue."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query, Response

from governance_flow.api.service import TheBearer
from governance_flow.application.ports.flow_orchestrator import (
    ActionKind,
    MotionPipelineState,
)
from governance_flow.application.ports.overview import MotionFilter
from governance_flow.application.services.bulk import Selection
from governance_flow.dashboard.deciding import choices_for, decision_in
from governance_flow.dashboard.pages import TheFrame, link, render
from governance_flow.dashboard.problems import PageRoute
from governance_flow.dashboard.words import error_type_of
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.states import GovernanceState

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE = 50
OVERDUE_MAX = 20
AT_ONCE = 100


@router.get("/attention")
async def show_attention(
    frame: TheFrame, after: Annotated[str, Query(max_length=200)] = ""
) -> Response:
    """Show a page of what waits for a person, and what is longest overdue."""
    status = frame.service.flow.status
    page = await status.motions(
        MotionFilter(waits_for_person=True), limit=PAGE, after=after or None
    )
    return render(
        frame,
        "attention.html",
        title="Attention",
        here="attention",
        waiting=[(motion, choices_for(motion)) for motion in page.motions],
        error_types=_error_types(page.motions),
        any_tabled=any(_waits_to_be_taken_up(motion) for motion in page.motions),
        overdue=await status.motions(MotionFilter(overdue=True), limit=OVERDUE_MAX),
        is_first=not after,
        next_page=link("/attention", {"after": page.next_after}) if page.next_after else None,
    )


@router.post("/attention")
async def decide_many_on_page(
    *,
    frame: TheFrame,
    bearer: TheBearer,
    decision: Annotated[str, Form()] = "",
    error_type: Annotated[str, Form(max_length=200)] = "",
    notes: Annotated[str, Form()] = "",
    after: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Decide alike about those of a page that are meant, and show what became of each."""
    flow = frame.service.flow
    decided_as = decision_in(decision)
    taking_up = decided_as is Resolution.TAKE_UP

    async def decide(motion_id: UUID) -> MotionPipelineState:
        return await flow.orchestrator.resolve_escalation(
            motion_id, bearer.actor, decided_as, notes
        )

    state = GovernanceState.TABLED if taking_up else None
    selection = Selection(state, None if taking_up else error_type or None)
    decided, next_after = await flow.bulk.page(
        selection, decide, after=after or None, limit=AT_ONCE, taking_up=taking_up
    )
    return render(
        frame,
        "decided.html",
        title="Decided together",
        here="attention",
        done=[one for one in decided if one.status is not None],
        refused=[one for one in decided if one.status is None],
        decision=decided_as.value,
        error_type=error_type,
        notes=notes,
        next_after=next_after,
    )


def _waits_to_be_taken_up(motion: MotionPipelineState) -> bool:
    action = motion.next_action
    return action is not None and action.kind is ActionKind.TAKING_UP


def _error_types(motions: Any) -> list[tuple[str, int]]:
    return Counter(
        error_type_of(issue) for motion in motions for issue in motion.blocking_issues
    ).most_common()
