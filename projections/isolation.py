"""One projection, one batch: a motion that goes wrong is parked, and disturbs no other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import structlog

from governance_flow.domain.errors import (
    GovernanceFlowError,
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreUnavailable,
)
from projections.registry import Parked

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from governance_flow.application.ports.database import Transaction
    from governance_flow.application.ports.projection import Batch, MotionChange, Projection
    from projections.folding import Folded
    from projections.registry import Generation

log = structlog.get_logger(__name__)

_ENVIRONMENT = (
    StoreBusy,
    StoreCorrupt,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreUnavailable,
    MemoryError,
    OSError,
)
"""What is wrong with the store or the machine, and no fault of the motion that met it."""


class ProjectionFailed(GovernanceFlowError):
    """A projection cannot apply the pipeline's own events; it stops, rather than guess."""


class Share(NamedTuple):
    """A projection that is to apply a batch, to which rows, and without which motions."""

    projection: Projection
    generation: Generation
    skip: Collection[UUID] = ()


def apply_all(tx: Transaction, shares: Sequence[Share], folded: Folded) -> list[Parked]:
    """Let projections apply a batch, each without the motions it has parked; return the new ones.

    First all together: a savepoint for each takes as long as what most of them do. If one raises,
    nothing of that is left, and each goes by itself. Raises as ``apply_apart``.
    """
    try:
        with tx.savepoint():
            for share in shares:
                share.projection.apply(tx, _seen_by(share, folded), share.generation.number)
    except Exception as error:
        if _is_environment(error):
            raise
        return [parked for share in shares for parked in apply_apart(tx, share, folded)]
    return [parked for share in shares for parked in _poisoned(share, folded).values()]


def apply_apart(tx: Transaction, share: Share, folded: Folded) -> list[Parked]:
    """Let a projection apply a batch, without the motions it has parked; return those it parks now.

    If it raises, the batch is applied again motion by motion, the pipeline's own events first,
    and the motions at which it raises are parked. Raises ProjectionFailed if it raises at the
    pipeline's events, or for a projection that leaves no motion out, and whatever is wrong with
    the store.
    """
    projection, generation, _ = share
    if not projection.by_motion:
        _apply_whole(tx, projection, generation, folded.batch)
        return []
    batch = _seen_by(share, folded)
    parked = _poisoned(share, folded)
    error = _attempt(tx, projection, generation, batch)
    if error is not None:
        _apply_pipeline(tx, projection, generation, batch)
        for change in batch.motions:
            error = _attempt(tx, projection, generation, _only(batch, change))
            if error is not None and change.motion_id not in parked:
                parked[change.motion_id] = _offender(projection, generation, change, error)
    return list(parked.values())


def _seen_by(share: Share, folded: Folded) -> Batch:
    """Return the batch without the motions that the projection has parked."""
    if not share.skip or not share.projection.by_motion:
        return folded.batch
    changes = [change for change in folded.batch.motions if change.motion_id not in share.skip]
    return replace(folded.batch, motions=changes)


def _poisoned(share: Share, folded: Folded) -> dict[UUID, Parked]:
    """Return the motions that no projection can follow from this batch on, but for the parked."""
    projection, generation, skip = share
    if not projection.by_motion:
        return {}
    return {
        motion_id: Parked(
            projection.name,
            motion_id,
            poison.position,
            poison.topic,
            poison.reason,
            generation.number,
        )
        for motion_id, poison in folded.poisons.items()
        if motion_id not in skip
    }


def log_parked(parked: Collection[Parked]) -> None:
    """Say aloud what was parked, once it is certain that it was."""
    for item in parked:
        log.error(
            "motion parked: the projection does not follow it any more",
            projection=item.projection,
            generation=item.generation,
            motion_id=str(item.motion_id),
            position=item.position,
            topic=item.topic,
            reason=item.reason,
        )


def _attempt(
    tx: Transaction, projection: Projection, generation: Generation, batch: Batch
) -> Exception | None:
    """Apply a batch, or leave no trace of it and return what the projection raised."""
    try:
        with tx.savepoint():
            projection.apply(tx, batch, generation.number)
    except Exception as error:
        if _is_environment(error):
            raise
        return error
    return None


def _apply_whole(
    tx: Transaction, projection: Projection, generation: Generation, batch: Batch
) -> None:
    error = _attempt(tx, projection, generation, batch)
    if error is not None:
        raise ProjectionFailed(
            f"the projection {projection.name!r} cannot apply the events up to position "
            f"{batch.position} and stops there: {error!r}",
            projection=projection.name,
            position=batch.position,
        ) from error


def _apply_pipeline(
    tx: Transaction, projection: Projection, generation: Generation, batch: Batch
) -> None:
    if not batch.pipeline_events:
        return
    error = _attempt(tx, projection, generation, replace(batch, motions=()))
    if error is None:
        return
    first = batch.pipeline_events[0].stored
    topics = ", ".join(item.stored.topic for item in batch.pipeline_events)
    raise ProjectionFailed(
        f"the projection {projection.name!r} cannot apply {topics} (from position {first.id} on) "
        f"and stops there: {error!r}",
        projection=projection.name,
        position=first.id,
        topic=first.topic,
    ) from error


def _only(batch: Batch, change: MotionChange) -> Batch:
    return replace(batch, motions=(change,), pipeline_events=())


def _offender(
    projection: Projection, generation: Generation, change: MotionChange, error: Exception
) -> Parked:
    # It may have been any of the motion's events in this batch: the first is where to look.
    first = change.events[0].stored
    return Parked(
        projection.name,
        change.motion_id,
        first.id,
        first.topic,
        f"the projection raised {type(error).__name__}: {error}",
        generation.number,
    )


def _is_environment(error: BaseException) -> bool:
    """Return whether the store failed, perhaps while it undid what something else had failed at."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _ENVIRONMENT):
            return True
        cause = cause.__cause__ or cause.__context__
    return False
