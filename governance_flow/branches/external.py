"""Branches whose work is done elsewhere: ``kind: external`` in the configuration.

For such a branch nothing runs in the worker, and ``build_branches`` returns no service for it. Its
assignments stay open until people or programs, in any language, fetch them, extend their lease,
and complete or fail them, naming the routing id and the lease token they were given. They are
bound by the same rules as everybody: the lease, the deadline, the separation of powers.

A worker must not claim the assignments of these services; ``external_services`` names them.
"""

from __future__ import annotations

from governance_flow.domain.branch_configuration import ExternalBranch
from governance_flow.domain.configuration import FlowConfiguration


def external_services(configuration: FlowConfiguration) -> frozenset[str]:
    """Return the names of the services that are served from outside."""
    return frozenset(
        service
        for service, branch in configuration.branches.items()
        if isinstance(branch, ExternalBranch)
    )
