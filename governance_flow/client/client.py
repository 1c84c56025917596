"""Everything a program can ask of the service, typed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx

from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    CompletionOutcome,
    MotionPage,
    MotionPipelineState,
    PipelineStatus,
)
from governance_flow.application.ports.motion_details import MotionDetails
from governance_flow.application.ports.overview import FoundMotions
from governance_flow.client.answers import (
    Change,
    EventPage,
    EventRecord,
    Fetched,
    Introduced,
    read,
    read_text,
)
from governance_flow.client.retries import Retries
from governance_flow.client.transport import Transport
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.states import GovernanceState

TIMEOUT_SECONDS = 30.0
PAGE = 100


class Client:
    """One service as the bearer of one token sees it. Use it as an async context manager.

    A request without an answer, and one that is answered with 503, is sent again, a bounded number
    of times. Every write carries an idempotency key, so it is done once however often it is sent;
    ``key`` names one that outlives this process. ``if_version`` holds a decision to the version of
    the motion it was made about (``status.version``). Raises ClientError: see ``client.errors``.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: Retries | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._transport = Transport(
            base_url,
            token,
            timeout_seconds=timeout_seconds,
            retries=retries or Retries(),
            transport=transport,
            sleep=sleep,
            chance=chance,
        )

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._transport.__aexit__(kind, error, traceback)

    @property
    def position(self) -> int:
        """How far the log had come when this client last wrote; for another one's ``at_least``."""
        return self._transport.position

    # -- Assignments ---------------------------------------------------------------------------

    async def fetch(
        self,
        branches: Sequence[GovernanceBranch] | None = None,
        *,
        limit: int = 1,
        lease_seconds: float = 60.0,
        wait_seconds: float = 0.0,
        key: str | None = None,
    ) -> list[BranchAssignment]:
        """Lock assignments for oneself, waiting at most ``wait_seconds`` for the first.

        Without ``branches``: every branch that the token is for. An answer that is lost on the way
        is asked for again, so that nothing lies locked for nobody.
        """
        wish: dict[str, Any] = {
            "limit": limit,
            "lease_seconds": lease_seconds,
            "wait_seconds": wait_seconds,
        }
        if branches is not None:
            wish["branches"] = list(branches)
        answer = await self._transport.write(
            "POST", "/assignments/fetch", wish, key=key, wait_seconds=wait_seconds
        )
        return list(read(Fetched, answer).assignments)

    async def extend(
        self, assignment: BranchAssignment, lease_seconds: float = 60.0, *, key: str | None = None
    ) -> None:
        """Keep an assignment for longer, from now on; raises NotHeld if it is lost."""
        body = {"lease_token": assignment.lease_token, "lease_seconds": lease_seconds}
        await self._about(assignment, "extend", body, key)

    async def release(self, assignment: BranchAssignment, *, key: str | None = None) -> None:
        """Give an assignment back: others can fetch it at once. Raises NotHeld if it is lost."""
        await self._about(assignment, "release", {"lease_token": assignment.lease_token}, key)

    async def complete(
        self,
        assignment: BranchAssignment,
        output: Mapping[str, Any] | None = None,
        *,
        next_state: GovernanceState | None = None,
        key: str | None = None,
    ) -> CompletionOutcome:
        """Report that an assignment is done. Only deliberations and reviews propose a next state.

        Raises NotHeld if it is not the caller's any more, Violation if a rule was broken.
        """
        body = _answered(assignment, output) | {"next_state": next_state}
        return read(CompletionOutcome, await self._about(assignment, "complete", body, key))

    async def fail(
        self,
        assignment: BranchAssignment,
        error: str,
        error_type: str | None = None,
        *,
        output: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> CompletionOutcome:
        """Report that an assignment could not be done; ``error_type`` picks what happens next."""
        body = _answered(assignment, output) | {"error": error, "error_type": error_type}
        return read(CompletionOutcome, await self._about(assignment, "fail", body, key))

    async def _about(
        self, assignment: BranchAssignment, act: str, body: dict[str, Any], key: str | None
    ) -> httpx.Response:
        path = f"/assignments/{assignment.routing_id}/{act}"
        return await self._transport.write("POST", path, body, key=key)

    # -- Motions -------------------------------------------------------------------------------

    async def introduce(
        self,
        title: str,
        text: str,
        *,
        motion_id: UUID | None = None,
        reference: str | None = None,
        ballots: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> Introduced:
        """Put a motion before the assembly, in the name that the token was made out to."""
        body: dict[str, Any] = {
            "title": title,
            "text": text,
            "motion_id": None if motion_id is None else str(motion_id),
            "reference": reference,
            "ballots": dict(ballots or {}),
            "metadata": dict(metadata or {}),
        }
        return read(Introduced, await self._transport.write("POST", "/motions", body, key=key))

    async def get_motion(self, motion_id: UUID, *, at_least: int | None = None) -> MotionDetails:
        """Return a motion whole: where it stands, what it says, what its steps produced."""
        return read(
            MotionDetails, await self._transport.get(f"/motions/{motion_id}", at_least=at_least)
        )

    async def list_motions(
        self,
        *,
        state: GovernanceState | None = None,
        blocked: bool | None = None,
        active: bool | None = None,
        waiting: bool = False,
        overdue: bool = False,
        waits_for_person: bool = False,
        introduced_by: str | None = None,
        at_least: int | None = None,
        page: int = PAGE,
    ) -> AsyncIterator[MotionPipelineState]:
        """Yield the motions of which all that is asked for holds, fetched page after page."""
        after: str | None = None
        while True:
            answer = await self._transport.get(
                "/motions",
                state=state,
                blocked=blocked,
                active=active,
                waiting=waiting or None,
                overdue=overdue or None,
                waits_for_person=waits_for_person or None,
                introduced_by=introduced_by,
                at_least=at_least,
                limit=page,
                after=after,
            )
            found = read(MotionPage, answer)
            for motion in found.motions:
                yield motion
            after = found.next_after
            if after is None:
                return

    async def search(
        self, text: str, *, limit: int = 20, after: str | None = None, at_least: int | None = None
    ) -> FoundMotions:
        """Find motions by words, the newest first; ``after`` is the page before's next_after."""
        answer = await self._transport.get(
            "/motions/search", text=text, limit=limit, after=after, at_least=at_least
        )
        return read(FoundMotions, answer)

    async def events(
        self, motion_id: UUID, *, after_version: int = 0, page: int = PAGE
    ) -> AsyncIterator[EventRecord]:
        """Yield a motion's events in order: the record itself, statements included."""
        after: int | None = after_version
        while after is not None:
            path = f"/motions/{motion_id}/events"
            answer = await self._transport.get(path, after_version=after, limit=page)
            found = read(EventPage, answer)
            for record in found.events:
                yield record
            after = found.next_after

    async def amend(
        self,
        motion_id: UUID,
        *,
        title: str | None = None,
        text: str | None = None,
        ballots: Mapping[str, str] | None = None,
        if_version: int | None = None,
        key: str | None = None,
    ) -> MotionPipelineState:
        """Give one's own motion a new version; ballots cast before are void."""
        body = {"title": title, "text": text, "ballots": dict(ballots or {})}
        said = {name: value for name, value in body.items() if value is not None}
        return await self._decided("PATCH", f"/motions/{motion_id}", said, if_version, key)

    async def withdraw(
        self,
        motion_id: UUID,
        reason: str = "",
        *,
        if_version: int | None = None,
        key: str | None = None,
    ) -> MotionPipelineState:
        """Withdraw one's own motion, before it is ratified."""
        path = f"/motions/{motion_id}/withdrawal"
        return await self._decided("POST", path, {"reason": reason}, if_version, key)

    # -- What people decide --------------------------------------------------------------------

    async def resolve(
        self,
        motion_id: UUID,
        decision: Resolution,
        notes: str = "",
        *,
        if_version: int | None = None,
        key: str | None = None,
    ) -> MotionPipelineState:
        """Decide about a motion that is blocked: retry, return or review; or take up a tabled one.

        Raises VersionMoved if it is not at ``if_version`` any more.
        """
        body = {"decision": decision, "notes": notes}
        path = f"/escalations/{motion_id}/resolution"
        return await self._decided("POST", path, body, if_version, key)

    async def retry(
        self, motion_id: UUID, *, if_version: int | None = None, key: str | None = None
    ) -> MotionPipelineState:
        """Try a blocked motion again, or take up a tabled one."""
        path = f"/escalations/{motion_id}/retry"
        return await self._decided("POST", path, None, if_version, key)

    async def _decided(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        if_version: int | None,
        key: str | None,
    ) -> MotionPipelineState:
        answer = await self._transport.write(method, path, body, key=key, if_version=if_version)
        return read(MotionPipelineState, answer)

    # -- The pipeline --------------------------------------------------------------------------

    async def status(self, *, at_least: int | None = None) -> PipelineStatus:
        """Return the pipeline at a glance."""
        return read(PipelineStatus, await self._transport.get("/pipeline", at_least=at_least))

    async def halt(self, reason: str, *, key: str | None = None) -> None:
        """Halt the whole pipeline."""
        await self._transport.write("POST", "/pipeline/halt", {"reason": reason}, key=key)

    async def resume(self, reason: str, *, key: str | None = None) -> None:
        """Let a halted pipeline go on exactly where it stood."""
        await self._transport.write("POST", "/pipeline/resume", {"reason": reason}, key=key)

    async def watch(self) -> AsyncIterator[Change]:
        """Yield how things stand, and then every change, at most once a second.

        A stream that breaks off is asked for anew, and begins with how things stand.
        """
        path = "/pipeline/stream"
        async for line in self._transport.lines(path):
            name, _, value = line.partition(":")
            if name == "data":
                yield read_text(Change, value.strip(), path)


def _answered(assignment: BranchAssignment, output: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "motion_id": str(assignment.motion_id),
        "branch": assignment.branch,
        "lease_token": assignment.lease_token,
        "output": dict(output or {}),
    }
