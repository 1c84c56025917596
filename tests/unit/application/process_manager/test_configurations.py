"""Workers with different configurations on one store: a routing keeps the one it was made under."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from governance_flow.domain.errors import StoreUnavailable
from governance_flow.domain.events import PIPELINE_ID
from governance_flow.domain.pipeline import Pipeline
from governance_flow.domain.states import GovernanceState
from tests.support.flows import PlayedFlow, cast, opened
from tests.support.workers import Failing, follow, replaced

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


async def test_many_that_adopt_the_configuration_at_once_record_it_once(
    sqlite_address: str,
) -> None:
    async with opened(sqlite_address) as flow:
        pipelines, store = flow.flow.pipelines, flow.flow.store
        appends, reads = Failing(store.append), Failing(store.read_stream)
        with replaced(store, "append", appends), replaced(store, "read_stream", reads):
            await asyncio.gather(*(pipelines.adopt() for _ in range(10)))
            assert appends.calls == 1
            looked = reads.calls
            # Once done, it costs nothing.
            await pipelines.adopt()
            assert reads.calls == looked
        stored = await flow.stored(PIPELINE_ID)
        assert [event.topic for event in stored] == ["CONFIGURATION_ADOPTED"]
        assert pipelines.known.configuration == pipelines.digest


async def test_an_adoption_that_failed_is_made_by_the_next_one() -> None:
    async with opened() as flow:
        pipelines, store = flow.flow.pipelines, flow.flow.store
        with (
            replaced(store, "append", Failing(store.append, StoreUnavailable("gone"))),
            pytest.raises(StoreUnavailable),
        ):
            await pipelines.adopt()
        assert await flow.stored(PIPELINE_ID) == []
        await pipelines.adopt()
        assert len(await flow.stored(PIPELINE_ID)) == 1
