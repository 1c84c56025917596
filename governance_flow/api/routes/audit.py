"""The audit: what was promised, what proves it, the past, and the whole verified."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response, status
from starlette.exceptions import HTTPException

from governance_flow.api.guard import GuardedRoute
from governance_flow.api.jobs import job_view
from governance_flow.api.numbers import WHOLE_MAX
from governance_flow.api.parameters import AtLeast, Idempotent, MotionId
from governance_flow.api.paths import PREFIX
from governance_flow.api.problems import BUSY, Problematic
from governance_flow.api.responses import REFUSALS
from governance_flow.api.schemas import JsonObject, Moment
from governance_flow.api.service import Job, TheService
from governance_flow.api.views import (
    CheckpointView,
    ConsistencyView,
    JobView,
    ReplayedMotion,
)
from governance_flow.application.audit.reporting import report_json, verified
from governance_flow.application.ports.flow_orchestrator import PipelineStatus
from governance_flow.application.ports.transparency_log import SignedCheckpoint
from governance_flow.application.services.log_proofs import opened
from governance_flow.application.times import from_us
from governance_flow.domain.errors import InvalidInput
from governance_flow.transparency.encoding import to_base64

router = APIRouter(
    prefix=f"{PREFIX}/audit", tags=["audit"], route_class=GuardedRoute, responses=REFUSALS
)

Size = Annotated[int, Query(ge=1, le=WHOLE_MAX, description="The size of a checkpoint.")]
At = Annotated[Moment | None, Query(description="A commit time, such as 2026-01-31T18:00Z.")]
Position = Annotated[int | None, Query(ge=0, le=WHOLE_MAX, description="A position of the log.")]
VERIFICATION = "verification"


@router.get("/checkpoint")
async def get_checkpoint(service: TheService, _at_least: AtLeast) -> CheckpointView:
    """Sign and return a checkpoint: the log's promise of every event there is now.

    Keep `note` where nobody who can change the store can change it.
    """
    latest = await service.flow.audit.proofs.latest()
    return _checkpoint(latest.checkpoint, latest.unsigned)


@router.get("/checkpoints/{size}")
async def get_checkpoint_of_size(
    size: Annotated[int, Path(ge=1, le=WHOLE_MAX)], service: TheService, _at_least: AtLeast
) -> CheckpointView:
    """Return the checkpoint that was signed for a log of this size."""
    return _checkpoint(await _signed(service, size), None)


@router.get("/consistency")
async def prove_consistency(
    service: TheService, _at_least: AtLeast, old: Size, new: Size
) -> ConsistencyView:
    """Prove that the log of one checkpoint is the beginning of the log of a later one."""
    audit = service.flow.audit
    key = await audit.log_key()
    first = opened("old", (await _signed(service, old)).note, key)
    second = opened("new", (await _signed(service, new)).note, key)
    proof = await audit.proofs.consistency(first, second)
    return ConsistencyView(
        old_size=first.size,
        old_root=to_base64(first.root),
        new_size=second.size,
        new_root=to_base64(second.root),
        proof=[to_base64(node) for node in proof],
    )


@router.get("/motions/{motion_id}/bundle")
async def get_bundle(
    motion_id: MotionId, service: TheService, _at_least: AtLeast, response: Response
) -> JsonObject:
    """Return a motion's bundle: its events and all that proves them, to be checked offline.

    `scripts/verify_bundle.py` checks it, and needs nothing of this program.
    """
    bundle, _ = await service.flow.audit.prove(motion_id)
    response.headers["Content-Disposition"] = f'attachment; filename="motion-{motion_id}.json"'
    return bundle


@router.get("/replay")
async def replay_pipeline(
    service: TheService, _at_least: AtLeast, at: At = None, position: Position = None
) -> PipelineStatus:
    """Return the pipeline as it stood at a commit time or a position, from the events alone.

    It reads the whole log up to there: seconds for a hundred thousand events.
    """
    replayer = service.flow.audit.replayer
    moment = await replayer.moment(at=at, position=position)
    if service.replaying.locked():
        detail = "another replay is under way, and each reads the whole log: ask again soon"
        raise Problematic(BUSY, detail)
    async with service.replaying:
        return await replayer.status(moment)


@router.get("/motions/{motion_id}/replay")
async def replay_motion(
    motion_id: MotionId,
    service: TheService,
    _at_least: AtLeast,
    at: At = None,
    position: Position = None,
) -> ReplayedMotion:
    """Return one motion as it stood at a commit time or a position, from its events alone."""
    replayer = service.flow.audit.replayer
    moment = await replayer.moment(at=at, position=position)
    motion = await replayer.motion(motion_id, moment)
    return ReplayedMotion(position=moment.position, at=moment.as_of, motion=motion)


@router.post("/verification", status_code=status.HTTP_202_ACCEPTED, dependencies=[Idempotent])
async def start_verification(service: TheService) -> JobView:
    """Begin to verify the whole record: every event, statement, checkpoint and derived row.

    It goes on in this process; ask again how far it is. Asked for meanwhile, it is not begun twice.
    """

    async def verify(job: Job) -> dict[str, Any]:
        report, notes = await verified(service.flow.audit, job.show)
        return report_json(report) | {"not_compared": notes}

    return JobView.model_validate(job_view(service.jobs.start(VERIFICATION, verify)))


@router.get("/verification")
async def get_verification(service: TheService, _at_least: AtLeast) -> JobView:
    """Return how far the verification is, or what the last one that this process made came to."""
    job = job_view(service.jobs.latest(VERIFICATION))
    if job is None:
        raise HTTPException(404, "nothing was verified since this process began: POST here first")
    return job


async def _signed(service: TheService, size: int) -> SignedCheckpoint:
    try:
        return await service.flow.audit.proofs.of_size(size)
    except InvalidInput as error:
        raise HTTPException(404, error.message) from error


def _checkpoint(kept: SignedCheckpoint, unsigned: str | None) -> CheckpointView:
    return CheckpointView(
        size=kept.size,
        events=kept.size - 1,
        root=to_base64(kept.root),
        signed_at=from_us(kept.signed_at_us),
        note=kept.note,
        current=unsigned is None,
        unsigned=unsigned,
    )
