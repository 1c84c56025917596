"""The pipeline as a whole: looked at, watched, halted, resumed."""

from __future__ import annotations

from collections.abc import AsyncIterable

import structlog
from fastapi import APIRouter, Response, status
from fastapi.sse import EventSourceResponse, ServerSentEvent

from governance_flow.api.guard import GuardedRoute
from governance_flow.api.parameters import (
    Acting,
    After,
    AtLeast,
    Idempotent,
    Limit,
    tell_position,
)
from governance_flow.api.paths import PREFIX
from governance_flow.api.responses import REFUSALS
from governance_flow.api.schemas import PersonsReason
from governance_flow.api.service import TheBearer, TheService
from governance_flow.api.views import ConfigurationView
from governance_flow.application.ports.flow_orchestrator import PipelineStatus
from governance_flow.application.ports.overview import Board, DocketPage, Series
from governance_flow.domain.errors import StoreError

log = structlog.get_logger(__name__)

router = APIRouter(
    prefix=f"{PREFIX}/pipeline", tags=["pipeline"], route_class=GuardedRoute, responses=REFUSALS
)


@router.get("")
async def get_pipeline(service: TheService, at_least: AtLeast) -> PipelineStatus:
    """Return the pipeline at a glance. What it costs does not grow with the number of motions."""
    return await service.flow.orchestrator.get_pipeline_status(at_least=at_least)


@router.get("/board")
async def get_board(service: TheService, at_least: AtLeast) -> Board:
    """Return every state: how many motions, how many blocked or overdue, and the oldest."""
    return await service.flow.status.board(at_least=at_least)


@router.get("/series")
async def get_series(service: TheService, at_least: AtLeast) -> Series:
    """Return what happened each hour of the last day and each day of the last month."""
    return await service.flow.status.series(at_least=at_least)


@router.get("/docket")
async def list_docket(
    service: TheService, at_least: AtLeast, limit: Limit = 50, after: After = None
) -> DocketPage:
    """List the motions that wait for a place, in the order in which they will be admitted."""
    return await service.flow.status.docket(limit=limit, after=after, at_least=at_least)


@router.get("/configuration")
async def get_configuration(service: TheService, _at_least: AtLeast) -> ConfigurationView:
    """Return the configuration in force, as events refer to it by its digest."""
    pipelines = service.flow.pipelines
    pipeline = await pipelines.refresh()
    digest = pipeline.configuration or pipelines.digest
    return ConfigurationView(
        digest=digest, configuration=pipelines.rules(digest).model_dump(mode="json")
    )


@router.post("/halt", status_code=status.HTTP_204_NO_CONTENT, dependencies=[Idempotent])
async def halt_pipeline(
    why: PersonsReason, actor: Acting, service: TheService, response: Response
) -> None:
    """Halt the whole pipeline: no state changes and nothing is routed until it is resumed.

    What branches report meanwhile is recorded, and applied once a named person resumes.
    """
    await service.flow.orchestrator.halt_pipeline(actor, why.reason)
    await tell_position(response, service)


@router.post("/resume", status_code=status.HTTP_204_NO_CONTENT, dependencies=[Idempotent])
async def resume_pipeline(
    why: PersonsReason, actor: Acting, service: TheService, response: Response
) -> None:
    """Let a halted pipeline go on exactly where it stood."""
    await service.flow.orchestrator.resume_pipeline(actor, why.reason)
    await tell_position(response, service)


@router.get("/stream", response_class=EventSourceResponse)
async def watch_pipeline(service: TheService, bearer: TheBearer) -> AsyncIterable[ServerSentEvent]:
    """Be told, as server-sent events, that something has changed, at most once a second.

    Each event `changed` holds the log's position, whether the pipeline is halted, and the ids of
    the motions that moved since the event before (`more`: there were too many to name).
    """
    with service.flow.metrics.http.stream():
        try:
            async for change in service.changes.follow():
                if not await service.flow.gatekeeper.accepts(bearer):
                    return  # Revoked since: no more news.
                yield ServerSentEvent(
                    event="changed", id=str(change.position), data=change.as_json(), retry=2000
                )
        except StoreError as error:
            # The answer has begun, and can only end: whoever watches asks again by itself.
            log.warning("a stream ended: the log could not be read", error=str(error))
