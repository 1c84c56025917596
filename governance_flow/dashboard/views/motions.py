"""The list of motions: filtered or searched, a page at a time."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from governance_flow.application.ports.overview import MotionFilter
from governance_flow.dashboard.pages import TheFrame, chosen, link, render
from governance_flow.dashboard.problems import PageRoute
from governance_flow.domain.states import GovernanceState

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE = 50
ONLY = ("all", "blocked", "waiting", "overdue", "waits_for_person")
STATES = tuple(state.value for state in GovernanceState)


@router.get("/motions")
async def show_motions(
    *,
    frame: TheFrame,
    q: Annotated[str, Query(max_length=200)] = "",
    state: str = "",
    only: str = "",
    introduced_by: Annotated[str, Query(max_length=200)] = "",
    after: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Show a page of the motions that are wanted."""
    status = frame.service.flow.status
    wanted = {"q": q.strip(), "state": state, "only": only, "introduced_by": introduced_by.strip()}
    complete = True
    if wanted["q"]:
        found = await status.search(wanted["q"], limit=PAGE, after=after or None)
        motions, next_after, complete = found.motions, found.next_after, found.complete
    else:
        page = await status.motions(
            _filter(wanted["state"], wanted["only"], wanted["introduced_by"]),
            limit=PAGE,
            after=after or None,
        )
        motions, next_after = page.motions, page.next_after
    return render(
        frame,
        "motions.html",
        title="Motions",
        here="motions",
        motions=motions,
        wanted=wanted,
        complete=complete,
        states=tuple(GovernanceState),
        is_first=not after,
        first_page=link("/motions", wanted),
        next_page=link("/motions", wanted, after=next_after) if next_after else None,
    )


def _filter(state: str, only: str, introduced_by: str) -> MotionFilter:
    in_state = chosen("state", state, STATES)
    which = chosen("only", only, ONLY)
    # Whoever asks for nothing in particular does not mean those that ended long ago.
    under_way = in_state is None and which is None and not introduced_by
    return MotionFilter(
        active=True if under_way else None,
        state=None if in_state is None else GovernanceState(in_state),
        blocked=True if which == "blocked" else None,
        waiting=which == "waiting",
        overdue=which == "overdue",
        waits_for_person=which == "waits_for_person",
        introduced_by=introduced_by or None,
    )
