"""How pages say times, lengths of time, numbers, and what the program calls by its own names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from governance_flow.application.audit.explain.phrases import BRANCH_TITLES, how_we_know
from governance_flow.application.ports.flow_orchestrator import ActionKind
from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.domain.events import Actor
from governance_flow.domain.states import GovernanceState

S = GovernanceState

SHOWN_CHARACTERS_MAX = 20_000
"""So much of a text or an output is on a page; the API has the whole of it."""

_UNITS = (("y", 31_536_000), ("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))

STATE_TITLES: Mapping[GovernanceState, str] = MappingProxyType(
    {state: state.value.capitalize() for state in GovernanceState}
)

ACTION_TITLES: Mapping[ActionKind, str] = MappingProxyType(
    {
        ActionKind.NOTHING: "Nothing more can happen",
        ActionKind.PLACE: "Waits for a place",
        ActionKind.DATE: "Waits for a date",
        ActionKind.TAKING_UP: "Waits to be taken up",
        ActionKind.BRANCH: "A branch works on it",
        ActionKind.PERSON: "A person must decide",
        ActionKind.ORCHESTRATOR: "The orchestrator goes on with it",
    }
)


def span(length: timedelta | float) -> str:
    """Return a length of time in its two largest units: ``3 d 2 h``."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    left = int(abs(seconds))
    parts: list[str] = []
    for unit, size in _UNITS:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def relative(moment: datetime, now: datetime) -> str:
    """Return a time as seen from now: ``5 min ago``, ``in 2 h 10 min``."""
    seconds = (moment - now).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {span(seconds)}" if seconds > 0 else f"{span(seconds)} ago"


def absolute(moment: datetime) -> str:
    """Return a time to the second: ``2026-03-01 14:05:07 UTC``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def thousands(number: float) -> str:
    """Return a number with separators."""
    return f"{number:,}"


def state_title(state: GovernanceState) -> str:
    """Return what a page calls a state."""
    return STATE_TITLES[state]


def service_title(service: str) -> str:
    """Return what a page calls a service: its branch, if it is one of ours."""
    branch = SERVICE_BRANCH.get(service)
    if branch is None:
        return service
    title = BRANCH_TITLES[branch].removeprefix("the ")
    return f"{title} ({service})"


def action_title(kind: ActionKind) -> str:
    """Return what a motion waits for."""
    return ACTION_TITLES[kind]


def known_by(actor: Actor) -> str:
    """Return what stands behind an actor's name."""
    return how_we_know(actor)


def as_json(value: Any) -> str:
    """Return a value of JSON's types, readably, shortened if it is long."""
    return shortened(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def shortened(text: str) -> str:
    """Return a text, shortened if it is long."""
    if len(text) <= SHOWN_CHARACTERS_MAX:
        return text
    left_out = len(text) - SHOWN_CHARACTERS_MAX
    return f"{text[:SHOWN_CHARACTERS_MAX]} […] ({left_out:,} more characters)"


def error_type_of(issue: str) -> str:
    """Return the type of an error from its headline, ``type: message``."""
    return issue.partition(":")[0]
