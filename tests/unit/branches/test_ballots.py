"""Counting: exact, whatever the numbers."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance_flow.branches.ballots import Tally, decide, exact
from governance_flow.domain.events import Ballot
from governance_flow.domain.states import GovernanceState as S

counts = st.integers(min_value=0, max_value=10**6)
tallies = st.builds(Tally, counts, counts, counts)
thresholds = st.fractions(min_value=0, max_value=1, max_denominator=1000).filter(lambda t: t < 1)
HALF = Fraction(1, 2)


@given(st.lists(st.sampled_from(Ballot)))
def test_every_ballot_is_counted_once_under_its_own_vote(ballots: list[Ballot]) -> None:
    tally = Tally.of(ballots)
    assert tally == Tally(
        ballots.count(Ballot.YES), ballots.count(Ballot.NO), ballots.count(Ballot.ABSTAIN)
    )
    assert tally.cast == len(ballots)


@given(tallies)
def test_by_default_a_motion_passes_exactly_if_more_say_yes_than_no(tally: Tally) -> None:
    state = decide(tally, quorum=0, threshold=HALF).state
    if tally.cast == 0:
        assert state is S.TABLED
    else:
        assert (state is S.RATIFIED) == (tally.yes > tally.no)
        assert state in (S.RATIFIED, S.REJECTED)


@given(tallies, counts, thresholds)
def test_a_vote_below_the_quorum_is_tabled_and_no_other_is(
    tally: Tally, quorum: int, threshold: Fraction
) -> None:
    state = decide(tally, quorum=quorum, threshold=threshold).state
    assert (state is S.TABLED) == (tally.cast < max(quorum, 1))


@given(tallies, thresholds, counts)
def test_abstentions_never_change_a_vote_that_counts(
    tally: Tally, threshold: Fraction, more: int
) -> None:
    if tally.cast == 0:
        return
    swelled = Tally(tally.yes, tally.no, tally.abstain + more)
    before = decide(tally, quorum=0, threshold=threshold).state
    assert decide(swelled, quorum=0, threshold=threshold).state is before


@given(tallies, thresholds)
def test_one_more_yes_never_hurts_and_one_more_no_never_helps(
    tally: Tally, threshold: Fraction
) -> None:
    def passes(tally: Tally) -> bool:
        return decide(tally, quorum=0, threshold=threshold).state is S.RATIFIED

    assert passes(Tally(tally.yes + 1, tally.no, tally.abstain)) >= passes(tally)
    assert passes(Tally(tally.yes, tally.no + 1, tally.abstain)) <= passes(tally)


@pytest.mark.parametrize(
    ("yes", "no", "threshold", "state"),
    [
        (3, 2, 0.6, S.REJECTED),  # exactly three fifths is not more
        (7, 3, 0.7, S.REJECTED),  # the binary 0.7 is a shade less than seven tenths
        (71, 29, 0.7, S.RATIFIED),
        (2, 1, 0.6666, S.RATIFIED),
        (1, 0, 0.0, S.RATIFIED),
        (0, 1, 0.0, S.REJECTED),
        (10**17 + 1, 10**17, 0.5, S.RATIFIED),  # floating point would see a tie
    ],
)
def test_the_threshold_is_exact(yes: int, no: int, threshold: float, state: S) -> None:
    assert decide(Tally(yes, no, 0), quorum=0, threshold=exact(threshold)).state is state


def test_only_abstentions_carry_nothing() -> None:
    assert decide(Tally(0, 0, 5), quorum=5, threshold=HALF).state is S.REJECTED


@pytest.mark.parametrize(
    ("tally", "quorum", "reason"),
    [
        (Tally(0, 0, 0), 0, "no ballots were cast"),
        (Tally(2, 0, 1), 4, "quorum missed: 3 ballots were cast, 4 are needed"),
        (Tally(2, 2, 1), 0, "not carried (a tie): 2 yes, 2 no, 1 abstained"),
        (Tally(1, 2, 0), 0, "not carried: 1 yes, 2 no, 0 abstained"),
        (Tally(2, 1, 0), 0, "carried: 2 yes, 1 no, 0 abstained"),
    ],
)
def test_the_verdict_says_why(tally: Tally, quorum: int, reason: str) -> None:
    assert decide(tally, quorum=quorum, threshold=HALF).reason == reason
