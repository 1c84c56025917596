"""The numbers that are watched from outside, from a pipeline with everything in it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from governance_flow.domain.states import GovernanceState
from tests.support.flows import opened
from tests.support.histories import PLACES, SETTINGS, eventful

S = GovernanceState


async def test_health_tells_what_the_status_tells(store_address: str) -> None:
    async with opened(store_address, settings=SETTINGS) as played:
        await eventful(played)
        status = await played.orchestrator.get_pipeline_status()
        health = await played.flow.health.snapshot()
        age_seconds = status.oldest_motion_age.total_seconds()
    assert health.head.position == health.counts.position == status.position
    assert health.counts.by_state == status.motions_by_state
    assert (health.head.admitted, health.places) == (status.admitted, PLACES)
    assert health.counts.blocked == status.blocked_motions == 1
    assert health.counts.waiting == status.waiting_motions > 0
    assert health.oldest_motion_age_seconds == age_seconds > 0
    assert health.totals.transitions[S.EXECUTING, S.JUDGING] > 0
    assert health.totals.retries["president_service"] == 1
    assert health.totals.time_in_state[S.INTRODUCED].left > 0
    assert health.assignments.open > 0
    assert health.parked == 0


async def test_a_read_model_that_is_behind_is_not_hidden(store_address: str) -> None:
    """Asking how things stand must not be what brings them up to date."""
    async with opened(store_address) as played:
        await played.introduce()
        await played.orchestrator.get_pipeline_status()
        played.clock.advance(90)
        await played.introduce()
        health = await played.flow.health.snapshot()
        again = await played.flow.health.snapshot()
        assert (health.counts.behind_events, health.counts.behind_seconds) == (1, 90)
        assert again.counts == health.counts
        await played.orchestrator.get_pipeline_status()
        health = await played.flow.health.snapshot()
        assert (health.counts.behind_events, health.counts.behind_seconds) == (0, 0)


async def test_an_empty_store_is_healthy(store_address: str) -> None:
    async with opened(store_address) as played:
        health = await played.flow.health.snapshot()
    assert health.oldest_motion_age_seconds == 0
    assert health.assignments.open == 0


async def test_the_whole_is_rendered_for_prometheus(sqlite_address: str) -> None:
    async with opened(sqlite_address) as played:
        for _ in range(3):
            await played.introduce()
        await played.idle()
        text = await played.flow.metrics.render(played.flow.health.snapshot)
    found = {
        (
            sample.name.removeprefix("governance_flow_"),
            *sorted(sample.labels.values()),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["motions", "ACKNOWLEDGED"] == 3
    assert found["transitions_total", "ACKNOWLEDGED", "WITNESSING"] == 3
    assert found["log_position",] == found["appended_events_total",] > 30
    assert found["branch_call_duration_seconds_count", "duke_service", "success"] == 3
    assert found["append_duration_seconds_count",] > 0
