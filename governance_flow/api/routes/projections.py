"""The read model: how far each projection is behind, and how it is rebuilt."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, status
from starlette.exceptions import HTTPException

from governance_flow.api.guard import GuardedRoute
from governance_flow.api.jobs import job_view
from governance_flow.api.parameters import AtLeast, Idempotent
from governance_flow.api.paths import PREFIX
from governance_flow.api.responses import REFUSALS
from governance_flow.api.service import Job, TheService
from governance_flow.api.views import (
    JobView,
    Projections,
    ProjectionView,
)

router = APIRouter(
    prefix=f"{PREFIX}/projections",
    tags=["projections"],
    route_class=GuardedRoute,
    responses=REFUSALS,
)


@router.get("")
async def list_projections(service: TheService, _at_least: AtLeast) -> Projections:
    """List the projections, with their lag against the head of the store."""
    lags = await service.flow.runner.lag()
    return Projections(
        projections=[
            ProjectionView(
                name=name,
                behind_events=lag.events,
                behind_seconds=lag.seconds,
                rebuild=job_view(service.jobs.latest(f"rebuild {name}")),
            )
            for name, lag in sorted(lags.items())
        ]
    )


@router.post("/{name}/rebuild", status_code=status.HTTP_202_ACCEPTED, dependencies=[Idempotent])
async def rebuild_projection(
    name: Annotated[str, Path(min_length=1, max_length=50)], service: TheService
) -> JobView:
    """Build a projection anew beside the live one, and put it in its place.

    It goes on in this process; the list of projections shows how far it is. Asked for again
    meanwhile, it is not begun twice.
    """
    rebuilder = service.flow.rebuilder
    if name not in rebuilder.names:
        there_are = ", ".join(sorted(rebuilder.names))
        raise HTTPException(404, f"there is no projection {name!r}; there are {there_are}")

    async def rebuild(job: Job) -> object:
        generation = await rebuilder.rebuild(name, lambda at: job.show(at.position, at.target))
        return {"generation": generation}

    return JobView.model_validate(job_view(service.jobs.start(f"rebuild {name}", rebuild)))
