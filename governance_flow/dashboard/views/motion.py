"""One motion: who must act next, where it stands, what it says, and all that has happened to it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Form, Query, Response

from governance_flow.api.parameters import MotionId
from governance_flow.api.service import TheBearer
from governance_flow.application.times import from_us
from governance_flow.dashboard.deciding import choices_for, decision_in, may_withdraw
from governance_flow.dashboard.pages import TheFrame, link, render, see
from governance_flow.dashboard.problems import PageRoute
from governance_flow.dashboard.timeline import covered, fold, steps_of
from governance_flow.domain.events import Ballot

router = APIRouter(prefix="/motions", route_class=PageRoute, include_in_schema=False)

ENTRIES = 100
BALLOTS_MAX = 500
VERSION_MAX = 2**31

Version = Annotated[int | None, Form(ge=1, le=VERSION_MAX)]


@router.get("/{motion_id}")
async def show_motion(
    motion_id: MotionId,
    frame: TheFrame,
    before: Annotated[int, Query(ge=1, le=VERSION_MAX)] = VERSION_MAX,
) -> Response:
    """Show a motion. Of a long record the newest entries are shown, or those before a version."""
    flow = frame.service.flow
    details = await flow.reader.details(motion_id)
    status = details.status
    records = await flow.reader.events(motion_id, limit=status.version)
    motion, entries = fold(motion_id, records)
    shown = [entry for entry in entries if entry.version < before][-ENTRIES:]
    checkpoints = await covered(shown, flow.audit.proofs)
    older = shown[0].version if shown and shown[0].version > 1 else None
    bearer = frame.bearer
    path = f"/motions/{motion_id}"
    routed = motion.routing
    holder = await flow.assignments.holder(routed.routing_id) if routed is not None else None
    return render(
        frame,
        "motion.html",
        title=status.title,
        here="motions",
        details=details,
        motion=status,
        block=motion.block,
        holder=holder,
        held_until=from_us(holder.expires_at_us) if holder and holder.expires_at_us else None,
        steps=steps_of(motion, entries),
        choices=choices_for(status) if frame.may("resolve") else [],
        has_acted=bearer is not None and bearer.name in motion.acts,
        may_withdraw=frame.may("introduce") and bearer is not None and may_withdraw(status, bearer),
        tally=Counter(ballot.value for ballot in details.ballots.values()),
        choices_of_ballot=[ballot.value for ballot in Ballot],
        ballots=sorted(details.ballots.items())[:BALLOTS_MAX],
        ballots_left_out=max(0, len(details.ballots) - BALLOTS_MAX),
        entries=[
            replace(entry, checkpoint=checkpoints.get(entry.position)) for entry in reversed(shown)
        ],
        is_first=before == VERSION_MAX,
        older_page=None if older is None else link(path, {"before": older}),
    )


@router.get("/{motion_id}/story")
async def show_story(motion_id: MotionId, frame: TheFrame) -> Response:
    """Tell a motion's story in plain language, the halts and alerts around it included."""
    audit = frame.service.flow.audit
    moment = await audit.replayer.moment()
    story = await audit.storyteller.story(motion_id, moment)
    return render(frame, "story.html", title=f"Story of {story.title}", here="motions", story=story)


@router.post("/{motion_id}/decision")
async def decide_on_page(
    *,
    motion_id: MotionId,
    frame: TheFrame,
    bearer: TheBearer,
    decision: Annotated[str, Form()] = "",
    notes: Annotated[str, Form()] = "",
    version: Version = None,
    back: Annotated[str, Form()] = "",
) -> Response:
    """Decide about a motion that waits for a person, as they saw it."""
    decided = decision_in(decision)
    await frame.service.flow.orchestrator.resolve_escalation(
        motion_id, bearer.actor, decided, notes, if_version=version
    )
    path = "/attention" if back == "attention" else f"/motions/{motion_id}"
    return see(path, done=decided.value)


@router.post("/{motion_id}/withdrawal")
async def withdraw_on_page(
    motion_id: MotionId,
    frame: TheFrame,
    bearer: TheBearer,
    reason: Annotated[str, Form()] = "",
    version: Version = None,
) -> Response:
    """Withdraw a motion that the bearer has introduced."""
    await frame.service.flow.orchestrator.withdraw_motion(
        motion_id, bearer.actor, reason, if_version=version
    )
    return see(f"/motions/{motion_id}", done="withdrawn")
