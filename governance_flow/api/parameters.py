"""Parameters that many operations have, described once."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import UUID

import structlog
from fastapi import Depends, Header, Path, Query, Request, Response

from governance_flow.api.idempotency import KEY_CHARACTERS_MAX, KEY_PATTERN
from governance_flow.api.numbers import WHOLE_MAX
from governance_flow.api.service import TheService, bearer_of
from governance_flow.domain.errors import InvalidInput, StoreError
from governance_flow.domain.events import Actor

log = structlog.get_logger(__name__)

POSITION_HEADER = "Governance-Flow-Position"
PAGE_MAX = 200

MotionId = Annotated[UUID, Path(description="The motion's id.")]
RoutingId = Annotated[UUID, Path(description="The assignment's routing id.")]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="So many at most.")]
After = Annotated[
    str | None,
    Query(max_length=200, description="`next_after` of the page before; without it: the first."),
]


async def _caught_up(
    service: TheService,
    at_least: Annotated[
        int | None,
        Query(
            ge=0,
            le=WHOLE_MAX,
            description=(
                "Answer with everything up to this position of the log, as the header "
                f"`{POSITION_HEADER}` of an earlier answer told it."
            ),
        ),
    ] = None,
) -> int | None:
    """Bring the read model as far as asked; raises InvalidInput for a position not yet reached."""
    if at_least is None:
        return None
    position = (await service.flow.store.head()).position
    if at_least > position:
        msg = f"at_least: the log ends at position {position}; {at_least} was never reached"
        raise InvalidInput(msg, field="query.at_least")
    await service.flow.runner.catch_up(at_least)
    return at_least


AtLeast = Annotated[int | None, Depends(_caught_up)]
"""For every read: it sees whatever was written up to a position."""


async def _idempotency_key(
    _key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            min_length=1,
            max_length=KEY_CHARACTERS_MAX,
            pattern=KEY_PATTERN,
            description="Sent again with the same key, a request gets the same answer (24 hours).",
        ),
    ] = None,
) -> None:
    """Describe the header; the door heeds it."""


Idempotent = Depends(_idempotency_key)
"""For every write."""


async def _actor(request: Request) -> Actor:
    return bearer_of(request).actor


Acting = Annotated[Actor, Depends(_actor)]
"""Who acts: whom the token was made out to, and never whom the body names."""


async def _if_match(
    if_match: Annotated[
        str | None,
        Header(
            pattern='^\\*$|^"[0-9]{1,18}"$',
            description="Only if the motion is still at the version of this `ETag`.",
            examples=['"7"'],
        ),
    ] = None,
) -> int | None:
    if if_match is None or if_match == "*":
        return None
    found = re.fullmatch(r'"(\d+)"', if_match)
    if found is None:
        raise InvalidInput(
            'If-Match must be one ETag as it was given, such as "7"', field="header.if-match"
        )
    return int(found[1])


IfVersion = Annotated[int | None, Depends(_if_match)]


def etag(version: int) -> str:
    """Return the entity tag of a motion at a version."""
    return f'"{version}"'


async def tell_position(response: Response, service: TheService) -> None:
    """Say how far the log has come, for reads that must see what was just written.

    What was written is written: if the store cannot say, the answer goes without.
    """
    try:
        head = await service.flow.store.head()
    except StoreError as error:
        log.warning("an answer does not tell its position", error=str(error))
        return
    response.headers[POSITION_HEADER] = str(head.position)
