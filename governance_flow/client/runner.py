"""A branch worker: fetches assignments, has each done, keeps its lease meanwhile, and reports.

Of an assignment, one worker at a time gets done what a fencing token allows: whoever loses the
lease is stopped, and reports nothing. A worker that is cancelled gives back what it holds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING
from uuid import uuid4

from governance_flow.client.errors import (
    ApiError,
    ClientError,
    Forbidden,
    InvalidRequest,
    NotHeld,
    TooManyDenials,
    Unauthenticated,
    UnexpectedAnswer,
    Violation,
)
from governance_flow.client.reports import Answer, Done, Failed, Handler, Report, outcome_of
from governance_flow.domain.escalation import VALIDATION_ERROR

if TYPE_CHECKING:
    from governance_flow.application.ports.flow_orchestrator import BranchAssignment
    from governance_flow.client.client import Client
    from governance_flow.domain.branches import GovernanceBranch

__all__ = ["Answer", "Failed", "Handler", "work"]

BEATS_IN_A_LEASE = 3
PAUSE_SECONDS = 15.0
"""Before it asks again a service that could not be reached, however often it was asked."""

BREATH_SECONDS = 0.2
"""Before it asks again after an empty answer: a service that is stopping gives one at once."""

GRACE_SECONDS = 5.0
"""How long a worker that is cancelled tries to hand over what it has, or to give it back."""

UNREAD_SECONDS = 1.0
"""How long it then looks for an answer that was on its way; there is seldom one."""

log = logging.getLogger(__name__)


async def work(
    client: Client,
    handler: Handler,
    *,
    branches: Sequence[GovernanceBranch] | None = None,
    concurrency: int = 1,
    lease_seconds: float = 60.0,
    wait_seconds: float = 30.0,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> None:
    """Have ``handler`` do assignments, ``concurrency`` at a time, until it is cancelled.

    The handler returns an output, or an Answer; what it raises is reported as a failure, whose
    type is that of Failed, or tells from the exception: TimeoutError is a ``timeout_error``,
    PermissionError a ``permission_error``, ValueError a ``validation_error``, all else a
    ``system_error``. It may be called again for the same ``routing_id``. If the lease is lost, it
    is cancelled. A service that cannot be reached is waited for; a token that is not accepted, or
    is for something else, ends it: raises Unauthenticated, Forbidden or TooManyDenials.
    """
    if concurrency < 1:
        raise ValueError("concurrency: a worker does one assignment at a time, or more")
    await _Runner(client, handler, branches, concurrency, lease_seconds, wait_seconds, sleep).run()


class _Runner:
    def __init__(  # noqa: PLR0917 - a worker's settings, in the order of work's
        self,
        client: Client,
        handler: Handler,
        branches: Sequence[GovernanceBranch] | None,
        concurrency: int,
        lease_seconds: float,
        wait_seconds: float,
        sleep: Callable[[float], Awaitable[object]],
    ) -> None:
        self._client = client
        self._handler = handler
        self._branches = branches
        self._concurrency = concurrency
        self._lease_seconds = lease_seconds
        self._wait_seconds = wait_seconds
        self._sleep = sleep
        self._at_work: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            while True:
                free = self._concurrency - len(self._at_work)
                if free:
                    for assignment in await self._fetch(free):
                        self._at_work.add(asyncio.create_task(self._attend(assignment)))
                else:
                    await asyncio.wait(self._at_work, return_when=asyncio.FIRST_COMPLETED)
                await self._collect()
        finally:
            for task in self._at_work:
                task.cancel()
            await asyncio.gather(*self._at_work, return_exceptions=True)

    async def _collect(self) -> None:
        """Take leave of what is done; raises what none of it can go on with."""
        done = {task for task in self._at_work if task.done()}
        self._at_work -= done
        for task in done:
            await task

    # -- Fetching ------------------------------------------------------------------------------

    async def _fetch(self, limit: int) -> list[BranchAssignment]:
        key = str(uuid4())
        try:
            fetched = await self._ask(limit, key)
        except asyncio.CancelledError:
            # An answer may be on its way that nobody would read: asked again, it is given again.
            await _within(UNREAD_SECONDS, self._give_back_unread(limit, key))
            raise
        except (Unauthenticated, Forbidden, TooManyDenials, InvalidRequest):
            raise
        except ClientError as error:
            log.warning("nothing could be fetched; asking again later: %s", error)
            await self._sleep(PAUSE_SECONDS)
            return []
        if not fetched:
            await self._sleep(BREATH_SECONDS)
        return fetched

    async def _ask(self, limit: int, key: str) -> list[BranchAssignment]:
        return await self._client.fetch(
            self._branches,
            limit=limit,
            lease_seconds=self._lease_seconds,
            wait_seconds=self._wait_seconds,
            key=key,
        )

    async def _give_back_unread(self, limit: int, key: str) -> None:
        for assignment in await self._ask(limit, key):
            await self._release(assignment)

    async def _release(self, assignment: BranchAssignment) -> None:
        try:
            await self._client.release(assignment)
        except NotHeld:
            log.debug("routing %s was not held any more", assignment.routing_id)

    # -- One assignment ------------------------------------------------------------------------

    async def _attend(self, assignment: BranchAssignment) -> None:
        """Have an assignment done and report it; if that is cancelled, give it back."""
        reporting: asyncio.Task[None] | None = None
        beating = asyncio.create_task(self._keep(assignment))
        doing = asyncio.create_task(outcome_of(self._handler, assignment))
        try:
            await asyncio.wait({doing, beating}, return_when=asyncio.FIRST_COMPLETED)
            if not doing.done():
                await beating
                return
            reporting = asyncio.create_task(self._report(assignment, doing.result()))
            await asyncio.shield(reporting)
        except asyncio.CancelledError:
            await _ended(doing)
            if reporting is None:
                await _within(GRACE_SECONDS, self._release(assignment))
            else:
                # The work is done: what is left is to say so.
                await _within(GRACE_SECONDS, reporting)
            raise
        finally:
            await _ended(doing, beating)

    async def _keep(self, assignment: BranchAssignment) -> None:
        """Extend the lease again and again; returns once it is lost."""
        while True:
            await self._sleep(self._lease_seconds / BEATS_IN_A_LEASE)
            try:
                await self._client.extend(assignment, self._lease_seconds)
            except NotHeld as error:
                log.warning("stopped at work on a lost assignment: %s", error)
                return
            except (Unauthenticated, Forbidden, TooManyDenials):
                raise
            except ClientError as error:
                # Perhaps it can still be reported in time; the fencing token decides.
                log.warning("routing %s could not be kept: %s", assignment.routing_id, error)

    async def _report(self, assignment: BranchAssignment, report: Report) -> None:
        try:
            await self._send(assignment, report)
        except InvalidRequest as error:
            # It would not be taken next time either; unreported, it would be done again for ever.
            await self._report_unusable(assignment, report, error)
        except (NotHeld, Violation, UnexpectedAnswer) as error:
            log.warning(
                "the report on routing %s came to nothing: %s", assignment.routing_id, error
            )
        except (Unauthenticated, Forbidden, TooManyDenials):
            raise
        except ClientError as error:
            log.warning(
                "routing %s could not be reported; it will be done again: %s",
                assignment.routing_id,
                error,
            )

    async def _send(self, assignment: BranchAssignment, report: Report) -> None:
        if isinstance(report, Done):
            await self._client.complete(
                assignment, report.answer.output, next_state=report.answer.next_state
            )
        else:
            await self._client.fail(
                assignment, report.error, report.error_type, output=report.output
            )

    async def _report_unusable(
        self, assignment: BranchAssignment, report: Report, error: ApiError
    ) -> None:
        kind = VALIDATION_ERROR if isinstance(report, Done) else report.error_type
        try:
            await self._client.fail(assignment, f"unusable result: {error.detail}", kind)
        except ClientError as problem:
            log.warning("routing %s could not be reported: %s", assignment.routing_id, problem)


async def _ended(*tasks: asyncio.Task[object] | asyncio.Task[None]) -> None:
    """Cancel tasks, and wait until they have ended, whatever comes of them."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _within(seconds: float, last: Awaitable[None]) -> None:
    """Do something last, but not for ever: what is not done in time is left to the lease."""
    try:
        async with asyncio.timeout(seconds):
            await last
    except (TimeoutError, ClientError) as error:
        log.info("what is held, if anything, is held until its lease ends: %r", error)
