"""Alerts reach somebody at least once, and it is recorded that they did."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from governance_flow.application.ports.alerts import Alert
from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    BranchResult,
    GovernanceState,
)
from governance_flow.application.signing import verify_signature
from governance_flow.domain.events import AlertDelivered, OrchestratorError
from tests.support.clock import ManualClock
from tests.support.flows import PlayedFlow, Postbox, cast, opened, succeeding
from tests.support.http_server import running_server

S = GovernanceState


async def halted_motion(flow: PlayedFlow) -> UUID:
    motion = await flow.reach(S.EXECUTING)
    await flow.fails(motion, "system_error", "the roof fell in")
    return motion


async def deliveries(flow: PlayedFlow) -> list[tuple[str, int]]:
    """Return to which sink alerts were delivered, and at which attempt."""
    return [
        (event.sink, event.attempts)
        for event in await flow.pipeline_events()
        if isinstance(event, AlertDelivered)
    ]


async def test_an_alert_is_delivered_to_every_sink_and_recorded(store_address: str) -> None:
    one, two = Postbox("one"), Postbox("two")
    async with opened(store_address, sinks=[one, two]) as flow:
        motion = await halted_motion(flow)
        await flow.idle()
        error = await flow.last(motion, OrchestratorError)
        for postbox in (one, two):
            [alert] = postbox.alerts
            assert alert.alert_id == str(error.event_id)
            assert (alert.kind, alert.motion_id) == ("motion_halted", motion)
            assert alert.raised_at == error.timestamp
        delivered = [e for e in await flow.pipeline_events() if isinstance(e, AlertDelivered)]
        assert {(e.sink, e.alert_id, e.motion_id, e.attempts) for e in delivered} == {
            (sink, str(error.event_id), motion, 1) for sink in ("one", "two")
        }
        await flow.idle()
        assert (len(one.alerts), len(two.alerts)) == (1, 1)


@pytest.mark.parametrize(
    "failure", [RuntimeError("no ink"), TimeoutError(), ValueError("a\x00b\ud800")]
)
async def test_a_sink_that_fails_is_tried_again_after_a_while(
    failure: Exception, clock: ManualClock
) -> None:
    postbox, other = Postbox("postbox"), Postbox("other")
    postbox.failures.extend([failure, failure])
    async with opened(clock=clock, sinks=[postbox, other]) as flow:
        await halted_motion(flow)
        await flow.idle()
        assert (postbox.tries, len(other.alerts)) == (1, 1)
        for tries in (2, 3):
            clock.advance(29)
            await flow.idle()
            assert postbox.tries == tries - 1
            clock.advance(1)
            await flow.idle()
            assert postbox.tries == tries
        [alert] = postbox.alerts
        assert alert.message.endswith("system_error: the roof fell in")
        assert await deliveries(flow) == [("other", 1), ("postbox", 3)]


async def test_how_soon_it_is_tried_again_is_configured(clock: ManualClock) -> None:
    postbox = Postbox()
    postbox.failures.append(RuntimeError("no ink"))
    settings = {"alerts": {"retry_seconds": 600.0}}
    async with opened(clock=clock, sinks=[postbox], settings=settings) as flow:
        await halted_motion(flow)
        await flow.idle()
        clock.advance(599)
        await flow.idle()
        assert postbox.alerts == []
        clock.advance(1)
        await flow.idle()
        assert len(postbox.alerts) == 1


async def test_an_alert_that_was_not_delivered_goes_out_after_a_restart(
    sqlite_address: str, clock: ManualClock
) -> None:
    broken, mended = Postbox(), Postbox()
    broken.failures.append(RuntimeError("no ink"))
    async with opened(sqlite_address, clock=clock, sinks=[broken]) as flow:
        motion = await halted_motion(flow)
        await flow.idle()
    clock.advance(30)
    async with opened(sqlite_address, clock=clock, sinks=[mended]) as flow:
        await flow.idle()
        assert [alert.motion_id for alert in mended.alerts] == [motion]
        assert await deliveries(flow) == [("postbox", 2)]


async def test_an_alert_raised_while_no_worker_ran_is_not_forgotten(
    sqlite_address: str, clock: ManualClock
) -> None:
    async with opened(sqlite_address, clock=clock) as flow:
        motion = await halted_motion(flow)
    postbox = Postbox()
    async with opened(sqlite_address, clock=clock, sinks=[postbox]) as flow:
        await flow.idle()
        assert [alert.motion_id for alert in postbox.alerts] == [motion]


async def test_a_hanging_sink_holds_nothing_up() -> None:
    hanging, arrived, acknowledging = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def hang(_alert: Alert) -> None:
        hanging.set()
        await asyncio.Event().wait()

    async def arrive(_alert: Alert) -> None:
        arrived.set()

    def acknowledge(assignment: BranchAssignment) -> BranchResult:
        acknowledging.set()
        result: BranchResult = succeeding()(assignment)
        return result

    slow, quick = Postbox("slow"), Postbox("quick")
    slow.failures.append(hang)
    quick.failures.append(arrive)
    branches = cast(conclave=[succeeding(), acknowledge])
    async with opened(sinks=[slow, quick], branches=branches) as flow:
        await halted_motion(flow)
        await flow.introduce()
        working = asyncio.create_task(flow.flow.worker.run())
        for event in (hanging, arrived, acknowledging):
            await event.wait()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        assert (slow.alerts, len(quick.alerts)) == ([], 1)


async def test_alerts_go_out_while_the_pipeline_is_halted() -> None:
    postbox = Postbox()
    async with opened(sinks=[postbox]) as flow:
        await halted_motion(flow)
        await flow.halt()
        await flow.idle()
        assert {alert.kind for alert in postbox.alerts} == {"motion_halted", "pipeline_halted"}


async def test_a_message_with_a_traceback_is_told_in_one_line() -> None:
    postbox = Postbox()
    async with opened(sinks=[postbox]) as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.fails(motion, "system_error", "it broke\n\nTraceback (most recent call last)")
        await flow.idle()
        [alert] = postbox.alerts
        assert alert.message.endswith("waits for a person: system_error: it broke")


# -- The log and a webhook ---------------------------------------------------------------------


async def test_a_webhook_is_sent_a_signed_alert_until_it_takes_it(clock: ManualClock) -> None:
    with running_server() as server:
        server.status = 503
        settings = {
            "alerts": {
                "webhook_url": f"{server.address}/alerts?channel=7",
                "webhook_secret_env": "ALERT_SECRET",
            }
        }
        # No sinks given: those of the configuration, the log and the webhook.
        async with opened(
            clock=clock,
            settings=settings,
            configured_sinks=True,
            environ={"ALERT_SECRET": "between us"},
        ) as flow:
            motion = await halted_motion(flow)
            await flow.idle()
            assert await deliveries(flow) == [("log", 1)]
            server.status = 204
            clock.advance(30)
            await flow.idle()
            assert await deliveries(flow) == [("log", 1), ("webhook", 2)]
            error = await flow.last(motion, OrchestratorError)
        first, second = server.requests
        assert first.path == second.path == "/alerts?channel=7"
        assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]
        assert second.headers["Idempotency-Key"] == str(error.event_id)
        assert verify_signature(
            b"between us",
            second.body,
            second.headers["Governance-Flow-Signature"],
            now=clock.now(),
        )
        said = json.loads(second.body)
        assert (said["kind"], said["motion_id"]) == ("motion_halted", str(motion))
        assert said["raised_at"] == (clock.now() - timedelta(seconds=30)).isoformat()


async def test_of_several_people_only_who_was_not_told_is_told_again(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_server() as quick, running_server() as slow:
        slow.status = 503
        addresses = [server.address.replace("http:", "json:") for server in (quick, slow)]
        async with opened(
            clock=clock,
            settings={"alerts": {"apprise_urls_env": "TELL"}},
            configured_sinks=True,
            environ={"TELL": " ".join(addresses)},
        ) as flow:
            motion = await halted_motion(flow)
            await flow.idle()
            assert set(await deliveries(flow)) == {("log", 1), ("apprise-1-json", 1)}
            slow.status = 200
            clock.advance(30)
            await flow.idle()
            assert (await deliveries(flow))[2:] == [("apprise-2-json", 2)]
        assert (len(quick.requests), len(slow.requests)) == (1, 2)
        assert str(motion) in json.loads(slow.requests[1].body)["message"]


async def test_the_log_takes_every_alert(clock: ManualClock) -> None:
    # Not what is printed: a command that ran in this process before may have led the log elsewhere.
    with capture_logs() as logs:
        async with opened(clock=clock, configured_sinks=True) as flow:
            motion = await halted_motion(flow)
            await flow.idle()
            assert await deliveries(flow) == [("log", 1)]
    [told] = [line for line in logs if "alert_id" in line]
    assert (told["motion_id"], told["log_level"]) == (str(motion), "error")
