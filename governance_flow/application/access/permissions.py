"""What a token can allow, and the roles that tokens are usually made out for."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Permission(StrEnum):
    """One kind of thing that a bearer may do."""

    READ = "read"
    """See motions, their events, the pipeline, its lists, and the configuration in force."""
    INTRODUCE = "introduce"
    """Introduce motions; amend and withdraw one's own."""
    WORK = "work"
    """Fetch and answer assignments, of the branches that the token names and of no other."""
    RESOLVE = "resolve"
    """Decide about motions that wait for a person."""
    CONTROL = "control"
    """Halt and resume the pipeline."""
    REBUILD = "rebuild"
    """Rebuild projections."""
    AUDIT = "audit"
    """Have the record verified, and fetch checkpoints, bundles and replays."""
    METRICS = "metrics"
    """Scrape the metrics."""
    ACCESS = "access"
    """See who has tokens, and who was denied."""


class Role(StrEnum):
    """A usual set of permissions, by the name of who has it."""

    VIEWER = "viewer"
    MEMBER = "member"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    BRANCH = "branch"
    SCRAPER = "scraper"


_P = Permission

ROLES: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.VIEWER: frozenset({_P.READ}),
        Role.MEMBER: frozenset({_P.READ, _P.INTRODUCE}),
        Role.OPERATOR: frozenset(
            {_P.READ, _P.RESOLVE, _P.CONTROL, _P.REBUILD, _P.AUDIT, _P.METRICS, _P.ACCESS}
        ),
        Role.AUDITOR: frozenset({_P.READ, _P.AUDIT}),
        Role.BRANCH: frozenset({_P.WORK}),
        Role.SCRAPER: frozenset({_P.METRICS}),
    }
)
"""A branch works on the branches its token names. Nobody who resolves or controls introduces, or
works for a branch, unless an operator makes out such a token on purpose."""
