"""Counting ballots, exactly: pure functions, no floating point."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from governance_flow.domain.events import Ballot
from governance_flow.domain.states import GovernanceState


@dataclass(frozen=True, slots=True)
class Tally:
    """How many members voted how."""

    yes: int
    no: int
    abstain: int

    @classmethod
    def of(cls, ballots: Iterable[Ballot]) -> Tally:
        """Count the ballots."""
        counted = Counter(ballots)
        return cls(counted[Ballot.YES], counted[Ballot.NO], counted[Ballot.ABSTAIN])

    @property
    def cast(self) -> int:
        """All ballots, abstentions included: what a quorum asks for."""
        return self.yes + self.no + self.abstain

    def __str__(self) -> str:
        return f"{self.yes} yes, {self.no} no, {self.abstain} abstained"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a vote sends the motion, and why."""

    state: GovernanceState
    reason: str


def decide(tally: Tally, *, quorum: int, threshold: Fraction) -> Verdict:
    """Say what follows from a tally.

    Tabled if no ballot was cast, or fewer than ``quorum``; ratified if yes / (yes + no) is more
    than ``threshold``; rejected otherwise, a tie at one half included. Abstentions count for the
    quorum only.
    """
    if tally.cast == 0:
        return Verdict(GovernanceState.TABLED, "no ballots were cast")
    if tally.cast < quorum:
        reason = f"quorum missed: {tally.cast} ballots were cast, {quorum} are needed"
        return Verdict(GovernanceState.TABLED, reason)
    if tally.yes > threshold * (tally.yes + tally.no):
        return Verdict(GovernanceState.RATIFIED, f"carried: {tally}")
    tie = " (a tie)" if tally.yes == tally.no > 0 else ""
    return Verdict(GovernanceState.REJECTED, f"not carried{tie}: {tally}")


def exact(threshold: float) -> Fraction:
    """Return the number as it is written in decimal: 0.6 is three fifths, not a shade less."""
    return Fraction(str(threshold))
