"""The audit page: the latest checkpoint, the whole record verified now, bundles to take away."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from governance_flow.api.jobs import job_view
from governance_flow.api.routes.audit import VERIFICATION, start_verification
from governance_flow.application.times import from_us
from governance_flow.dashboard.pages import TheFrame, render, see
from governance_flow.dashboard.problems import PageRoute
from governance_flow.domain.errors import InvalidInput
from governance_flow.transparency.encoding import to_base64

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/audit")
async def show_audit(frame: TheFrame) -> Response:
    """Show what was promised last, and what the last verification came to."""
    kept = await frame.service.flow.audit.proofs.kept()
    return render(
        frame,
        "audit.html",
        title="Audit",
        here="audit",
        checkpoint=kept,
        root=None if kept is None else to_base64(kept.root),
        signed_at=None if kept is None else from_us(kept.signed_at_us),
        job=job_view(frame.service.jobs.latest(VERIFICATION)),
    )


@router.post("/audit/verification")
async def verify_on_page(frame: TheFrame) -> Response:
    """Begin to verify the whole record, unless that is under way."""
    await start_verification(frame.service)
    return see("/audit", done="verifying")


@router.get("/audit/bundle")
async def download_bundle(frame: TheFrame, motion_id: str = "") -> Response:
    """Return a motion's bundle, to be checked offline."""
    try:
        motion = UUID(motion_id.strip())
    except ValueError as error:
        msg = f"motion_id: {motion_id!r:.60} is no motion's id; copy it from the motion's page"
        raise InvalidInput(msg, field="motion_id") from error
    bundle, _ = await frame.service.flow.audit.prove(motion)
    name = f'attachment; filename="motion-{motion}.json"'
    return JSONResponse(bundle, headers={"Content-Disposition": name})
