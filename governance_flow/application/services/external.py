"""Assignments for people and programs outside: fetched under a lease, extended, given back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from governance_flow.application.ports.assignments import HeldLease, Wish
from governance_flow.application.services.assignments import open_assignment
from governance_flow.application.services.input_fields import MAX_NAME_CHARACTERS, text_field
from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.domain.errors import CompletionRefused, CorruptStream, InvalidInput, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from governance_flow.application.ports.assignments import AssignmentStore, ClaimedAssignment
    from governance_flow.application.ports.event_store import EventStore
    from governance_flow.application.ports.flow_orchestrator import BranchAssignment
    from governance_flow.application.services.motions import Motions
    from governance_flow.application.services.pipelines import Pipelines

MAX_CLAIM = 100
MAX_LEASE_SECONDS = 30 * 24 * 3600.0

log = structlog.get_logger(__name__)


class ExternalAssignments:
    """What a branch worker outside this process can do with assignments.

    Completing and failing are the orchestrator's: name the routing id and the lease token.
    """

    def __init__(
        self,
        *,
        store: EventStore,
        assignments: AssignmentStore,
        motions: Motions,
        pipelines: Pipelines,
    ) -> None:
        self._store = store
        self._assignments = assignments
        self._motions = motions
        self._pipelines = pipelines

    async def fetch(
        self, services: Sequence[str], *, by: str, limit: int, lease_seconds: float
    ) -> list[BranchAssignment]:
        """Claim at most ``limit`` open assignments of these services for ``by``.

        Raises InvalidInput for an unknown service, a number out of bounds, or a name that is none.
        """
        for service in services:
            if service not in SERVICE_BRANCH:
                msg = f"there is no service {service!r}; there are {', '.join(SERVICE_BRANCH)}"
                raise InvalidInput(msg, field="service")
        [fetched] = await self.fetch_each([Wish(frozenset(services), by, limit, lease_seconds)])
        return fetched

    async def fetch_each(self, wishes: Sequence[Wish]) -> list[list[BranchAssignment]]:
        """Claim for one after the other, in one go; return what each has got.

        Raises as ``fetch``; then nobody has got anything.
        """
        for wish in wishes:
            require_sound(wish)
        if (await self._store.head()).halted:
            return [[] for _ in wishes]
        claimed = await self._assignments.claim_each(wishes)
        everything = [row for rows in claimed for row in rows]
        try:
            await self._motions.prefetch([row.motion_id for row in everything])
            return [await self._handed_out(rows) for rows in claimed]
        except BaseException:
            # Nobody was told of any of them.
            await asyncio.shield(self._give_back(everything))
            raise

    async def _give_back(self, claimed: Sequence[ClaimedAssignment]) -> None:
        for row in claimed:
            try:
                await self._assignments.release(HeldLease(row.routing_id, row.lease_token))
            except StoreError as error:
                log.warning(
                    "an assignment could not be given back: it is free when its lease ends",
                    routing_id=str(row.routing_id),
                    error=str(error),
                )

    async def _handed_out(self, claimed: Sequence[ClaimedAssignment]) -> list[BranchAssignment]:
        fetched = []
        for row in claimed:
            try:
                assignment = await open_assignment(
                    self._motions, self._pipelines, row, row.lease_token
                )
            except CorruptStream as error:
                # The others have been claimed as well, and must not be lost on whoever asked.
                log.error(  # noqa: TRY400 - the message says all there is
                    "assignment not handed out: its motion cannot be read",
                    motion_id=str(row.motion_id),
                    error=str(error),
                )
                continue
            if assignment is not None:
                fetched.append(assignment)
        return fetched

    async def extend(self, routing_id: UUID, lease_token: int, lease_seconds: float) -> None:
        """Let a lease run for so long from now; raises CompletionRefused if it is lost."""
        _require_lease(lease_seconds)
        lease = HeldLease(routing_id, lease_token)
        if not await self._assignments.extend([lease], lease_seconds=lease_seconds):
            raise _lost(lease)

    async def release(self, routing_id: UUID, lease_token: int) -> None:
        """Give an assignment back; raises CompletionRefused if it is not held any more."""
        lease = HeldLease(routing_id, lease_token)
        if not await self._assignments.release(lease):
            raise _lost(lease)


def require_sound(wish: Wish) -> None:
    """Raise InvalidInput for a wish that nobody can have: a number out of bounds, or no name."""
    text_field("by", wish.owner, max_characters=MAX_NAME_CHARACTERS)
    if not 1 <= wish.limit <= MAX_CLAIM:
        msg = f"between 1 and {MAX_CLAIM} assignments can be claimed at once, not {wish.limit}"
        raise InvalidInput(msg, field="limit")
    _require_lease(wish.lease_seconds)


def _require_lease(seconds: float) -> None:
    if not 0 < seconds <= MAX_LEASE_SECONDS:
        msg = f"a lease lasts more than 0 and at most {MAX_LEASE_SECONDS:g} s, not {seconds:g}"
        raise InvalidInput(msg, field="lease_seconds")


def _lost(lease: HeldLease) -> CompletionRefused:
    msg = (
        f"routing {lease.routing_id} is not held under lease token {lease.lease_token}: "
        "it was completed, superseded, or claimed by somebody else"
    )
    return CompletionRefused(msg, routing_id=lease.routing_id)
