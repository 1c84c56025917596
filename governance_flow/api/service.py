"""What the operations of one process share: the open pipeline, bounds, and jobs under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, cast

import structlog
from fastapi import Depends, Request

from governance_flow.api.changes import Changes
from governance_flow.application.access.bearers import Bearer
from governance_flow.application.access.denials import DenialLimit

if TYPE_CHECKING:
    from governance_flow.bootstrap import Flow

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """How one process serves.

    ``lag_seconds_max`` is how far the read model may be behind before the process says that it is
    not ready. ``secure_cookies`` is for a service behind TLS, as anything but a trial should be.
    """

    body_bytes_max: int = 2_000_000
    wait_seconds_max: float = 60.0
    lag_seconds_max: float = 30.0
    denials_per_minute: int = 60
    secure_cookies: bool = False


@dataclass
class Job:
    """Something that takes longer than a request: how far it is, and what it came to."""

    done: int = 0
    total: int = 0
    result: object = None
    error: str | None = None
    task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether it is still under way."""
        return self.task is not None and not self.task.done()

    def show(self, done: int, total: int) -> None:
        """Note how far it is."""
        self.done, self.total = done, total


class Jobs:
    """At most one job of each name at a time; the last one of a name is remembered."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def latest(self, name: str) -> Job | None:
        """Return the job of a name, under way or over."""
        return self._jobs.get(name)

    def start(self, name: str, work: Callable[[Job], Awaitable[object]]) -> Job:
        """Begin a job, unless one of its name is under way; return the one that is."""
        job = self._jobs.get(name)
        if job is None or not job.running:
            job = self._jobs[name] = Job()
            job.task = asyncio.create_task(_run(name, job, work), name=name)
        return job

    async def stop(self) -> None:
        """Cancel what is under way, and wait until it has ended."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _run(name: str, job: Job, work: Callable[[Job], Awaitable[object]]) -> None:
    try:
        job.result = await work(job)
    except Exception as error:
        job.error = str(error)
        log.exception("a job failed", job=name)


@dataclass
class Service:
    """One process's service over one open pipeline."""

    flow: Flow
    options: ServiceOptions = field(default_factory=ServiceOptions)
    jobs: Jobs = field(default_factory=Jobs)
    denial_limit: DenialLimit = field(init=False)
    changes: Changes = field(init=False)
    worker: asyncio.Task[None] | None = None
    """The worker of this process, if it has one."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process is to end: whoever waits is answered, and streams end."""
    replaying: asyncio.Lock = field(default_factory=asyncio.Lock)
    """A replay reads the whole log: one at a time."""

    def __post_init__(self) -> None:
        self.denial_limit = DenialLimit(self.options.denials_per_minute)
        self.changes = Changes(self.flow.store, self.stopping)


def service_of(request: Request) -> Service:
    """Return the service that answers a request."""
    return cast("Service", request.app.state.service)


def flow_of(request: Request) -> Flow:
    """Return the pipeline that a request is about."""
    return service_of(request).flow


def bearer_of(request: Request) -> Bearer:
    """Return who asks, who has been let in."""
    return cast("Bearer", request.state.bearer)


# A dependency that is no coroutine is sent to a thread, which takes longer than all it does.


async def _the_service(request: Request) -> Service:
    return service_of(request)


async def _the_bearer(request: Request) -> Bearer:
    return bearer_of(request)


TheService = Annotated[Service, Depends(_the_service)]
TheBearer = Annotated[Bearer, Depends(_the_bearer)]
