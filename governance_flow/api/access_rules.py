"""Who may use which operation: one table. What is not in it is denied to everybody.

The key is the operation's name: that of the function that answers it, and its id in the API's
description.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, auto
from types import MappingProxyType

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

from governance_flow.application.access.permissions import Permission


class Open(Enum):
    """What an operation asks for besides a permission."""

    TO_EVERYBODY = auto()
    """It tells nothing that anybody may not know."""
    TO_BEARERS = auto()
    """Whoever has a token that is accepted, whatever it allows."""


Rule = Permission | Open

_P = Permission

ACCESS_RULES: Mapping[str, Rule] = MappingProxyType(
    {
        # What is asked before anybody has a token.
        "live": Open.TO_EVERYBODY,
        "ready": Open.TO_EVERYBODY,
        "problems": Open.TO_EVERYBODY,
        "openapi": Open.TO_EVERYBODY,
        # Whoever has a token may know what it allows.
        "who_am_i": Open.TO_BEARERS,
        # Motions.
        "introduce_motion": _P.INTRODUCE,
        "list_motions": _P.READ,
        "search_motions": _P.READ,
        "get_motion": _P.READ,
        "amend_motion": _P.INTRODUCE,
        "withdraw_motion": _P.INTRODUCE,
        "list_motion_events": _P.READ,
        "tell_motion_story": _P.READ,
        # Assignments. Which branches is looked at where they are named.
        "list_assignments": _P.READ,
        "fetch_assignments": _P.WORK,
        "extend_assignment": _P.WORK,
        "release_assignment": _P.WORK,
        "complete_assignment": _P.WORK,
        "fail_assignment": _P.WORK,
        # What waits for people.
        "list_escalations": _P.READ,
        "resolve_escalation": _P.RESOLVE,
        "retry_motion": _P.RESOLVE,
        "resolve_escalations": _P.RESOLVE,
        # The pipeline.
        "get_pipeline": _P.READ,
        "get_board": _P.READ,
        "get_series": _P.READ,
        "list_docket": _P.READ,
        "get_configuration": _P.READ,
        "halt_pipeline": _P.CONTROL,
        "resume_pipeline": _P.CONTROL,
        "watch_pipeline": _P.READ,
        # The read model.
        "list_projections": _P.READ,
        "rebuild_projection": _P.REBUILD,
        # The audit.
        "get_checkpoint": _P.AUDIT,
        "get_checkpoint_of_size": _P.AUDIT,
        "prove_consistency": _P.AUDIT,
        "get_bundle": _P.AUDIT,
        "replay_pipeline": _P.AUDIT,
        "replay_motion": _P.AUDIT,
        "start_verification": _P.AUDIT,
        "get_verification": _P.AUDIT,
        # Access itself.
        "list_tokens": _P.ACCESS,
        "list_denials": _P.ACCESS,
        "metrics": _P.METRICS,
    }
)


def without_rule(routes: Iterable[BaseRoute], rules: Mapping[str, Rule]) -> list[str]:
    """Return the operations that nobody could use, because no rule speaks of them."""
    return [
        route.name or str(route.path)
        for route in iter_route_contexts(list(routes))
        if route.name not in rules
    ]
