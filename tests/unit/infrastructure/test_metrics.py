"""What Prometheus is told: names, units, help and labels as it wants them, and right numbers."""

from __future__ import annotations

import asyncio
import re
import shutil
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from governance_flow.application.ports.assignments import AssignmentCounts
from governance_flow.application.ports.backlog import Backlog
from governance_flow.application.ports.event_store import Head
from governance_flow.application.ports.metrics import Metrics
from governance_flow.application.ports.read_model import (
    ActivityTotals,
    PipelineCounts,
    TimeInState,
)
from governance_flow.application.services.health import HealthSnapshot
from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.domain.states import EDGES, GovernanceState
from governance_flow.infrastructure.http_metrics import (
    DENIAL_REASONS,
    METHODS,
    STATUS_CLASSES,
)
from governance_flow.infrastructure.metrics import REASONS, PrometheusMetrics

S = GovernanceState
MOTION_ROUTE = "/api/v1/motions/{motion_id}"
NOT_BASE_UNITS = re.compile(r"_(milliseconds|ms|minutes|hours|days|us|kilobytes|percent)(_|$)")

SNAPSHOT = HealthSnapshot(
    head=Head(position=120, committed_at_us=5, halt_epoch=3, halted=True, admitted=7),
    places=100,
    counts=PipelineCounts(
        position=100,
        behind_events=20,
        behind_seconds=1.5,
        by_state={S.PLANNING: 4, S.TABLED: 2},
        blocked=3,
        waiting=5,
        oldest_introduced_at=datetime(2026, 1, 1, tzinfo=UTC),
        completions=1,
        failures=2,
        finished=3,
    ),
    totals=ActivityTotals(
        transitions={(S.PLANNING, S.EXECUTING): 9},
        errors={("timeout_error", "retry_with_backoff"): 4, ("other", "halt_and_alert"): 1},
        retries={"duke_service": 6},
        violations={"collapsed_role": 2},
        time_in_state={S.PLANNING: TimeInState(seconds=90.5, left=9)},
    ),
    assignments=AssignmentCounts(open=11, leased=2),
    parked=1,
    oldest_motion_age_seconds=3600.0,
    backlog=Backlog(
        work_overdue_seconds=8.5,
        docket_wait_seconds=70.0,
        alerts_undelivered=9,
        checkpoint_age_seconds=12.25,
        checkpoint_unsigned_events=6,
    ),
)


async def snapshot() -> HealthSnapshot:
    return SNAPSHOT


def busy() -> PrometheusMetrics:
    metrics = PrometheusMetrics()
    metrics.appended(group_size=3, events=7, seconds=0.02)
    metrics.appended(group_size=1, events=2, seconds=0.004)
    metrics.performed("duke_service", "success", 0.3)
    metrics.performed("duke_service", "failure", 2.0)
    metrics.refused("LeaseLost")
    metrics.http.serves([MOTION_ROUTE])
    metrics.http.answered(MOTION_ROUTE, "GET", 200, 0.004)
    metrics.http.answered(MOTION_ROUTE, "GET", 304, 0.002)
    metrics.http.answered(None, "GET", 404, 0.001)
    metrics.http.denied("expired")
    return metrics


async def families(metrics: PrometheusMetrics | None = None) -> dict[str, Metric]:
    text = await (metrics or busy()).render(snapshot)
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(found: dict[str, Metric], name: str, **labels: str) -> float:
    [sample] = [
        sample
        for family in found.values()
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return sample.value


async def test_it_is_the_port() -> None:
    metrics: Metrics = PrometheusMetrics()
    metrics.refused("Refused")


async def test_every_metric_is_named_as_prometheus_advises() -> None:
    for family in (await families()).values():
        assert family.name.startswith("governance_flow_")
        assert re.fullmatch(r"[a-z_]+", family.name), family.name
        assert not NOT_BASE_UNITS.search(family.name), family.name
        assert family.documentation.endswith(".")
        assert family.type in ("counter", "gauge", "histogram", "summary")
        assert not family.name.endswith(("_count", "_sum", "_bucket", f"_{family.type}"))
        if family.type in ("histogram", "summary"):
            assert family.name.endswith(("_seconds", "_size")), family.name
        for sample in family.samples:
            assert (family.type == "counter") == sample.name.endswith("_total"), sample.name
            assert not sample.name.endswith("_created")


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
async def test_promtool_has_nothing_to_say() -> None:
    text = await busy().render(snapshot)
    pipe = asyncio.subprocess.PIPE
    checked = await asyncio.create_subprocess_exec(
        "promtool", "check", "metrics", stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await checked.communicate(text.encode())
    assert (checked.returncode, said) == (0, b"")


async def test_what_the_store_knows_is_told() -> None:
    found = await families()
    prefix = "governance_flow_"
    for name, labels, expected in [
        ("motions", {"state": "PLANNING"}, 4),
        ("motions", {"state": "TABLED"}, 2),
        ("motions", {"state": "REJECTED"}, 0),
        ("motions_blocked", {}, 3),
        ("motions_waiting", {}, 5),
        ("oldest_motion_age_seconds", {}, 3600),
        ("places_taken", {}, 7),
        ("places", {}, 100),
        ("halted", {}, 1),
        ("assignments_open", {}, 11),
        ("assignments_leased", {}, 2),
        ("log_position", {}, 120),
        ("projection_position", {}, 100),
        ("projection_lag_events", {}, 20),
        ("projection_lag_seconds", {}, 1.5),
        ("projection_parked_motions", {}, 1),
        ("work_overdue_seconds", {}, 8.5),
        ("docket_wait_seconds", {}, 70),
        ("alerts_undelivered", {}, 9),
        ("checkpoint_age_seconds", {}, 12.25),
        ("checkpoint_unsigned_events", {}, 6),
        ("transitions_total", {"from_state": "PLANNING", "to_state": "EXECUTING"}, 9),
        ("transitions_total", {"from_state": "JUDGING", "to_state": "WITNESSING"}, 0),
        (
            "errors_total",
            {"error_type": "timeout_error", "strategy": "retry_with_backoff"},
            4,
        ),
        ("errors_total", {"error_type": "other", "strategy": "halt_and_alert"}, 1),
        ("retries_total", {"service": "duke_service"}, 6),
        ("violations_total", {"kind": "collapsed_role"}, 2),
        ("violations_total", {"kind": "skipped_step"}, 0),
        ("time_in_state_seconds_sum", {"state": "PLANNING"}, 90.5),
        ("time_in_state_seconds_count", {"state": "PLANNING"}, 9),
        ("time_in_state_seconds_count", {"state": "JUDGING"}, 0),
    ]:
        assert value(found, prefix + name, **labels) == expected, (name, labels)


async def test_what_this_process_did_is_told() -> None:
    found = await families()
    prefix = "governance_flow_"
    calls = {"service": "duke_service", "outcome": "failure"}
    for name, labels, expected in [
        ("append_duration_seconds_count", {}, 2),
        ("append_duration_seconds_sum", {}, 0.024),
        ("append_duration_seconds_bucket", {"le": "0.005"}, 1),
        ("append_group_size_sum", {}, 4),
        ("appended_events_total", {}, 9),
        ("branch_call_duration_seconds_count", calls, 1),
        ("branch_call_duration_seconds_sum", calls, 2),
        ("completions_refused_total", {"reason": "LeaseLost"}, 1),
        (
            "http_requests_total",
            {"route": MOTION_ROUTE, "method": "GET", "status_class": "2xx"},
            1,
        ),
        ("http_requests_total", {"route": "other", "method": "GET", "status_class": "4xx"}, 1),
        ("http_request_duration_seconds_count", {"route": MOTION_ROUTE}, 2),
        ("http_request_duration_seconds_sum", {"route": MOTION_ROUTE}, 0.006),
        ("access_denied_total", {"reason": "expired"}, 1),
        ("access_denied_total", {"reason": "not_permitted"}, 0),
        ("http_streams_open", {}, 0),
    ]:
        assert value(found, prefix + name, **labels) == expected, (name, labels)


@settings(max_examples=20)
@given(names=st.lists(st.text() | st.sampled_from(sorted(REASONS)), max_size=30))
async def test_labels_come_from_closed_sets_whatever_is_told(names: list[str]) -> None:
    metrics = PrometheusMetrics()
    for name in names:
        metrics.performed(name, name, 0.1)
        metrics.refused(name)
    found = await families(metrics)
    refused = found["governance_flow_completions_refused"].samples
    assert {sample.labels["reason"] for sample in refused} <= REASONS | {"other"}
    assert sum(sample.value for sample in refused) == len(names)
    calls = found["governance_flow_branch_call_duration_seconds"].samples
    assert {sample.labels["service"] for sample in calls} <= {*SERVICE_BRANCH, "other"}
    assert {sample.labels["outcome"] for sample in calls} <= {
        "success",
        "failure",
        "later",
        "other",
    }


@settings(max_examples=20)
@given(
    requests=st.lists(
        st.tuples(st.text() | st.none(), st.text() | st.just("GET"), st.integers(-1, 700)),
        max_size=30,
    )
)
async def test_whatever_is_asked_for_makes_no_new_label(
    requests: list[tuple[str | None, str, int]],
) -> None:
    metrics = PrometheusMetrics()
    metrics.http.serves([MOTION_ROUTE])
    for route, method, status in [*requests, (MOTION_ROUTE, "GET", 200)]:
        metrics.http.answered(route, method, status, 0.1)
        metrics.http.denied(method)
    found = await families(metrics)
    answered = found["governance_flow_http_requests"].samples
    assert sum(sample.value for sample in answered) == len(requests) + 1
    assert {sample.labels["route"] for sample in answered} <= {MOTION_ROUTE, "other"}
    assert {sample.labels["method"] for sample in answered} <= METHODS | {"other"}
    assert {sample.labels["status_class"] for sample in answered} <= STATUS_CLASSES | {"other"}
    denied = found["governance_flow_access_denied"].samples
    assert {sample.labels["reason"] for sample in denied} == DENIAL_REASONS | {"other"}
    assert sum(sample.value for sample in denied) == len(requests) + 1


async def test_a_stream_counts_for_as_long_as_it_is_open() -> None:
    metrics = PrometheusMetrics()
    with metrics.http.stream(), metrics.http.stream():
        assert value(await families(metrics), "governance_flow_http_streams_open") == 2
    with pytest.raises(ConnectionError), metrics.http.stream():
        raise ConnectionError("the reader has gone")
    assert value(await families(metrics), "governance_flow_http_streams_open") == 0


async def test_every_transition_there_is_has_a_number_from_the_start() -> None:
    transitions = (await families())["governance_flow_transitions"].samples
    assert len(transitions) == len(EDGES)


async def test_two_pipelines_in_one_process_do_not_add_up() -> None:
    busy()
    found = await families(PrometheusMetrics())
    assert value(found, "governance_flow_appended_events_total") == 0


async def test_without_a_snapshot_only_the_process_is_told() -> None:
    text = await busy().render()
    assert "governance_flow_append_duration_seconds_count" in text
    assert "governance_flow_motions" not in text


async def test_a_snapshot_that_fails_is_not_left_out_silently() -> None:
    async def failing() -> Any:
        raise ConnectionError("no store")

    with pytest.raises(ConnectionError):
        await busy().render(failing)


async def test_rendering_twice_gives_the_same() -> None:
    metrics = busy()
    assert await metrics.render(snapshot) == await metrics.render(snapshot)
