"""Handing in what a branch service has answered, under the lease it was performed under."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import TYPE_CHECKING

import structlog

from governance_flow.application.process_manager.background import backoff_seconds
from governance_flow.application.process_manager.performing import failure
from governance_flow.application.services.input_fields import storable
from governance_flow.domain.errors import (
    CompletionRefused,
    ConcurrencyConflict,
    InvalidInput,
    StoreBusy,
    StoreLocked,
    StoreUnavailable,
    ViolationRefused,
)
from governance_flow.domain.escalation import ERROR_TYPE_MAP, SYSTEM_ERROR, VALIDATION_ERROR
from governance_flow.domain.events import SYSTEM, Actor, Authentication
from governance_flow.domain.frozen import changed

if TYPE_CHECKING:
    from governance_flow.application.ports.assignments import Keep, OpenAssignment
    from governance_flow.application.ports.flow_orchestrator import BranchAssignment, BranchResult
    from governance_flow.application.services.completions import Completions

ATTEMPTS = 6
"""How often a result is handed in while the store is away, before the work is given up."""

log = structlog.get_logger(__name__)


class Reporting:
    """Reports results. What cannot be stored is reported as a failure instead."""

    def __init__(self, completions: Completions, retry_seconds: float) -> None:
        self._completions = completions
        self._retry_seconds = retry_seconds

    async def report_by_system(self, assignment: BranchAssignment, result: BranchResult) -> None:
        """Hand in, once, what the orchestrator itself has found out and will find out again."""
        await self._complete_once(assignment, _fenced(assignment, result), SYSTEM, None)

    async def report(
        self, assignment: BranchAssignment, result: BranchResult, keep: Keep | None = None
    ) -> OpenAssignment | None:
        """Hand in what a service answers, by whomever it names: the service vouches for them.

        Returns the assignment that follows, if it was leased under ``keep``.
        """
        try:
            return await self._complete(assignment, result, _vouched(assignment, result), keep)
        except InvalidInput as error:
            rubbish = failure(assignment, _type_of(result), f"unusable result: {error}")
            return await self._complete(assignment, rubbish, _vouched(assignment, rubbish), keep)

    async def _complete(
        self,
        assignment: BranchAssignment,
        result: BranchResult,
        actor: Actor,
        keep: Keep | None,
    ) -> OpenAssignment | None:
        fenced = _fenced(assignment, result)
        failures = 0
        while True:
            try:
                return await self._complete_once(assignment, fenced, actor, keep)
            except (ConcurrencyConflict, StoreBusy, StoreLocked, StoreUnavailable) as error:
                failures += 1
                if failures == ATTEMPTS:
                    raise
                # What took an hour to find out must not be lost to a minute without the store.
                delay = backoff_seconds(self._retry_seconds, failures)
                log.warning(
                    "result not recorded yet",
                    routing_id=str(assignment.routing_id),
                    motion_id=str(assignment.motion_id),
                    delay_seconds=delay,
                    error=str(error),
                )
            await asyncio.sleep(delay)

    async def _complete_once(
        self,
        assignment: BranchAssignment,
        result: BranchResult,
        actor: Actor,
        keep: Keep | None,
    ) -> OpenAssignment | None:
        try:
            _, kept = await self._completions.complete_and_keep(
                assignment.motion_id, result, actor, keep
            )
        except (CompletionRefused, ViolationRefused) as error:
            # Somebody else has answered, or holds the lease by now: theirs counts.
            log.warning(
                "completion refused",
                routing_id=str(assignment.routing_id),
                motion_id=str(assignment.motion_id),
                reason=str(error),
            )
            return None
        return kept


def _type_of(unusable: BranchResult) -> str:
    """Return how grave a result is that cannot be stored: a failure stays what it said it was."""
    if unusable.success:
        return VALIDATION_ERROR
    known = unusable.error_type in ERROR_TYPE_MAP
    return unusable.error_type if known and unusable.error_type else SYSTEM_ERROR


def _fenced(assignment: BranchAssignment, result: BranchResult) -> BranchResult:
    return changed(result, routing_id=assignment.routing_id, lease_token=assignment.lease_token)


def _vouched(assignment: BranchAssignment, result: BranchResult) -> Actor:
    if result.actor is None:
        return _service_itself(assignment.service)
    storable("actor", result.actor)
    return Actor(id=result.actor, authenticated_by=Authentication.SERVICE)


@cache
def _service_itself(service: str) -> Actor:
    return Actor(id=service, authenticated_by=Authentication.SERVICE)
