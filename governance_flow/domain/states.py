"""The canonical flow as data: every state, every edge, and nothing that is not an edge.

``EDGES`` is the one table of allowed transitions. A transition that is not in it is a skipped
step, whoever proposes it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from governance_flow.domain.branches import (
    CONCLAVE_SERVICE,
    DUKE_SERVICE,
    KNIGHT_SERVICE,
    PRESIDENT_SERVICE,
    PRINCE_SERVICE,
    Purpose,
)
from governance_flow.domain.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping


class GovernanceState(Vocabulary):
    """Where a motion stands."""

    INTRODUCED = "INTRODUCED"
    DELIBERATING = "DELIBERATING"
    RATIFIED = "RATIFIED"
    PLANNING = "PLANNING"
    EXECUTING = "EXECUTING"
    JUDGING = "JUDGING"
    WITNESSING = "WITNESSING"
    TABLED = "TABLED"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    REJECTED = "REJECTED"
    WITHDRAWN = "WITHDRAWN"


S = GovernanceState

TERMINAL_STATES = frozenset({S.ACKNOWLEDGED, S.REJECTED, S.WITHDRAWN})
"""States that no edge leaves."""

ADMITTED_STATES = frozenset(
    {S.DELIBERATING, S.RATIFIED, S.PLANNING, S.EXECUTING, S.JUDGING, S.WITNESSING}
)
"""States in which a motion holds one of the pipeline's places."""


class EdgeKind(Vocabulary):
    """Why an edge of the flow is there."""

    ADVANCE = "advance"
    RETURN = "return"
    REVIEW = "review"
    WITHDRAW = "withdraw"


STATE_SERVICE_MAP: Mapping[GovernanceState, str] = MappingProxyType(
    {
        S.INTRODUCED: CONCLAVE_SERVICE,
        S.DELIBERATING: CONCLAVE_SERVICE,
        S.RATIFIED: PRESIDENT_SERVICE,
        S.PLANNING: PRESIDENT_SERVICE,
        S.EXECUTING: DUKE_SERVICE,
        S.JUDGING: PRINCE_SERVICE,
        S.WITNESSING: KNIGHT_SERVICE,
    }
)
"""The owner of each state: where a motion goes while the state's work is still open."""

HAND_OFF_MAP: Mapping[GovernanceState, str] = MappingProxyType(
    {
        S.INTRODUCED: CONCLAVE_SERVICE,
        S.DELIBERATING: CONCLAVE_SERVICE,
        S.RATIFIED: PRESIDENT_SERVICE,
        S.PLANNING: DUKE_SERVICE,
        S.EXECUTING: PRINCE_SERVICE,
        S.JUDGING: KNIGHT_SERVICE,
        S.WITNESSING: CONCLAVE_SERVICE,
        S.TABLED: CONCLAVE_SERVICE,
    }
)
"""Where a motion goes once the work of its state is complete.

The Conclave's vote decides what follows DELIBERATING: ratified motions go on to the President.
"""

OWNER_PURPOSE: Mapping[GovernanceState, Purpose] = MappingProxyType(
    {
        S.DELIBERATING: Purpose.DELIBERATE,
        S.PLANNING: Purpose.PLAN,
        S.EXECUTING: Purpose.EXECUTE,
        S.JUDGING: Purpose.JUDGE,
        S.WITNESSING: Purpose.RECORD,
    }
)
"""What the owner of a state is asked to do when a motion enters it."""

ADVANCE_TO: Mapping[GovernanceState, tuple[GovernanceState, ...]] = MappingProxyType(
    {
        S.INTRODUCED: (S.DELIBERATING,),
        S.DELIBERATING: (S.RATIFIED, S.REJECTED, S.TABLED),
        S.RATIFIED: (S.PLANNING,),
        S.PLANNING: (S.EXECUTING,),
        S.EXECUTING: (S.JUDGING,),
        S.JUDGING: (S.WITNESSING,),
        S.WITNESSING: (S.ACKNOWLEDGED,),
        S.TABLED: (S.DELIBERATING,),
    }
)
"""The next states of the flow table."""

RETURN_TO: Mapping[GovernanceState, GovernanceState] = MappingProxyType(
    {
        S.DELIBERATING: S.INTRODUCED,
        S.PLANNING: S.DELIBERATING,
        S.EXECUTING: S.PLANNING,
        S.JUDGING: S.EXECUTING,
        S.WITNESSING: S.JUDGING,
    }
)
"""Where a validation error sends a motion back to."""

RETURN_PURPOSE: Mapping[GovernanceState, Purpose] = MappingProxyType(
    {
        S.INTRODUCED: Purpose.REVISE,
        **{state: OWNER_PURPOSE[state] for state in RETURN_TO.values() if state in OWNER_PURPOSE},
    }
)
"""What is asked of whoever receives a returned motion; the findings come with it."""

_STEPS = (Purpose.REVISE, *OWNER_PURPOSE.values(), Purpose.ACKNOWLEDGE)

WITHDRAWABLE_STATES = frozenset({S.INTRODUCED, S.DELIBERATING, S.TABLED})
"""States in which the introducer may withdraw a motion."""

AMENDABLE_STATES = frozenset({S.INTRODUCED, S.TABLED})
"""States in which the introducer may amend a motion."""

REVIEWABLE_STATES = frozenset({S.INTRODUCED}) | ADMITTED_STATES
"""States in which the Conclave may be asked to review a motion."""


def _edges() -> dict[tuple[GovernanceState, GovernanceState], frozenset[EdgeKind]]:
    edges: dict[tuple[GovernanceState, GovernanceState], set[EdgeKind]] = {}

    def add(source: GovernanceState, target: GovernanceState, kind: EdgeKind) -> None:
        edges.setdefault((source, target), set()).add(kind)

    for source, targets in ADVANCE_TO.items():
        for target in targets:
            add(source, target, EdgeKind.ADVANCE)
    for source, target in RETURN_TO.items():
        add(source, target, EdgeKind.RETURN)
    for source in REVIEWABLE_STATES:
        add(source, S.TABLED, EdgeKind.REVIEW)
        add(source, S.REJECTED, EdgeKind.REVIEW)
    for source in WITHDRAWABLE_STATES:
        add(source, S.WITHDRAWN, EdgeKind.WITHDRAW)
    return {edge: frozenset(kinds) for edge, kinds in edges.items()}


EDGES: Mapping[tuple[GovernanceState, GovernanceState], frozenset[EdgeKind]] = MappingProxyType(
    _edges()
)
"""Every allowed transition and why it exists. What is not here is a skipped step."""


def is_terminal(state: GovernanceState) -> bool:
    """Return whether nothing more can happen to a motion in this state."""
    return state in TERMINAL_STATES


def steps_undone(target: GovernanceState) -> frozenset[Purpose]:
    """Return the steps whose results no longer stand once a motion is back in ``target``.

    A tabled motion is deliberated anew.
    """
    first = RETURN_PURPOSE.get(target, Purpose.DELIBERATE)
    return frozenset(_STEPS[_STEPS.index(first) :])


def admitted_delta(source: GovernanceState, target: GovernanceState) -> int:
    """Return how many places a transition takes (1), frees (-1) or leaves as they are (0)."""
    return (target in ADMITTED_STATES) - (source in ADMITTED_STATES)
