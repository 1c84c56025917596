"""For those who watch from outside: alive, ready, measured, and what problems mean."""

from __future__ import annotations

import asyncio
from enum import StrEnum

import structlog
from fastapi import APIRouter, Response, status
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from governance_flow.api.guard import GuardedRoute
from governance_flow.api.problems import EVERY_KIND
from governance_flow.api.responses import REFUSALS
from governance_flow.api.service import Service, TheService
from governance_flow.domain.errors import StoreError

log = structlog.get_logger(__name__)

router = APIRouter(tags=["health"], route_class=GuardedRoute)

STORE_PATIENCE_SECONDS = 2.0
METRICS_MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Finding(StrEnum):
    """How a check came out."""

    PASS = "pass"  # noqa: S105 - a verb
    WARN = "warn"
    FAIL = "fail"


class Check(BaseModel):
    """One thing that was looked at."""

    status: Finding
    detail: str


class Readiness(BaseModel):
    """Whether requests can be answered truly now; `warn` can, but somebody should look."""

    status: Finding
    checks: dict[str, Check]


class Liveness(BaseModel):
    """The process answers."""

    status: Finding


class ProblemKind(BaseModel):
    """One kind of problem."""

    type: str
    status: int
    title: str


@router.get("/livez")
async def live() -> Liveness:
    """Say that the process answers. It does not look at the store: restarting would not help."""
    return Liveness(status=Finding.PASS)


@router.get(
    "/readyz",
    responses={503: {"model": Readiness, "description": "Requests cannot be answered truly now."}},
)
async def ready(service: TheService, response: Response) -> Readiness:
    """Say whether requests can be answered truly: store, read model, worker, and the halt."""
    checks = await _checks(service)
    found = {check.status for check in checks.values()}
    worst = next(finding for finding in reversed(Finding) if finding in found)
    if worst is Finding.FAIL:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return Readiness(status=worst, checks=checks)


@router.get("/metrics", response_class=PlainTextResponse, responses=REFUSALS)
async def metrics(service: TheService) -> PlainTextResponse:
    """Return the metrics in Prometheus' text format."""
    flow = service.flow
    text = await flow.metrics.render(flow.health.snapshot)
    return PlainTextResponse(text, media_type=METRICS_MEDIA_TYPE)


@router.get("/problems")
async def problems() -> list[ProblemKind]:
    """List every kind of problem that an error's `type` may name."""
    return [
        ProblemKind(type=f"/problems#{kind.slug}", status=kind.status, title=kind.title)
        for kind in EVERY_KIND
    ]


async def _checks(service: Service) -> dict[str, Check]:
    flow = service.flow
    try:
        async with asyncio.timeout(STORE_PATIENCE_SECONDS):
            head = await flow.store.head()
            lags = await flow.runner.lag()
    except (StoreError, TimeoutError) as error:
        # Everybody may ask, so where the store is and what it said is for the log.
        log.warning("not ready: the store cannot be reached", error=str(error) or "no answer")
        unreachable = Check(
            status=Finding.FAIL,
            detail=f"unreachable, or no answer in {STORE_PATIENCE_SECONDS:g} s; the log says why",
        )
        return {"store": unreachable} | _worker(service)
    halted = head.halted
    return {
        "store": Check(status=Finding.PASS, detail=f"at position {head.position}"),
        "projections": _projections(
            max((lag.seconds for lag in lags.values()), default=0.0),
            max((lag.events for lag in lags.values()), default=0),
            service.options.lag_seconds_max,
        ),
        "pipeline": Check(
            status=Finding.WARN if halted else Finding.PASS,
            detail="halted: nothing moves until a named person resumes it" if halted else "runs",
        ),
    } | _worker(service)


def _projections(seconds: float, events: int, seconds_max: float) -> Check:
    detail = f"{events} events behind ({seconds:.1f} s); at most {seconds_max:g} s are fine"
    status = Finding.FAIL if seconds > seconds_max else Finding.PASS
    return Check(status=status, detail=detail)


def _worker(service: Service) -> dict[str, Check]:
    worker = service.worker
    if worker is None:
        return {}
    if worker.done():
        return {"worker": Check(status=Finding.FAIL, detail="ended; the log says why")}
    return {"worker": Check(status=Finding.PASS, detail="at work")}
