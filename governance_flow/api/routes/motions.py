"""Motions: put before the assembly, changed, withdrawn, looked at."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response, status

from governance_flow.api.guard import GuardedRoute
from governance_flow.api.idempotency import id_under_key
from governance_flow.api.parameters import (
    PAGE_MAX,
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
    Amendment,
    Introduced,
    Introduction,
    MotionEventPage,
    MotionEventView,
    MotionStory,
    StorySentence,
    Withdrawal,
)
from governance_flow.api.service import TheService
from governance_flow.application.ports.flow_orchestrator import MotionPage, MotionPipelineState
from governance_flow.application.ports.motion_details import MotionDetails
from governance_flow.application.ports.overview import FoundMotions, MotionFilter
from governance_flow.domain.states import GovernanceState

router = APIRouter(
    prefix=f"{PREFIX}/motions", tags=["motions"], route_class=GuardedRoute, responses=REFUSALS
)

_NEW = {
    "model": Introduced,
    "headers": {
        "Location": {"schema": {"type": "string"}, "description": "Where the motion is."},
        "ETag": {"schema": {"type": "string"}, "description": "The motion's version."},
    },
}


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    responses={
        201: _NEW,
        200: _NEW | {"description": "The same motion was introduced before."},
    },
    dependencies=[Idempotent],
)
async def introduce_motion(
    motion: Introduction, actor: Acting, service: TheService, request: Request, response: Response
) -> Introduced:
    """Put a motion before the assembly.

    The same motion under the same id again changes nothing; another one under an id that is taken
    is refused.
    """
    motion_id, new = await service.flow.introducing.introduce(
        motion.motion_id or id_under_key(request),
        title=motion.title,
        text=motion.text,
        introduced_by=actor,
        reference=motion.reference,
        ballots=motion.ballots,
        metadata=motion.metadata,
    )
    response.status_code = status.HTTP_201_CREATED if new else status.HTTP_200_OK
    response.headers["Location"] = f"/api/v1/motions/{motion_id}"
    if new:
        response.headers["ETag"] = etag(1)
    await tell_position(response, service)
    return Introduced(motion_id=motion_id, new=new)


@router.get("")
async def list_motions(
    *,
    service: TheService,
    _at_least: AtLeast,
    state: Annotated[GovernanceState | None, Query()] = None,
    blocked: Annotated[bool | None, Query(description="Only blocked ones, or only others.")] = None,
    active: Annotated[
        bool | None, Query(description="Only those that have not ended, or only those that have.")
    ] = None,
    waiting: Annotated[bool, Query(description="Only those in the docket, in its order.")] = False,
    overdue: Annotated[
        bool, Query(description="Only those whose deadline has passed, the longest overdue first.")
    ] = False,
    waits_for_person: Annotated[
        bool, Query(description="Only those that a named person must decide about.")
    ] = False,
    introduced_by: Annotated[str | None, Query(min_length=1, max_length=200)] = None,
    limit: Limit = 50,
    after: After = None,
) -> MotionPage:
    """List motions, a page at a time.

    A page may hold fewer than `limit` though there is a next one: go on while `next_after` is not
    null. What a page costs does not depend on how many motions there are.
    """
    wanted = MotionFilter(
        state=state,
        blocked=blocked,
        active=active,
        waiting=waiting,
        overdue=overdue,
        waits_for_person=waits_for_person,
        introduced_by=introduced_by,
    )
    return await service.flow.status.motions(wanted, limit=limit, after=after)


@router.get("/search")
async def search_motions(
    service: TheService,
    _at_least: AtLeast,
    text: Annotated[
        str,
        Query(
            min_length=1,
            max_length=200,
            description="Words of the title, the reference or the introducer; or a motion's id.",
        ),
    ],
    limit: Limit = 20,
    after: After = None,
) -> FoundMotions:
    """Find motions by words; the last word may be the beginning of one. The newest come first."""
    return await service.flow.status.search(text, limit=limit, after=after)


@router.get("/{motion_id}", responses={200: {"headers": {"ETag": _NEW["headers"]["ETag"]}}})  # type: ignore[index]
async def get_motion(
    motion_id: MotionId, service: TheService, _at_least: AtLeast, response: Response
) -> MotionDetails:
    """Return a motion: where it stands, who must act next, what it says, what steps produced."""
    details = await service.flow.reader.details(motion_id)
    response.headers["ETag"] = etag(details.status.version)
    return details


@router.patch("/{motion_id}", dependencies=[Idempotent])
async def amend_motion(
    *,
    motion_id: MotionId,
    amendment: Amendment,
    actor: Acting,
    if_version: IfVersion,
    service: TheService,
    response: Response,
) -> MotionPipelineState:
    """Give a motion a new version. Only its introducer may, in INTRODUCED and TABLED."""
    changed = await service.flow.orchestrator.amend_motion(
        motion_id,
        actor,
        title=amendment.title,
        text=amendment.text,
        ballots=amendment.ballots,
        if_version=if_version,
    )
    return await _changed(changed, response, service)


@router.post("/{motion_id}/withdrawal", dependencies=[Idempotent])
async def withdraw_motion(
    *,
    motion_id: MotionId,
    withdrawal: Withdrawal,
    actor: Acting,
    if_version: IfVersion,
    service: TheService,
    response: Response,
) -> MotionPipelineState:
    """Withdraw a motion. Only its introducer may, before it is ratified."""
    changed = await service.flow.orchestrator.withdraw_motion(
        motion_id, actor, withdrawal.reason, if_version=if_version
    )
    return await _changed(changed, response, service)


@router.get("/{motion_id}/events")
async def list_motion_events(
    motion_id: MotionId,
    service: TheService,
    _at_least: AtLeast,
    after_version: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
) -> MotionEventPage:
    """Return a motion's events in order: the record itself, statements included."""
    found = await service.flow.reader.events(
        motion_id, after_version=after_version, limit=limit + 1
    )
    page = found[:limit]
    return MotionEventPage(
        events=[
            MotionEventView(
                position=record.position,
                version=record.version,
                committed_at=record.committed_at,
                topic=record.topic,
                event=record.event.model_dump(mode="json"),
            )
            for record in page
        ],
        next_after=page[-1].version if len(found) > limit else None,
    )


@router.get("/{motion_id}/story")
async def tell_motion_story(
    motion_id: MotionId, service: TheService, _at_least: AtLeast
) -> MotionStory:
    """Tell a motion's story in plain language: who, when, why, what was refused, what is next."""
    moment = await service.flow.audit.replayer.moment()
    story = await service.flow.audit.storyteller.story(motion_id, moment)
    return MotionStory(
        summary=story.summary,
        sentences=[
            StorySentence(
                position=entry.position,
                committed_at=entry.committed_at,
                kind=entry.kind.value,
                told=entry.sentence,
            )
            for entry in story.entries
        ],
        next=[text for text in (story.ending, story.coming) if text is not None],
    )


async def _changed(
    motion: MotionPipelineState, response: Response, service: TheService
) -> MotionPipelineState:
    response.headers["ETag"] = etag(motion.version)
    await tell_position(response, service)
    return motion
