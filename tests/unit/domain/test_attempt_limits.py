"""How long people and programs outside may take for one attempt, where nobody calls them."""

from __future__ import annotations

import pytest

from governance_flow.domain.configuration import FlowConfiguration
from governance_flow.domain.events import OrchestratorError
from tests.support.motions import S, Scenario, configured

MINUTE = 60.0


def outside(seconds: float | None = MINUTE) -> FlowConfiguration:
    """Let the Duke be somebody outside, who has so long for an attempt."""
    duke = {"kind": "external", "attempt_timeout_seconds": seconds}
    return configured(branches={"duke_service": duke})


def test_an_attempt_outside_that_takes_too_long_is_a_timeout_and_made_again() -> None:
    flow = Scenario(outside()).reaching(S.EXECUTING)
    assert flow.wait(seconds=59).expire() == []
    flow.wait(seconds=1).expire()
    assert flow.story == [
        "error: timeout_error, retry_with_backoff",
        "routed: execute to duke_service, attempt 2",
    ]
    limit = flow.now.isoformat()
    expected = f"duke_service did not answer this attempt by {limit}"
    assert flow.last(OrchestratorError).message == expected


def test_the_time_of_a_retry_begins_when_it_may_be_fetched() -> None:
    flow = Scenario(outside()).reaching(S.EXECUTING)
    flow.wait(seconds=60).expire()
    backoff = 5
    assert flow.wait(seconds=backoff + 59).expire() == []
    assert flow.wait(seconds=1).expire() != []


def test_the_deadline_of_the_state_counts_when_it_comes_first() -> None:
    flow = Scenario(outside(1000 * 3600.0)).reaching(S.EXECUTING)
    assert flow.wait(hours=168).expire() != []
    assert "did not execute by" in flow.last(OrchestratorError).message


def test_time_stands_still_while_the_pipeline_is_halted() -> None:
    flow = Scenario(outside()).reaching(S.EXECUTING)
    flow.wait(seconds=30).halt().wait(hours=1)
    assert flow.expire() == []
    flow.resume()
    assert flow.wait(seconds=29).expire() == []
    assert flow.wait(seconds=1).expire() != []


@pytest.mark.parametrize("rules", [outside(None), FlowConfiguration()], ids=["external", "called"])
def test_an_attempt_has_no_limit_here_unless_it_is_made_outside_and_has_one(
    rules: FlowConfiguration,
) -> None:
    flow = Scenario(rules).reaching(S.EXECUTING)
    assert flow.wait(hours=167).expire() == []
