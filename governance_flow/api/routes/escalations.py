"""What waits for a person: found, decided about one at a time, or many at once."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response

from governance_flow.api.guard import GuardedRoute
from governance_flow.api.parameters import (
    Acting,
    After,
    AtLeast,
    Idempotent,
    IfVersion,
    Limit,
    MotionId,
    etag,
    tell_position,
)
from governance_flow.api.paths import PREFIX
from governance_flow.api.responses import REFUSALS
from governance_flow.api.schemas import (
    DecidedView,
    ManyDecided,
    ManyDecisions,
    PersonsDecision,
)
from governance_flow.api.service import TheService
from governance_flow.application.ports.flow_orchestrator import MotionPage, MotionPipelineState
from governance_flow.application.ports.overview import MotionFilter
from governance_flow.application.services.bulk import Selection
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.states import GovernanceState

router = APIRouter(
    prefix=f"{PREFIX}/escalations",
    tags=["escalations"],
    route_class=GuardedRoute,
    responses=REFUSALS,
)


@router.get("")
async def list_escalations(
    service: TheService, _at_least: AtLeast, limit: Limit = 50, after: After = None
) -> MotionPage:
    """List the motions that a named person must decide about, and what blocks each."""
    wanted = MotionFilter(waits_for_person=True)
    return await service.flow.status.motions(wanted, limit=limit, after=after)


@router.post("/{motion_id}/resolution", dependencies=[Idempotent])
async def resolve_escalation(
    *,
    motion_id: MotionId,
    decision: PersonsDecision,
    actor: Acting,
    if_version: IfVersion,
    service: TheService,
    response: Response,
) -> MotionPipelineState:
    """Decide about a motion that is blocked: retry, return or review; or take up a tabled one.

    Not by somebody who has acted on the motion.
    """
    decided = await service.flow.orchestrator.resolve_escalation(
        motion_id, actor, decision.decision, decision.notes, if_version=if_version
    )
    response.headers["ETag"] = etag(decided.version)
    await tell_position(response, service)
    return decided


@router.post("/{motion_id}/retry", dependencies=[Idempotent])
async def retry_motion(
    motion_id: MotionId,
    actor: Acting,
    if_version: IfVersion,
    service: TheService,
    response: Response,
) -> MotionPipelineState:
    """Try a blocked motion again, or take up a tabled one."""
    decided = await service.flow.orchestrator.retry_motion(motion_id, actor, if_version=if_version)
    response.headers["ETag"] = etag(decided.version)
    await tell_position(response, service)
    return decided


@router.post("/resolutions", dependencies=[Idempotent])
async def resolve_escalations(
    wanted: ManyDecisions, actor: Acting, service: TheService, response: Response
) -> ManyDecided:
    """Decide alike about every motion selected that waits for a person, a page of them at once.

    Each is decided for itself: what is refused about one stops no other. Go on with `next_after`
    until it is null.
    """
    flow = service.flow
    taking_up = wanted.decision is Resolution.TAKE_UP

    async def decide(motion_id: UUID) -> MotionPipelineState:
        return await flow.orchestrator.resolve_escalation(
            motion_id, actor, wanted.decision, wanted.notes
        )

    state = GovernanceState.TABLED if taking_up else wanted.state
    decided, next_after = await flow.bulk.page(
        Selection(state, wanted.error_type, wanted.blocked_since),
        decide,
        after=wanted.after,
        limit=wanted.limit,
        taking_up=taking_up,
    )
    await tell_position(response, service)
    return ManyDecided(
        decided=[
            DecidedView(
                motion_id=one.motion_id,
                title=one.title,
                done=one.status is not None,
                current_state=one.status.current_state if one.status else None,
                refusal=one.refusal,
            )
            for one in decided
        ],
        next_after=next_after,
    )
