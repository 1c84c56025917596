"""Assignments, for branch workers: fetch and lock, extend, release, complete, fail."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response, status

from governance_flow.api.guard import GuardedRoute, denial, turned_away
from governance_flow.api.idempotency import drop_answer
from governance_flow.api.parameters import (
    After,
    AtLeast,
    Idempotent,
    Limit,
    RoutingId,
    tell_position,
)
from governance_flow.api.paths import PREFIX
from governance_flow.api.problems import VIOLATION, Problematic
from governance_flow.api.responses import REFUSALS
from governance_flow.api.schemas import (
    Answered,
    AssignmentPage,
    Completion,
    Failure,
    FetchedAssignments,
    FetchRequest,
    LeaseExtension,
    LeaseHeld,
    OpenAssignmentView,
)
from governance_flow.api.service import Service, TheBearer, TheService, service_of
from governance_flow.application.access.bearers import Bearer
from governance_flow.application.access.denials import AccessDenied, DenialReason
from governance_flow.application.ports.assignments import AssignmentCursor, LeasedAssignment
from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    CompletionOutcome,
)
from governance_flow.application.times import from_us
from governance_flow.domain.branches import SERVICE_BRANCH, GovernanceBranch
from governance_flow.domain.errors import CompletionRefused, InvalidInput

router = APIRouter(
    prefix=f"{PREFIX}/assignments",
    tags=["assignments"],
    route_class=GuardedRoute,
    responses=REFUSALS,
)


@router.get("")
async def list_assignments(
    service: TheService,
    _at_least: AtLeast,
    branch: Annotated[GovernanceBranch | None, Query()] = None,
    limit: Limit = 50,
    after: After = None,
) -> AssignmentPage:
    """List what branches have to do, and who holds it, in the order in which it can be fetched."""
    named = None if branch is None else (services_of([branch]) or [branch.value])[0]
    cursor = None if after is None else _cursor(after)
    rows = await service.flow.assignments.list_open(limit=limit + 1, service=named, after=cursor)
    page = rows[:limit]
    next_after = None
    if len(rows) > limit:
        not_before_us, routing_id = page[-1].cursor
        next_after = f"{not_before_us}:{routing_id}"
    return AssignmentPage(assignments=[_shown(row) for row in page], next_after=next_after)


@router.post("/fetch", dependencies=[Idempotent])
async def fetch_assignments(
    wish: FetchRequest, bearer: TheBearer, service: TheService, request: Request
) -> FetchedAssignments:
    """Lock assignments for oneself, and wait for the first if there are none.

    Each comes with a fencing token. What is not answered before its lease ends goes to somebody
    else. If the caller is gone before it is answered, nothing stays locked; an answer that was
    lost on the way is given again to a request with the same `Idempotency-Key`.
    """
    branches = wish.branches if wish.branches is not None else sorted(bearer.branches)
    for branch in branches:
        await _require_branch(request, bearer, branch, "fetch_assignments")
    desk = service.flow.desk
    fetching = asyncio.ensure_future(
        desk.fetch(
            services_of(branches),
            by=bearer.name,
            limit=wish.limit,
            lease_seconds=wish.lease_seconds,
            wait_seconds=min(wish.wait_seconds, service.options.wait_seconds_max),
        )
    )
    fetched = await _unless_gone(fetching, request)
    if fetched and not await service.flow.gatekeeper.accepts(bearer):
        # Revoked while it waited: what it got could never be answered.
        await desk.give_back(fetched)
        error = denial(bearer, "the token was revoked, or has expired", DenialReason.REVOKED)
        await turned_away(request, service, "fetch_assignments", error)
        raise error
    if fetched and await request.is_disconnected():
        await desk.give_back(fetched)
        fetched = None
    if fetched is None:
        drop_answer(request)
    return FetchedAssignments(assignments=fetched or [])


@router.post(
    "/{routing_id}/extend", status_code=status.HTTP_204_NO_CONTENT, dependencies=[Idempotent]
)
async def extend_assignment(
    routing_id: RoutingId, lease: LeaseExtension, bearer: TheBearer, service: TheService
) -> None:
    """Keep an assignment for longer, from now on."""
    await _require_holder(service, routing_id, bearer)
    await service.flow.external.extend(routing_id, lease.lease_token, lease.lease_seconds)


@router.post(
    "/{routing_id}/release", status_code=status.HTTP_204_NO_CONTENT, dependencies=[Idempotent]
)
async def release_assignment(
    routing_id: RoutingId, lease: LeaseHeld, bearer: TheBearer, service: TheService
) -> None:
    """Give an assignment back: others can fetch it at once."""
    await _require_holder(service, routing_id, bearer)
    await service.flow.external.release(routing_id, lease.lease_token)
    service.flow.desk.look_again()


@router.post("/{routing_id}/complete", dependencies=[Idempotent])
async def complete_assignment(
    routing_id: RoutingId,
    done: Completion,
    bearer: TheBearer,
    request: Request,
    response: Response,
) -> CompletionOutcome:
    """Report that an assignment is done. Reported twice, it changes nothing.

    A skipped step, or a second branch for the same motion, is refused and witnessed.
    """
    await _require_branch(request, bearer, done.branch, "complete_assignment")
    result = BranchResult(
        done.motion_id,
        done.branch,
        True,  # noqa: FBT003 - in the order that everybody knows
        done.output,
        done.next_state,
        routing_id=routing_id,
        lease_token=done.lease_token,
    )
    return await _reported(request, response, bearer, done, result)


@router.post("/{routing_id}/fail", dependencies=[Idempotent])
async def fail_assignment(
    routing_id: RoutingId,
    failed: Failure,
    bearer: TheBearer,
    request: Request,
    response: Response,
) -> CompletionOutcome:
    """Report that an assignment could not be done. Its error type picks what happens next."""
    await _require_branch(request, bearer, failed.branch, "fail_assignment")
    result = BranchResult(
        failed.motion_id,
        failed.branch,
        False,  # noqa: FBT003 - as above
        failed.output,
        None,
        error=failed.error,
        error_type=failed.error_type,
        routing_id=routing_id,
        lease_token=failed.lease_token,
    )
    return await _reported(request, response, bearer, failed, result)


def services_of(branches: list[GovernanceBranch]) -> list[str]:
    """Return the services of these branches. The Earls have none: they work under the Duke."""
    return [service for service, branch in SERVICE_BRANCH.items() if branch in branches]


async def _reported(
    request: Request, response: Response, bearer: Bearer, answered: Answered, result: BranchResult
) -> CompletionOutcome:
    service = service_of(request)
    if result.routing_id is not None:
        await _require_not_anothers(service, result.routing_id, bearer)
    outcome = await service.flow.orchestrator.handle_completion(
        answered.motion_id, result, actor=bearer.actor
    )
    await tell_position(response, service)
    if not outcome.accepted:
        detail = f"motion {outcome.motion_id}: refused, and witnessed: {outcome.reason}"
        raise Problematic(
            VIOLATION,
            detail,
            motion_id=str(outcome.motion_id),
            routing_id=str(outcome.routing_id),
            state=outcome.state.value,
        )
    return outcome


async def _require_branch(
    request: Request, bearer: Bearer, branch: GovernanceBranch, operation: str
) -> None:
    """Raise AccessDenied, which goes on record, unless the token is for this branch."""
    if bearer.may_work_for(branch):
        return
    allowed = ", ".join(sorted(bearer.branches))
    msg = (
        f"{bearer.name} may work for {allowed}, and not for {branch}; ask the operator for a token"
    )
    error: AccessDenied = denial(bearer, msg, DenialReason.OTHER_BRANCH)
    await turned_away(request, service_of(request), operation, error)
    raise error


async def _require_not_anothers(service: Service, routing_id: UUID, bearer: Bearer) -> None:
    """Raise CompletionRefused if somebody else holds the assignment.

    If nobody does, it may be what this bearer has answered before, and gets the same answer.
    """
    holder = await service.flow.assignments.holder(routing_id)
    if holder is not None and holder.owner not in (None, bearer.name):
        msg = (
            f"routing {routing_id} is held by somebody else, not by {bearer.name}: its lease "
            "ended, or it was never fetched; drop the work, or fetch again"
        )
        raise CompletionRefused(msg, routing_id=routing_id)


async def _require_holder(service: TheService, routing_id: UUID, bearer: Bearer) -> None:
    """Raise CompletionRefused unless this bearer has fetched the assignment, and not lost it."""
    holder = await service.flow.assignments.holder(routing_id)
    if holder is None or holder.owner != bearer.name:
        msg = (
            f"routing {routing_id} is not held by {bearer.name}: it was answered, superseded, "
            "or its lease ended and somebody else has it"
        )
        raise CompletionRefused(msg, routing_id=routing_id)


async def _unless_gone(
    fetching: asyncio.Future[list[BranchAssignment]], request: Request
) -> list[BranchAssignment] | None:
    """Return what is fetched, or None, with nothing claimed, if nobody waits for it any more."""
    gone = asyncio.ensure_future(_gone(request))
    either: list[asyncio.Future[Any]] = [fetching, gone]
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if fetching.done():
            return fetching.result()
        return None
    finally:
        gone.cancel()
        fetching.cancel()
        await asyncio.gather(gone, fetching, return_exceptions=True)


async def _gone(request: Request) -> None:
    """Return once the caller has hung up, or the process is to end."""
    ends: list[asyncio.Future[Any]] = [
        asyncio.ensure_future(service_of(request).stopping.wait()),
        asyncio.ensure_future(_hung_up(request)),
    ]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _shown(row: LeasedAssignment) -> OpenAssignmentView:
    return OpenAssignmentView(
        routing_id=row.routing_id,
        motion_id=row.motion_id,
        service=row.service,
        branch=SERVICE_BRANCH[row.service],
        state=row.state,
        purpose=row.purpose,
        attempt=row.attempt,
        not_before=from_us(row.not_before_us),
        deadline=None if row.deadline_us is None else from_us(row.deadline_us),
        opened_at=from_us(row.opened_at_us),
        lease_owner=row.lease.owner,
        lease_expires_at=None
        if row.lease.expires_at_us is None
        else from_us(row.lease.expires_at_us),
        lease_losses=row.lease.losses,
    )


def _cursor(text: str) -> AssignmentCursor:
    due_us, _, routing_id = text.partition(":")
    try:
        cursor = AssignmentCursor(int(due_us), UUID(routing_id))
        from_us(cursor.not_before_us)
    except (ValueError, OverflowError) as error:
        msg = f"after: {text!r:.60} is no place in this list; use next_after of the page before"
        raise InvalidInput(msg, field="query.after") from error
    return cursor
