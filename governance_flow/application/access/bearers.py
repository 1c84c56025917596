"""Whoever holds a token, as the rest of the program knows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from governance_flow.application.access.permissions import Permission
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.events import Actor, Authentication


@dataclass(frozen=True, slots=True)
class Token:
    """What is kept of a token; never the token itself.

    ``name`` is who acts with it, as events will say. ``branches`` are those whose assignments its
    bearer may work on, if it has the permission to work.
    """

    token_id: str
    name: str
    permissions: frozenset[Permission]
    branches: frozenset[GovernanceBranch]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None = None

    def is_valid(self, now: datetime) -> bool:
        """Return whether it is accepted now."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class Bearer:
    """Somebody who has shown a token that is accepted, directly or by a session."""

    token_id: str
    name: str
    permissions: frozenset[Permission]
    branches: frozenset[GovernanceBranch]

    @classmethod
    def of(cls, token: Token) -> Bearer:
        """Return the bearer of a token."""
        return cls(token.token_id, token.name, token.permissions, token.branches)

    def may(self, permission: Permission) -> bool:
        """Return whether the bearer has a permission."""
        return permission in self.permissions

    def may_work_for(self, branch: GovernanceBranch) -> bool:
        """Return whether the bearer may answer assignments of a branch."""
        return self.may(Permission.WORK) and branch in self.branches

    @property
    def actor(self) -> Actor:
        """Who acts, as events say it."""
        return Actor(id=self.name, authenticated_by=Authentication.TOKEN)
