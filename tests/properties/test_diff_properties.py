"""Whatever happens: what was, and what changed, make what is; and every motion's story is told."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from governance_flow.application.audit.diff import Differ
from governance_flow.application.audit.differences import Diff
from governance_flow.application.audit.explain.story import StoryTeller
from governance_flow.application.audit.replay import Moment, Replayer
from governance_flow.application.ports.audit import StoredRow
from governance_flow.application.ports.flow_orchestrator import PipelineStatus
from governance_flow.domain.states import TERMINAL_STATES
from tests.properties.test_motion_properties import Command, live, lives
from tests.support.audit import MAPPER, NOON_US, MemoryLog, log_of
from tests.support.clock import ManualClock
from tests.support.motions import MOTION_ID, NOON, Scenario

COUNTERS = ("active_motions", "blocked_motions", "waiting_motions", "admitted")


def mingled(lifes: list[list[Command]], data: st.DataObject) -> MemoryLog:
    """Return a log in which several motions' events stand among each other's."""
    waiting: list[list[StoredRow]] = []
    for number, commands in enumerate(lifes):
        flow = Scenario()
        live(flow, commands)
        stream = str(UUID(int=MOTION_ID.int + number))
        waiting.append([row._replace(stream_id=stream) for row in reversed(log_of(flow).rows)])
    rows: list[StoredRow] = []
    while left := [rows_of_one for rows_of_one in waiting if rows_of_one]:
        row = data.draw(st.sampled_from(left)).pop()
        position = len(rows) + 1
        # Some are committed at the same time.
        rows.append(row._replace(position=position, committed_at_us=NOON_US + position // 3))
    return MemoryLog(rows, None)


def replayer(log: MemoryLog) -> Replayer:
    return Replayer(log, MAPPER, ManualClock(NOON + timedelta(days=400)), places=100)


def check_counters(found: Diff, then: PipelineStatus, now: PipelineStatus) -> None:
    """What was, and the changes, make what is."""
    changes = {name: after - before for name, (before, after) in found.counters().items()}
    for name in COUNTERS:
        assert getattr(then, name) + changes[name] == getattr(now, name)
    for state, (before, after) in found.by_state().items():
        assert then.motions_by_state[state] + after - before == now.motions_by_state[state]
    assert changes["active_motions"] + changes["finished_motions"] == found.introduced
    assert changes["finished_motions"] == found.finished
    if found.complete:
        shown = {name: pair[0] for name, pair in found.counters().items()}
        assert all(shown[name] == getattr(then, name) for name in COUNTERS)


@settings(max_examples=40)
@given(lifes=st.lists(lives(), min_size=1, max_size=3), data=st.data())
async def test_what_was_and_what_changed_make_what_is(
    lifes: list[list[Command]], data: st.DataObject
) -> None:
    log = mingled(lifes, data)
    last = len(log.rows)
    first = data.draw(st.integers(0, last))
    second = data.draw(st.integers(first, last))
    then, now = [await replayer(log).moment(position=p) for p in (first, second)]
    before, after = [await replayer(log).status(moment) for moment in (then, now)]
    differ = Differ(log, MAPPER)
    walked = await differ.diff(then, now, totals=True)
    for found in (walked, await differ.diff(then, now, totals=False)):
        check_counters(found, before, after)
        assert found.motions == walked.motions
        assert (found.topics, found.errors) == (walked.topics, walked.errors)
        assert found.topics.total() == found.events == second - first
    await check_motions(log, walked)


async def check_motions(log: MemoryLog, found: Diff) -> None:
    """Each motion that changed was what it was and is what it is; no other one changed."""
    then, now = await shown(log, found.then), await shown(log, found.now)
    changed = {change.motion_id for change in found.motions}
    assert {motion_id for motion_id in now if now[motion_id] != then.get(motion_id)} == changed
    for change in found.motions:
        assert (None if change.then is None else change.then.version) == then.get(change.motion_id)
        assert change.now.version == now[change.motion_id]
        assert change.events == now[change.motion_id] - then.get(change.motion_id, 0)
        assert change.path[-1] is change.now.state
        if change.then is not None:
            assert change.path[0] is change.then.state


async def shown(log: MemoryLog, moment: Moment) -> dict[UUID, int]:
    """Return the version of each motion there was."""
    return {m.motion_id: m.version async for m in replayer(log).motions(moment)}


@settings(max_examples=40)
@given(lifes=st.lists(lives(), min_size=1, max_size=2), data=st.data())
async def test_two_spans_together_are_the_whole_span(
    lifes: list[list[Command]], data: st.DataObject
) -> None:
    log = mingled(lifes, data)
    last = len(log.rows)
    middle = data.draw(st.integers(0, last))
    past, between, present = [await replayer(log).moment(position=p) for p in (0, middle, last)]
    differ = Differ(log, MAPPER)
    first, second = await differ.diff(past, between), await differ.diff(between, present)
    whole = await differ.diff(past, present)
    assert first.topics + second.topics == whole.topics
    assert first.introduced + second.introduced == whole.introduced
    assert first.finished + second.finished == whole.finished
    assert first.violations + second.violations == whole.violations
    assert first.completions + second.completions == whole.completions
    assert {name: pair[1] for name, pair in first.counters().items()} == {
        name: pair[0] for name, pair in second.counters().items()
    }


@settings(max_examples=60)
@given(commands=lives())
async def test_every_life_is_a_story_that_can_be_told(commands: list[Command]) -> None:
    flow = Scenario()
    live(flow, commands)
    log = log_of(flow)
    story = await StoryTeller(log, MAPPER).story(MOTION_ID, await replayer(log).moment())
    assert [entry.version for entry in story.entries] == list(range(1, len(flow.events) + 1))
    assert story.state is flow.motion.state
    assert (story.ending is None) is (story.state not in TERMINAL_STATES)
    assert (story.coming is None) is (story.state in TERMINAL_STATES)
    assert story.steps[-1].state is story.state
    for step, following in zip(story.steps, story.steps[1:], strict=False):
        assert step.left_at == following.entered_at
    for entry in story.entries:
        assert entry.told.strip() == entry.told
        assert "None" not in entry.told
        assert "\n" not in entry.told
