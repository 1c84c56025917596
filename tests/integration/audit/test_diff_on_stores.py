"""Comparing moments of a real history and telling its motions' stories, on every kind of store."""

from __future__ import annotations

from itertools import combinations_with_replacement

from governance_flow.application.audit.diff import Differ
from governance_flow.application.audit.explain.story import Kind, StoryTeller
from governance_flow.domain.states import TERMINAL_STATES, GovernanceState
from governance_flow.infrastructure.audit_log import SqlAuditLog
from tests.support.flows import PlayedFlow, opened
from tests.support.histories import SETTINGS, eventful

S = GovernanceState

COUNTERS = ("active_motions", "blocked_motions", "waiting_motions", "admitted")


def differ(played: PlayedFlow) -> Differ:
    return Differ(SqlAuditLog(played.flow.database), played.flow.mapper)


async def test_what_was_and_what_changed_make_what_is(store_address: str) -> None:
    async with opened(store_address, settings=SETTINGS) as played:
        await eventful(played)
        await played.halt("another storm")
        replayer, last = played.flow.audit.replayer, (await played.flow.store.head()).position
        positions = [0, 1, 2, *range(10, last, 17), last]
        moments = {p: await replayer.moment(position=p) for p in positions}
        status = {p: await replayer.status(moments[p]) for p in positions}
        for first, second in combinations_with_replacement(positions, 2):
            then, now = status[first], status[second]
            walked = await differ(played).diff(moments[first], moments[second], totals=True)
            found = await differ(played).diff(moments[first], moments[second], totals=False)
            assert found.motions == walked.motions
            assert found.topics == walked.topics
            assert found.pipeline_events == walked.pipeline_events
            for name in COUNTERS:
                before, after = found.counters()[name]
                assert getattr(then, name) + after - before == getattr(now, name)
                assert walked.counters()[name] == (getattr(then, name), getattr(now, name))
            for state, (before, after) in found.by_state().items():
                change = now.motions_by_state[state] - then.motions_by_state[state]
                assert after - before == change
            assert found.then.pipeline.halted is then.halted
            assert found.now.pipeline.halted is now.halted


async def test_times_are_as_good_as_positions(store_address: str) -> None:
    async with opened(store_address, settings=SETTINGS) as played:
        start = played.clock.now()
        made = await eventful(played)
        between = played.clock.now()
        played.clock.advance(60)
        await played.orchestrator.retry_motion(made.halted, "yan")
        replayer = played.flow.audit.replayer
        past, present = await replayer.moment(at=between), await replayer.moment()
        found = await differ(played).diff(past, present)
        [change] = found.motions
        assert change.motion_id == made.halted
        assert change.then is not None
        assert (change.then.blocked, change.now.blocked) == (True, False)
        assert [actor.id for actor in change.actors] == ["yan"]
        whole = await differ(played).diff(await replayer.moment(position=0), present)
        assert whole.introduced == sum(after for _, after in whole.by_state().values())
        assert past.as_of > start


async def test_every_motion_of_a_history_has_its_story(store_address: str) -> None:
    async with opened(store_address, settings=SETTINGS) as played:
        await eventful(played)
        log = SqlAuditLog(played.flow.database)
        moment = await played.flow.audit.replayer.moment()
        teller = StoryTeller(log, played.flow.mapper)
        kinds = set()
        async for motion in played.flow.audit.replayer.motions(moment):
            story = await teller.story(motion.motion_id, moment)
            events = await played.events(motion.motion_id)
            told = [entry.event for entry in story.entries if entry.kind is not Kind.PIPELINE]
            assert told == events
            assert (story.ending is not None) is (motion.current_state in TERMINAL_STATES)
            assert story.action == motion.next_action
            kinds |= {entry.kind for entry in story.entries}
    assert kinds == set(Kind) - {Kind.REFUSAL}
