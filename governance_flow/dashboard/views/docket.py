"""The docket: motions that wait for a place, in the order in which they will be admitted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from governance_flow.dashboard.pages import TheFrame, link, render
from governance_flow.dashboard.problems import PageRoute

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE = 50
NUMBER_MAX = 2**31


@router.get("/docket")
async def show_docket(
    frame: TheFrame,
    after: Annotated[str, Query(max_length=200)] = "",
    before_it: Annotated[int, Query(alias="from", ge=0, le=NUMBER_MAX)] = 0,
) -> Response:
    """Show a page of the docket. ``from`` is how many motions the pages before it showed."""
    page = await frame.service.flow.status.docket(limit=PAGE, after=after or None)
    shown = before_it + len(page.motions)
    following = link("/docket", {"after": page.next_after, "from": shown})
    return render(
        frame,
        "docket.html",
        title="Docket",
        here="docket",
        page=page,
        first_number=before_it + 1,
        is_first=not after,
        next_page=following if page.next_after else None,
    )
