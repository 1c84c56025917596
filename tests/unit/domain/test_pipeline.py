"""The pipeline's own stream: halted, resumed, configured."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from governance_flow.domain.errors import CorruptStream
from governance_flow.domain.events import (
    AlertDelivered,
    ConfigurationAdopted,
    PipelineEvent,
    PipelineHalted,
    PipelineResumed,
)
from governance_flow.domain.pipeline import Halt, Interval, Pipeline, ended, evolve_pipeline
from tests.support.motions import NOON, person


def envelope(minutes: int) -> dict[str, Any]:
    return {
        "event_id": UUID(int=minutes),
        "correlation_id": UUID(int=minutes),
        "actor": person("zoe"),
        "timestamp": NOON + timedelta(minutes=minutes),
    }


def halted(minutes: int) -> PipelineHalted:
    return PipelineHalted(**envelope(minutes), reason="a storm")


def resumed(minutes: int) -> PipelineResumed:
    return PipelineResumed(**envelope(minutes), reason="it is over")


def fold(*events: PipelineEvent) -> Pipeline:
    pipeline = Pipeline()
    for event in events:
        pipeline = evolve_pipeline(pipeline, event)
    return pipeline


def at(minutes: int) -> Any:
    return NOON + timedelta(minutes=minutes)


def test_a_new_pipeline_runs() -> None:
    pipeline = Pipeline()
    assert (pipeline.halted, pipeline.halts, pipeline.version) == (False, (), 0)


def test_it_is_halted_by_somebody_for_a_reason() -> None:
    pipeline = fold(halted(1))
    assert pipeline.halted
    assert pipeline.halt == Halt("a storm", person("zoe"), at(1))
    assert pipeline.halts == (Interval(at(1)),)
    assert (pipeline.version, pipeline.halt_epoch, pipeline.last_resumed_at) == (1, 1, None)


def test_it_is_resumed_and_every_halt_and_resumption_begins_an_epoch() -> None:
    pipeline = fold(halted(1), resumed(3), halted(5), resumed(9))
    assert not pipeline.halted
    assert pipeline.halts == (Interval(at(1), at(3)), Interval(at(5), at(9)))
    assert (pipeline.version, pipeline.halt_epoch, pipeline.last_resumed_at) == (4, 4, at(9))


def test_only_an_interval_that_is_open_can_be_ended() -> None:
    first, last = Interval(at(1), at(2)), Interval(at(3))
    assert ended((first, last), at(4)) == (first, Interval(at(3), at(4)))
    assert ended((last, first), at(4)) == (last, first)
    assert ended((), at(4)) == ()


def test_a_second_halt_would_never_end() -> None:
    with pytest.raises(CorruptStream, match="halted a second time at version 2"):
        fold(halted(1), halted(2))


@pytest.mark.parametrize("before", [[], [halted(1), resumed(2)]])
def test_what_runs_cannot_be_resumed(before: list[PipelineEvent]) -> None:
    with pytest.raises(CorruptStream, match="but it is not halted"):
        fold(*before, resumed(3))


def test_every_configuration_it_has_had_is_known_by_its_digest() -> None:
    first = ConfigurationAdopted(**envelope(1), digest="a1", configuration={"n": 1})
    second = ConfigurationAdopted(**envelope(2), digest="b2", configuration={"n": 2})
    pipeline = fold(first, second)
    assert pipeline.configuration == "b2"
    assert pipeline.configurations == {"a1": {"n": 1}, "b2": {"n": 2}}
    assert pipeline.halt_epoch == 0


def test_a_delivered_alert_changes_nothing_but_the_version() -> None:
    alert = AlertDelivered(**envelope(2), alert_id="a", sink="log", attempts=1)
    assert fold(halted(1), alert) == evolve_pipeline(fold(halted(1)), alert)
    assert fold(alert) == Pipeline(version=1)
