"""How much is measured: a full run, and one that only shows that everything works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """How many of everything. Times are in seconds."""

    rounds: int
    """How often the interleaved parts take turns."""

    motions: int
    """Motions that a throughput run drives from the docket to the end."""

    in_flight: int
    """Motions between admission and end at any time, and assignments a worker holds."""

    fleets: tuple[int, ...]
    """Numbers of worker processes that share one store, besides one alone."""

    fleet_rounds: int
    """Rounds of those: each is as long as the run of one process."""

    peer_workflows: int
    """Workflows that a throughput run of the peer takes to the end."""

    peer_trial_workflows: int
    """Workflows with which the peer's set-ups are compared, to use the quickest."""

    limit_transactions: int
    """Transactions of 400 rows that a run against the limit writes."""

    recorder_motions: int
    """Motions whose events the library's own recorder writes, one append at a time."""

    lone_motions: int
    """Motions a round that go through all seven steps one after the other, each alone."""

    half_load_seconds: float
    """How long a round of motions arriving at half the rate that one worker can take is."""

    growth_motions: tuple[int, ...]
    """Motions in the stores that are compared, in ascending order."""

    growth_block: int
    """Motions that are really driven, and then copied until there are enough."""

    growth_rounds: int
    """Rounds of questions, put to the stores in turns."""

    growth_asked: int
    """How often each question is put in a round."""

    memory_motions: int
    """Motions a worker drives before its memory is looked at."""

    replay_seconds_max: float
    """How long a verification or a rebuild may take; what it has read by then counts."""

    long_motion_events: int
    """Events of the one long motion that is loaded cold."""

    cold_loads: int
    """How often it is loaded."""


FULL = Scale(
    rounds=3,
    motions=3_000,
    in_flight=500,
    fleets=(2, 4),
    fleet_rounds=2,
    peer_workflows=500,
    peer_trial_workflows=100,
    limit_transactions=100,
    recorder_motions=400,
    lone_motions=20,
    half_load_seconds=3.0,
    growth_motions=(1_000, 10_000, 100_000),
    growth_block=500,
    growth_rounds=3,
    growth_asked=20,
    memory_motions=300,
    replay_seconds_max=25.0,
    long_motion_events=1_000,
    cold_loads=10,
)

QUICK = Scale(
    rounds=1,
    motions=6,
    in_flight=500,
    fleets=(2,),
    fleet_rounds=1,
    peer_workflows=6,
    peer_trial_workflows=2,
    limit_transactions=2,
    recorder_motions=2,
    lone_motions=2,
    half_load_seconds=0.2,
    growth_motions=(5, 10, 15),
    growth_block=5,
    growth_rounds=1,
    growth_asked=2,
    memory_motions=2,
    replay_seconds_max=5.0,
    long_motion_events=110,
    cold_loads=2,
)
