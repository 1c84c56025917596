"""Workers with different configurations on one store: a routing keeps the one it was made under."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from structlog.testing import capture_logs

from governance_flow.domain.pipeline import Pipeline
from governance_flow.domain.states import GovernanceState
from tests.support.flows import PlayedFlow, cast, opened
from tests.support.workers import follow

S = GovernanceState
THEIRS: dict[str, Any] = {"conclave": {"quorum": 7}, "retry": {"backoff_seconds": [70.0]}}


async def routed_by_another(flow: PlayedFlow, address: str) -> UUID:
    """Let another process route a motion that this one, which looked before, knows nothing of."""
    await flow.idle()
    async with opened(address, clock=flow.clock, settings=THEIRS) as other:
        motion = await other.reach(S.DELIBERATING)
        await follow(other)
        return motion


async def test_a_service_is_given_the_policy_its_routing_was_made_under(
    sqlite_address: str,
) -> None:
    services = cast()
    async with opened(sqlite_address, branches=services) as flow:
        motion = await routed_by_another(flow, sqlite_address)
        await flow.idle()
        conclave = services["conclave_service"].calls
        assert [call.motion_id for call in conclave] == [motion, motion]
        # What is routed here is routed under our own.
        assert [call.policy["quorum"] for call in conclave] == [7, 0]


async def test_a_retry_waits_as_long_as_was_the_rule_when_it_was_routed(
    sqlite_address: str,
) -> None:
    async with opened(sqlite_address) as flow:
        motion = await routed_by_another(flow, sqlite_address)
        await flow.fails(motion, "timeout_error")
        routed = await flow.routing(motion)
        assert routed.not_before == flow.clock.now() + timedelta(seconds=70)


async def test_a_configuration_of_another_version_does_not_strand_a_motion() -> None:
    async with opened() as flow:
        pipeline = Pipeline(configurations={"digest": {"a key": "of the future"}})
        with capture_logs() as logs:
            rules = flow.flow.pipelines.rules("digest", pipeline)
            assert flow.flow.pipelines.rules("digest", pipeline) is rules
        assert rules is flow.flow.configuration
        [line] = logs
        assert (line["log_level"], line["digest"]) == ("warning", "digest")
