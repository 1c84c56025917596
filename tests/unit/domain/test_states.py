"""The table of the flow against one written down here by hand, edge by edge."""

from __future__ import annotations

from itertools import product
from uuid import UUID

import pytest

from governance_flow.domain.branches import SERVICE_BRANCH, GovernanceBranch, Purpose
from governance_flow.domain.errors import CorruptStream
from governance_flow.domain.events import SYSTEM, Cause, TransitionWitnessed
from governance_flow.domain.evolve import evolve
from governance_flow.domain.motion import Motion
from governance_flow.domain.states import (
    EDGES,
    HAND_OFF_MAP,
    STATE_SERVICE_MAP,
    EdgeKind,
    GovernanceState,
    admitted_delta,
    steps_undone,
)
from tests.support.motions import NOON, Scenario

S = GovernanceState

EVERY_EDGE = """
INTRODUCED   > DELIBERATING : advance
INTRODUCED   > TABLED       : review
INTRODUCED   > REJECTED     : review
INTRODUCED   > WITHDRAWN    : withdraw
DELIBERATING > RATIFIED     : advance
DELIBERATING > REJECTED     : advance review
DELIBERATING > TABLED       : advance review
DELIBERATING > INTRODUCED   : return
DELIBERATING > WITHDRAWN    : withdraw
RATIFIED     > PLANNING     : advance
RATIFIED     > TABLED       : review
RATIFIED     > REJECTED     : review
PLANNING     > EXECUTING    : advance
PLANNING     > DELIBERATING : return
PLANNING     > TABLED       : review
PLANNING     > REJECTED     : review
EXECUTING    > JUDGING      : advance
EXECUTING    > PLANNING     : return
EXECUTING    > TABLED       : review
EXECUTING    > REJECTED     : review
JUDGING      > WITNESSING   : advance
JUDGING      > EXECUTING    : return
JUDGING      > TABLED       : review
JUDGING      > REJECTED     : review
WITNESSING   > ACKNOWLEDGED : advance
WITNESSING   > JUDGING      : return
WITNESSING   > TABLED       : review
WITNESSING   > REJECTED     : review
TABLED       > DELIBERATING : advance
TABLED       > WITHDRAWN    : withdraw
"""

ALLOWED = {
    tuple(S(name) for name in edge.replace(" ", "").split(">")): set(kinds.split())
    for edge, kinds in (line.split(":") for line in EVERY_EDGE.strip().splitlines())
}
MOTIONS = {state: Scenario().reaching(state).motion for state in S}


def moved(source: S, target: S, kind: EdgeKind) -> TransitionWitnessed:
    return TransitionWitnessed(
        event_id=UUID(int=999),
        correlation_id=UUID(int=0),
        actor=SYSTEM,
        timestamp=NOON,
        from_state=source,
        to_state=target,
        cause=Cause(kind=kind, reason="because"),
        statement="",
    )


def test_there_are_eleven_states_and_the_table_names_no_other_edge() -> None:
    assert len(S) == 11
    assert {edge: {kind.value for kind in kinds} for edge, kinds in EDGES.items()} == ALLOWED


@pytest.mark.parametrize(("source", "target"), list(product(S, S)))
def test_a_stream_holds_the_edges_of_the_table_and_no_others(source: S, target: S) -> None:
    motion = MOTIONS[source]
    assert motion.state is source
    for kind in EdgeKind:
        event = moved(source, target, kind)
        if kind in ALLOWED.get((source, target), ()):
            assert evolve(motion, event, motion.id).state is target
        else:
            with pytest.raises(CorruptStream):
                evolve(motion, event, motion.id)


@pytest.mark.parametrize("state", [s for s in S if s is not S.PLANNING])
def test_a_transition_out_of_another_state_than_the_motions_is_corrupt(state: S) -> None:
    motion = MOTIONS[S.PLANNING]
    with pytest.raises(CorruptStream, match=f"moved out of {state}, but it is in PLANNING"):
        evolve(motion, moved(state, S.EXECUTING, EdgeKind.ADVANCE), motion.id)


def test_the_state_to_service_map_is_the_one_of_the_story() -> None:
    assert STATE_SERVICE_MAP == {
        "INTRODUCED": "conclave_service",
        "DELIBERATING": "conclave_service",
        "RATIFIED": "president_service",
        "PLANNING": "president_service",
        "EXECUTING": "duke_service",
        "JUDGING": "prince_service",
        "WITNESSING": "knight_witness_service",
    }


def test_the_hand_off_map_is_the_one_of_the_first_acceptance_criterion() -> None:
    assert HAND_OFF_MAP == {
        "INTRODUCED": "conclave_service",
        "DELIBERATING": "conclave_service",
        "RATIFIED": "president_service",
        "PLANNING": "duke_service",
        "EXECUTING": "prince_service",
        "JUDGING": "knight_witness_service",
        "WITNESSING": "conclave_service",
        "TABLED": "conclave_service",
    }


def test_every_service_acts_for_a_branch_and_the_earls_have_none_of_their_own() -> None:
    branches = [branch.value for branch in GovernanceBranch]
    assert branches == ["king", "conclave", "president", "duke", "earl", "prince", "knight"]
    assert set(SERVICE_BRANCH.values()) == set(GovernanceBranch) - {GovernanceBranch.EARL}


@pytest.mark.parametrize(("source", "target"), list(product(S, S)))
def test_a_place_is_held_from_deliberating_to_witnessing(source: S, target: S) -> None:
    holds = ["DELIBERATING", "RATIFIED", "PLANNING", "EXECUTING", "JUDGING", "WITNESSING"]
    assert admitted_delta(source, target) == (target in holds) - (source in holds)


@pytest.mark.parametrize("state", list(S))
def test_a_motion_that_has_ended_is_terminal_and_no_other(state: S) -> None:
    ended: Motion = MOTIONS[state]
    assert ended.terminal is (state in {"ACKNOWLEDGED", "REJECTED", "WITHDRAWN"})


@pytest.mark.parametrize(
    ("target", "undone"),
    [
        (S.INTRODUCED, "revise deliberate plan execute judge record acknowledge"),
        (S.TABLED, "deliberate plan execute judge record acknowledge"),
        (S.DELIBERATING, "deliberate plan execute judge record acknowledge"),
        (S.PLANNING, "plan execute judge record acknowledge"),
        (S.EXECUTING, "execute judge record acknowledge"),
        (S.JUDGING, "judge record acknowledge"),
    ],
)
def test_what_is_gone_back_to_is_undone_with_all_that_followed(target: S, undone: str) -> None:
    assert steps_undone(target) == {Purpose(name) for name in undone.split()}
