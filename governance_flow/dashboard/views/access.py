"""Access: who has tokens, and who was turned away."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from governance_flow.dashboard.pages import TheFrame, link, render
from governance_flow.dashboard.problems import PageRoute

router = APIRouter(route_class=PageRoute, include_in_schema=False)

DENIALS = 50
TOKENS_MAX = 200


@router.get("/access")
async def show_access(
    frame: TheFrame, before: Annotated[int | None, Query(ge=1, le=2**63 - 1)] = None
) -> Response:
    """Show the tokens, those that are accepted first, and a page of denials."""
    gatekeeper = frame.service.flow.gatekeeper
    tokens = await gatekeeper.tokens()
    found = await gatekeeper.denials(limit=DENIALS + 1, before=before)
    denials = found[:DENIALS]
    newest_first = sorted(tokens, key=lambda token: token.created_at, reverse=True)
    newest_first.sort(key=lambda token: not token.is_valid(frame.now))
    return render(
        frame,
        "access.html",
        title="Access",
        here="access",
        tokens=newest_first[:TOKENS_MAX],
        left_out=max(0, len(tokens) - TOKENS_MAX),
        denials=[denial for _, denial in denials],
        is_first=before is None,
        next_page=link("/access", {"before": denials[-1][0]}) if len(found) > DENIALS else None,
    )
