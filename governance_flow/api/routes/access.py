"""Access itself: what one's token allows, who has tokens, who was turned away."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query

from governance_flow.api.guard import GuardedRoute
from governance_flow.api.numbers import WHOLE_MAX
from governance_flow.api.parameters import AtLeast, Limit
from governance_flow.api.paths import PREFIX
from governance_flow.api.responses import REFUSALS
from governance_flow.api.service import TheBearer, TheService
from governance_flow.api.views import (
    DenialPage,
    DenialView,
    TokenList,
    TokenView,
    WhoAmI,
)

router = APIRouter(
    prefix=f"{PREFIX}/access", tags=["access"], route_class=GuardedRoute, responses=REFUSALS
)


@router.get("/me")
async def who_am_i(bearer: TheBearer, _at_least: AtLeast) -> WhoAmI:
    """Return what the token allows that the request came with."""
    return WhoAmI(
        token_id=bearer.token_id,
        name=bearer.name,
        permissions=sorted(bearer.permissions),
        branches=sorted(bearer.branches),
    )


@router.get("/tokens")
async def list_tokens(service: TheService, _at_least: AtLeast) -> TokenList:
    """List every token that was ever made out, without what would let anybody use it."""
    return TokenList(
        tokens=[
            TokenView(
                token_id=token.token_id,
                name=token.name,
                permissions=sorted(token.permissions),
                branches=sorted(token.branches),
                created_at=token.created_at,
                expires_at=token.expires_at,
                revoked_at=token.revoked_at,
            )
            for token in await service.flow.gatekeeper.tokens()
        ]
    )


@router.get("/denials")
async def list_denials(
    service: TheService,
    _at_least: AtLeast,
    limit: Limit = 50,
    before: Annotated[int | None, Query(ge=1, le=WHOLE_MAX)] = None,
) -> DenialPage:
    """List who was turned away, why and how often, the newest first."""
    found = await service.flow.gatekeeper.denials(limit=limit + 1, before=before)
    page = found[:limit]
    return DenialPage(
        denials=[DenialView(number=number, **asdict(denial)) for number, denial in page],
        next_before=page[-1][0] if len(found) > limit else None,
    )
