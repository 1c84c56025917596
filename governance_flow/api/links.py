"""What can be done next with an answer: OpenAPI's links, for people and for programs that read it.

Each leads from an answer to an operation, and says where in the answer its parameters are.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple


class Link(NamedTuple):
    """An operation that an answer leads to."""

    operation: str
    parameters: Mapping[str, str]
    body: Mapping[str, str] | None = None


def _motion_at(pointer: str, *operations: str) -> tuple[Link, ...]:
    return tuple(
        Link(operation, {"motion_id": f"$response.body#{pointer}"}) for operation in operations
    )


def _unless_moved(pointer: str, *operations: str) -> tuple[Link, ...]:
    """Return decisions about the motion as the answer showed it, and as nothing later."""
    return tuple(
        Link(
            operation,
            {"motion_id": f"$response.body#{pointer}", "if-match": "$response.header.ETag"},
        )
        for operation in operations
    )


_FIRST = "$response.body#/assignments/0"
_HELD = {"lease_token": f"{_FIRST}/lease_token"}
_ANSWERED = _HELD | {"motion_id": f"{_FIRST}/motion_id", "branch": f"{_FIRST}/branch"}
_ROUTING = {"routing_id": f"{_FIRST}/routing_id"}

_LOOK = (
    "get_motion",
    "list_motion_events",
    "tell_motion_story",
    "get_bundle",
    "replay_motion",
)
_CHANGE = ("amend_motion", "withdraw_motion")

LINKS: Mapping[tuple[str, int], tuple[Link, ...]] = MappingProxyType(
    {
        ("introduce_motion", 201): (
            *_motion_at("/motion_id", *_LOOK),
            *_unless_moved("/motion_id", *_CHANGE),
        ),
        ("introduce_motion", 200): _motion_at("/motion_id", *_LOOK, *_CHANGE),
        ("get_motion", 200): _unless_moved("/status/motion_id", *_CHANGE),
        ("amend_motion", 200): (
            *_motion_at("/motion_id", "get_motion"),
            *_unless_moved("/motion_id", *_CHANGE),
        ),
        ("withdraw_motion", 200): _motion_at("/motion_id", *_LOOK),
        ("resolve_escalation", 200): _motion_at("/motion_id", "get_motion"),
        ("retry_motion", 200): _motion_at("/motion_id", "get_motion"),
        ("fetch_assignments", 200): (
            Link("extend_assignment", _ROUTING, _HELD),
            Link("release_assignment", _ROUTING, _HELD),
            Link("complete_assignment", _ROUTING, _ANSWERED),
            Link("fail_assignment", _ROUTING, _ANSWERED),
        ),
        ("complete_assignment", 200): _motion_at("/motion_id", "get_motion"),
        ("fail_assignment", 200): _motion_at("/motion_id", "get_motion"),
        ("get_checkpoint", 200): (
            Link("get_checkpoint_of_size", {"size": "$response.body#/size"}),
            Link(
                "prove_consistency", {"old": "$response.body#/size", "new": "$response.body#/size"}
            ),
        ),
    }
)


def links_of(operation: str, status: int) -> dict[str, Any]:
    """Return the links of an answer, as OpenAPI has them."""
    return {link.operation: _described(link) for link in LINKS.get((operation, status), ())}


def _described(link: Link) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": link.operation,
        "parameters": dict(link.parameters),
    }
    if link.body is not None:
        described["requestBody"] = dict(link.body)
    return described
