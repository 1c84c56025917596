"""Whatever happens, in whatever order and batches, the read model says what the events say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from governance_flow.application.summaries import summarise
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.errors import GovernanceFlowError
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.states import TERMINAL_STATES, GovernanceState
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from tests.support.assembly import Assembly, motion_id_of
from tests.support.clock import ManualClock
from tests.support.followers import Follower, contents, faults_of, follower_of
from tests.support.motions import Scenario, failing_knight, honest_knight, person

S = GovernanceState
ERROR_TYPES = (
    "validation_error",
    "permission_error",
    "compliance_error",
    "system_error",
    "timeout_error",
    "of our own",
    None,
)


def with_a_sleeping_knight(act: Callable[[Scenario], object]) -> Callable[[Scenario], None]:
    def what(motion: Scenario) -> None:
        motion.knight = failing_knight
        try:
            act(motion)
        finally:
            motion.knight = honest_knight

    return what


acts: st.SearchStrategy[Callable[[Scenario], object]] = st.one_of(
    st.just(lambda motion: motion.proceed()),
    st.just(lambda motion: motion.succeeds()),
    st.just(lambda motion: motion.succeeds()),
    st.sampled_from(list(S)).map(lambda to: lambda motion: motion.succeeds(next_state=to)),
    st.sampled_from(ERROR_TYPES).map(lambda kind: lambda motion: motion.fails(kind)),
    st.sampled_from(["resume", "return", "table", "reject", "?"]).map(
        lambda decision: lambda motion: motion.review(decision)
    ),
    st.sampled_from(list(Resolution)).map(lambda decision: lambda motion: motion.resolve(decision)),
    st.sampled_from(list(GovernanceBranch)).map(
        lambda branch: lambda motion: motion.report(branch, by=person("ada"))
    ),
    st.just(lambda motion: motion.expire()),
    st.just(lambda motion: motion.amend(title="Build two bridges")),
    st.just(lambda motion: motion.withdraw()),
    st.just(with_a_sleeping_knight(lambda motion: motion.succeeds())),
    # The routing stays open: it is blocked beside it.
    st.just(with_a_sleeping_knight(lambda motion: motion.withdraw())),
)
steps = st.one_of(
    st.tuples(st.just("act"), st.integers(1, 4), acts),
    st.tuples(st.just("act"), st.integers(1, 4), acts),
    st.tuples(st.just("act"), st.integers(1, 4), acts),
    st.tuples(st.just("introduce"), st.sampled_from(list(S)), st.none()),
    st.tuples(st.just("wait"), st.integers(0, 100 * 3600), st.none()),
    st.tuples(st.just("halt or resume"), st.none(), st.none()),
    st.tuples(st.just("spoil"), st.integers(1, 4), st.none()),
    st.tuples(st.just("follow"), st.integers(1, 9), st.none()),
)


class History:
    """A short life of the pipeline, as Hypothesis makes it up."""

    def __init__(self, assembly: Assembly, follower: Follower) -> None:
        self.assembly = assembly
        self.follower = follower
        self.spoiled: set[int] = set()

    async def go(self, what: str, first: Any, act: Any) -> None:
        assembly = self.assembly
        match what:
            case "introduce":
                # While the pipeline is halted a motion gets no further.
                await assembly.introduce(S.INTRODUCED if assembly.pipeline.halted else first)
            case "act" if first <= len(assembly.motions) and first not in self.spoiled:
                await assembly.act(motion_id_of(first), lambda motion: attempt(motion, act))
            case "wait":
                assembly.clock.advance(first)
            case "halt or resume" if assembly.pipeline.halted:
                await assembly.resume()
            case "halt or resume":
                await assembly.halt()
            case "spoil" if first == 1 and assembly.motions:
                self.spoiled.add(first)
                await assembly.spoil(motion_id_of(first))
            case "follow":
                await self.follower.runner.run_once(limit=first)


def attempt(motion: Scenario, act: Callable[[Scenario], object]) -> None:
    """Do it, if the rules allow it now."""
    try:
        act(motion)
    except (GovernanceFlowError, AssertionError, LookupError):
        motion.news = []


@settings(max_examples=50)
@given(st.lists(steps, min_size=20, max_size=60))
def test_rows_and_counters_never_drift(script: list[tuple[str, Any, Any]]) -> None:
    asyncio.run(live_through(script))


async def live_through(script: list[tuple[str, Any, Any]]) -> None:
    clock = ManualClock()
    database = open_database("memory:", clock=clock)
    store = GroupCommitEventStore(database)
    try:
        follower = follower_of(database, store)
        await follower.runner.prepare()
        history = History(Assembly(store, clock), follower)
        for what, first, act in script:
            await history.go(what, first, act)
        await follower.read_model.catch_up((await store.head()).position)
        await check_counters(history)
        faults = await faults_of(database, store)
        assert {fault.expected for fault in faults} <= {"followed to the end"}
        assert {fault.motion_id for fault in faults} == {motion_id_of(n) for n in history.spoiled}
        # And building it anew comes to the same.
        before = await contents(database)
        for name in follower.rebuilder.names:
            await follower.rebuilder.rebuild(name, limit=7)
        after = await contents(database, generation=2)
        for table, rows in before.items():
            if table.endswith("_counters"):
                # A counter that went up and down again may be zero or absent.
                rows[:] = [row for row in rows if row[1]]
                after[table.replace("_1", "_2")][:] = [
                    row for row in after[table.replace("_1", "_2")] if row[1]
                ]
            if table.startswith(("motions", "activity")):
                assert after[table.replace("_1", "_2")] == rows
    finally:
        await store.close()
        await database.close()


async def check_counters(history: History) -> None:
    """Count without the help of anything in the read model."""
    clock = history.assembly.clock
    counts = await history.follower.read_model.counts(since=clock.now() - timedelta(days=1))
    # A spoiled motion is not acted upon any more: it counts as what it was.
    motions = [
        summarise(scenario.motion, history.assembly.pipeline)
        for scenario in history.assembly.motions.values()
    ]
    assert sum(counts.by_state.values()) == len(motions)
    for state in S:
        assert counts.by_state[state] == sum(motion.state is state for motion in motions)
    assert counts.blocked == sum(motion.blocked for motion in motions)
    assert counts.waiting == sum(motion.waiting for motion in motions)
    active = [m.introduced_at for m in motions if m.state not in TERMINAL_STATES]
    assert counts.oldest_introduced_at == min(active, default=None)
