"""What changed between two moments: of the pipeline, of the counters, and of each motion."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from governance_flow.application.audit import diff as diff_module
from governance_flow.application.audit.diff import Differ
from governance_flow.application.audit.differences import Diff, MotionDiff
from governance_flow.application.audit.replay import Replayer
from governance_flow.application.ports.audit import StoredRow
from governance_flow.domain.errors import CorruptStream, InvalidInput
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.events import (
    PIPELINE_ID,
    SYSTEM,
    AlertDelivered,
    ConfigurationAdopted,
    Event,
    PipelineHalted,
    PipelineResumed,
)
from governance_flow.domain.states import GovernanceState
from tests.support.audit import MAPPER, NOON_US, MemoryLog, doctored, log_of, without
from tests.support.clock import ManualClock
from tests.support.motions import INTRODUCER, NOON, Scenario, person, service

S = GovernanceState
E: dict[str, Any] = {
    "event_id": UUID(int=99),
    "correlation_id": UUID(int=99),
    "timestamp": NOON,
    "actor": SYSTEM,
}
CHAIR = person("the chair")
HALTED = PipelineHalted(**{**E, "actor": CHAIR}, reason="a storm")
RESUMED = PipelineResumed(**{**E, "actor": CHAIR}, reason="it is over")
ALERT = AlertDelivered(**E, alert_id="a", sink="post", attempts=1)


def adopted(digest: str, **settings: Any) -> ConfigurationAdopted:
    return ConfigurationAdopted(**E, digest=digest, configuration=settings)


def replayer(log: MemoryLog) -> Replayer:
    return Replayer(log, MAPPER, ManualClock(NOON + timedelta(hours=1)), places=10)


async def compared(log: MemoryLog, then: int, now: int, **options: Any) -> Diff:
    moments = [await replayer(log).moment(position=position) for position in (then, now)]
    return await Differ(log, MAPPER).diff(*moments, **options)


async def only(log: MemoryLog, then: int, now: int | None = None) -> MotionDiff:
    """Return what happened to the one motion there is."""
    found = await compared(log, then, now or len(log.rows))
    assert (found.changed, len(found.motions)) == (1, 1)
    every = Differ(log, MAPPER).motions(found.then, found.now)
    assert [motion async for motion in every] == found.motions
    return found.motions[0]


def pipeline_log(*events: Event) -> MemoryLog:
    """Return a log in which only the pipeline did anything."""
    stored = [MAPPER.to_stored(PIPELINE_ID, n, event) for n, event in enumerate(events, 1)]
    rows = [
        StoredRow(n, str(PIPELINE_ID), n, item.topic, item.state, NOON_US + n)
        for n, item in enumerate(stored, 1)
    ]
    return MemoryLog(rows, None)


def together(*flows: Scenario) -> MemoryLog:
    """Return the log of several motions, one after the other."""
    rows: list[StoredRow] = []
    for number, flow in enumerate(flows, 1):
        stream = str(UUID(int=1000 - number))
        rows += [
            row._replace(position=len(rows) + index, stream_id=stream)
            for index, row in enumerate(log_of(flow).rows, 1)
        ]
    return MemoryLog([r._replace(committed_at_us=NOON_US + r.position) for r in rows], None)


# -- One motion ------------------------------------------------------------------------------------


async def test_a_motion_is_new_and_its_whole_way_is_told() -> None:
    change = await only(log_of(Scenario().reaching(S.ACKNOWLEDGED)), 0)
    assert (change.is_new, change.finished, change.then) == (True, True, None)
    assert change.path == (
        S.INTRODUCED,
        S.DELIBERATING,
        S.RATIFIED,
        S.PLANNING,
        S.EXECUTING,
        S.JUDGING,
        S.WITNESSING,
        S.ACKNOWLEDGED,
    )
    assert (change.events, change.first_position, change.completions) == (20, 1, 6)
    assert change.actors[:2] == (person(INTRODUCER), service("conclave_service"))
    assert SYSTEM not in change.actors


async def test_only_what_happened_in_between_counts() -> None:
    flow = Scenario().reaching(S.PLANNING)
    before = len(flow.events)
    flow.succeeds(by=service("president_service"))
    change = await only(log_of(flow), before)
    assert change.then is not None
    assert (change.then.state, change.now.state) == (S.PLANNING, S.EXECUTING)
    assert (change.is_new, change.finished) == (False, False)
    assert change.path == (S.PLANNING, S.EXECUTING)
    assert change.actors == (service("president_service"),)
    assert (change.completions, change.failures, change.errors) == (1, 0, 0)
    assert (change.events, change.first_position) == (len(flow.events) - before, before + 1)


async def test_being_blocked_and_being_let_go_again_shows() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    running = len(flow.events)
    flow.fails("system_error", "the roof fell in")
    blocked = len(flow.events)
    flow.resolve(Resolution.RETRY, by="zoe")
    log = log_of(flow)
    change = await only(log, running, blocked)
    assert change.then is not None
    assert (change.then.blocked, change.now.blocked) == (False, True)
    assert change.now.blocking_issues == ("system_error: the roof fell in",)
    assert (change.failures, change.errors) == (1, 1)
    change = await only(log, blocked)
    assert change.then is not None
    assert (change.then.blocked, change.now.blocked) == (True, False)
    assert change.actors == (person("zoe"),)


async def test_refused_acts_and_amendments_show() -> None:
    flow = Scenario()
    flow.amend(title="Build a ferry")
    change = await only(log_of(flow), 1)
    assert change.amended
    assert change.now.title == "Build a ferry"
    flow = Scenario().reaching(S.EXECUTING)
    before = len(flow.events)
    flow.succeeds(by=person(INTRODUCER))
    change = await only(log_of(flow), before)
    assert (change.violations, change.amended, change.path) == (1, False, (S.EXECUTING,))


# -- The whole -------------------------------------------------------------------------------------


@pytest.mark.parametrize("totals", [None, True, False])
async def test_nothing_changed_from_a_moment_to_itself(totals: bool | None) -> None:
    log = log_of(Scenario().reaching(S.EXECUTING), HALTED)
    found = await compared(log, 7, 7, totals=totals)
    assert (found.events, found.changed, found.motions, found.pipeline_events) == (0, 0, [], [])
    assert (found.topics.total(), found.completions, found.failures) == (0, 0, 0)
    assert found.configuration() == []
    assert all(
        then == now for then, now in [*found.counters().values(), *found.by_state().values()]
    )


async def test_time_that_passes_without_an_event_changes_nothing() -> None:
    log = log_of(Scenario().reaching(S.EXECUTING))
    past = await replayer(log).moment(position=len(log.rows))
    present = await replayer(log).moment()
    assert present.as_of > past.as_of
    assert (await Differ(log, MAPPER).diff(past, present)).changed == 0


async def test_the_second_moment_may_not_come_first() -> None:
    log = log_of(Scenario().reaching(S.PLANNING))
    with pytest.raises(InvalidInput, match=r"position 2.* comes before .*position 5.*earlier one"):
        await compared(log, 5, 2)
    past = await replayer(log).moment(position=len(log.rows))
    present = await replayer(log).moment()
    with pytest.raises(InvalidInput, match="comes before"):
        await Differ(log, MAPPER).diff(present, past)
    with pytest.raises(InvalidInput, match="comes before"):
        _ = [motion async for motion in Differ(log, MAPPER).motions(present, past)]


async def test_motions_are_counted_then_and_now() -> None:
    log = together(Scenario().reaching(S.REJECTED), Scenario(), Scenario().reaching(S.PLANNING))
    found = await compared(log, 1, len(log.rows), totals=True)
    assert found.complete
    assert found.by_state()[S.INTRODUCED] == (1, 1)
    assert found.by_state()[S.REJECTED] == (0, 1)
    assert found.counters() == {
        "active_motions": (1, 2),
        "finished_motions": (0, 1),
        "blocked_motions": (0, 0),
        "waiting_motions": (1, 1),
        "admitted": (0, 1),
    }
    assert (found.introduced, found.finished, found.changed) == (2, 1, 3)


async def test_without_totals_only_what_was_touched_is_read_and_the_change_is_the_same() -> None:
    log = together(Scenario().reaching(S.ACKNOWLEDGED), Scenario().reaching(S.PLANNING))
    # Whoever reads the first motion, which did not change, finds out.
    spoilt = doctored(log, 3, state=b"{")
    found = await compared(spoilt, 20, len(log.rows), totals=False)
    assert not found.complete
    assert found.by_state()[S.ACKNOWLEDGED] == (0, 0)
    assert found.by_state()[S.PLANNING] == (0, 1)
    with pytest.raises(CorruptStream):
        await compared(spoilt, 20, len(log.rows))


async def test_from_the_beginning_every_motion_is_counted_anyway() -> None:
    log = together(Scenario().reaching(S.REJECTED), Scenario())
    assert (await compared(log, 0, len(log.rows), totals=False)).complete


async def test_a_long_span_is_walked_without_a_list_of_what_was_touched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = together(*(Scenario().reaching(S.PLANNING) for _ in range(4)))
    short = await compared(log, 3, len(log.rows), totals=False)
    monkeypatch.setattr(diff_module, "WALKED_EVENTS_MAX", 5)
    long = await compared(log, 3, len(log.rows), totals=False)
    assert (short.complete, long.complete) == (False, True)
    assert long.motions == short.motions
    assert long.topics == short.topics
    assert long.completions == short.completions
    assert not (await compared(log, 26, 28)).complete


async def test_the_first_motions_that_changed_are_shown_in_that_order() -> None:
    log = together(*(Scenario() for _ in range(5)))
    for totals in (True, False):
        found = await compared(log, 1, 5, totals=totals, motions_max=3)
        assert [change.first_position for change in found.motions] == [2, 3, 4]
        assert found.changed == 4


async def test_error_types_that_branches_make_up_are_counted_as_one() -> None:
    odd, known = (Scenario().reaching(S.EXECUTING) for _ in range(2))
    odd.fails("the moon")
    known.fails("system_error")
    log = together(odd, known)
    assert dict((await compared(log, 0, len(log.rows))).errors) == {"other": 1, "system_error": 1}


async def test_progress_ends_at_what_there_is_to_read() -> None:
    log = together(*(Scenario().reaching(S.PLANNING) for _ in range(3)))
    last = len(log.rows)
    for totals, total in ((True, last), (False, last - 10)):
        seen: list[tuple[int, int]] = []
        await compared(log, 10, last, totals=totals, progress=lambda *step: seen.append(step))  # noqa: B023 - called within the round
        assert seen[-1] == (total, total)


# -- The pipeline ----------------------------------------------------------------------------------


@pytest.mark.parametrize("totals", [True, False])
async def test_halts_and_resumptions_are_told_one_by_one_and_alerts_are_counted(
    totals: bool,
) -> None:
    log = log_of(Scenario().reaching(S.PLANNING), HALTED, ALERT, RESUMED, HALTED)
    found = await compared(log, 2, len(log.rows), totals=totals)
    assert [news.event for news in found.pipeline_events] == [RESUMED, HALTED]
    assert [news.position for news in found.pipeline_events] == [4, 5]
    assert found.topics["ALERT_DELIVERED"] == 1
    assert (found.then.pipeline.halted, found.now.pipeline.halted) == (True, True)
    assert found.changed == 1


async def test_settings_that_are_not_what_they_were_are_named() -> None:
    before = adopted("a", places=5, branches={"duke": {"kind": "python"}, "king": 1}, gone=True)
    after = adopted("b", places=7, branches={"duke": {"kind": "http"}, "king": 1}, new=[1])
    found = await compared(pipeline_log(before, after), 1, 2)
    assert found.configuration() == [
        ("branches.duke.kind", "python", "http"),
        ("gone", True, None),
        ("new", None, [1]),
        ("places", 5, 7),
    ]
    assert (await compared(pipeline_log(before, after, before), 1, 3)).configuration() == []


async def test_many_halts_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diff_module, "PIPELINE_EVENTS_MAX", 3)
    log = pipeline_log(*[HALTED, RESUMED] * 4)
    found = await compared(log, 0, 8)
    assert [news.position for news in found.pipeline_events] == [1, 2, 3]
    assert found.topics == {"PIPELINE_HALTED": 4, "PIPELINE_RESUMED": 4}


# -- A log that was doctored -----------------------------------------------------------------------

LOG = log_of(Scenario().reaching(S.ACKNOWLEDGED), HALTED)


def swapped(log: MemoryLog, one: int, other: int) -> MemoryLog:
    """Return the log with two positions given to each other's events."""
    swap = {one: other, other: one}
    rows = [row._replace(position=swap.get(row.position, row.position)) for row in log.rows]
    return MemoryLog(rows, log.head)


@pytest.mark.parametrize("totals", [True, False])
@pytest.mark.parametrize(
    "log",
    [
        doctored(LOG, 8, stream_id="no id"),
        doctored(LOG, 8, state=b"{"),
        doctored(LOG, 8, topic=HALTED.topic, state=HALTED.model_dump_json().encode()),
        without(LOG, 8),
        without(LOG, 2),
        swapped(LOG, 8, 9),
    ],
)
async def test_what_cannot_be_followed_is_not_compared(log: MemoryLog, totals: bool) -> None:
    with pytest.raises(CorruptStream):
        await compared(log, 1, len(LOG.rows), totals=totals)
