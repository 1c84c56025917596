"""Alerts: delivered at least once, recorded, tried again, and never in anybody's way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from governance_flow.application.ports.alerts import Alert
from governance_flow.application.process_manager import alerting
from governance_flow.application.process_manager.alerting import AT_ONCE
from governance_flow.domain.errors import StoreUnavailable
from governance_flow.domain.events import AlertDelivered
from governance_flow.domain.states import GovernanceState
from tests.support.flows import PlayedFlow, Postbox, cast, failing, opened
from tests.support.workers import (
    Failing,
    change_table,
    follow,
    replaced,
    soon,
    table,
    until,
    working,
)

S = GovernanceState


async def halted_motion(flow: PlayedFlow) -> Any:
    motion = await flow.reach(S.EXECUTING)
    await flow.fails(motion, "system_error")
    return motion


async def deliveries(flow: PlayedFlow) -> list[AlertDelivered]:
    return [e for e in await flow.pipeline_events() if isinstance(e, AlertDelivered)]


async def test_an_alert_is_delivered_recorded_and_forgotten() -> None:
    postbox = Postbox()
    async with opened(sinks=[postbox]) as flow:
        motion = await halted_motion(flow)
        await flow.idle()
        [alert] = postbox.alerts
        assert (alert.kind, alert.motion_id) == ("motion_halted", motion)
        [delivered] = await deliveries(flow)
        assert (delivered.alert_id, delivered.sink, delivered.attempts, delivered.motion_id) == (
            alert.alert_id,
            "postbox",
            1,
            motion,
        )
        assert await table(flow, "alerts_outbox") == []


async def test_an_alert_that_is_not_taken_is_tried_again_until_it_is() -> None:
    postbox = Postbox()
    postbox.failures.extend([RuntimeError("no paper"), TimeoutError()])
    async with opened(sinks=[postbox]) as flow:
        await halted_motion(flow)
        for tries in (1, 2):
            with capture_logs() as logs:
                await flow.idle()
            assert postbox.tries == tries
            assert any(line["event"].startswith("alert not delivered") for line in logs)
            flow.clock.advance(30)
        await flow.idle()
        assert [alert.kind for alert in postbox.alerts] == ["motion_halted"]
        assert [delivered.attempts for delivered in await deliveries(flow)] == [3]


async def test_each_sink_is_served_whatever_the_others_do() -> None:
    good, bad = Postbox("good"), Postbox("bad")
    bad.failures.append(RuntimeError("no paper"))
    async with opened(sinks=[bad, good]) as flow:
        await halted_motion(flow)
        await flow.idle()
        assert (len(good.alerts), len(bad.alerts)) == (1, 0)
        flow.clock.advance(30)
        await flow.idle()
        assert (len(good.alerts), len(bad.alerts)) == (1, 1)


async def test_an_alert_goes_out_while_the_pipeline_is_halted() -> None:
    postbox = Postbox()
    async with opened(sinks=[postbox]) as flow:
        await flow.halt("a storm")
        await flow.idle()
        assert [alert.kind for alert in postbox.alerts] == ["pipeline_halted"]


async def test_a_sink_that_hangs_holds_up_no_motion() -> None:
    begun = asyncio.Event()

    async def hang(_alert: Alert) -> None:
        begun.set()
        await asyncio.Event().wait()

    postbox = Postbox()
    postbox.failures.append(hang)
    services = cast(duke=[failing("system_error")])
    settings = {"worker": {"drain_seconds": 0.0}}
    async with opened(branches=services, sinks=[postbox], settings=settings) as flow:
        await flow.introduce()
        async with working(flow):
            await soon(begun.wait())
            other = await flow.introduce()
            async with asyncio.timeout(30):
                position = (await flow.flow.store.head()).position
                while await flow.state(other) is not S.ACKNOWLEDGED:
                    await flow.flow.store.wait_for_append(
                        after_position=position, timeout_seconds=1
                    )
                    position = (await flow.flow.store.head()).position
        assert postbox.alerts == []
        # Once its lease has run out it is delivered by whoever comes.
        flow.clock.advance(30)
        await flow.idle()
        assert len(postbox.alerts) == 1


async def test_a_sink_that_takes_too_long_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(_alert: Alert) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(alerting, "DELIVERY_SECONDS", 0.001)
    postbox = Postbox()
    postbox.failures.append(hang)
    async with opened(sinks=[postbox]) as flow:
        await halted_motion(flow)
        await flow.idle()
        assert (postbox.tries, postbox.alerts) == (1, [])
        flow.clock.advance(30)
        await flow.idle()
        assert len(postbox.alerts) == 1


async def test_an_alert_for_a_sink_that_is_not_here_stays(sqlite_address: str) -> None:
    async with opened(sqlite_address, sinks=[Postbox("pager")]) as flow:
        await halted_motion(flow)
        await follow(flow)
    pager = Postbox("pager")
    async with opened(sqlite_address, clock=flow.clock, sinks=[Postbox("log")]) as flow:
        with capture_logs() as logs:
            await flow.idle()
        assert any("no alert sink named 'pager'" in line.get("error", "") for line in logs)
    flow.clock.advance(30)
    async with opened(sqlite_address, clock=flow.clock, sinks=[pager]) as flow:
        await flow.idle()
    assert len(pager.alerts) == 1


async def test_an_alert_that_cannot_be_read_keeps_no_other_from_being_delivered() -> None:
    postbox = Postbox()
    async with opened(sinks=[postbox]) as flow:
        await halted_motion(flow)
        await follow(flow)
        await change_table(flow, "UPDATE alerts_outbox SET body = 'no alert at all'")
        await halted_motion(flow)
        with capture_logs() as logs:
            await flow.idle()
        assert len(postbox.alerts) == 1
        assert any(line["event"].startswith("alert not delivered") for line in logs)


async def test_an_alert_that_was_delivered_but_not_recorded_is_delivered_again() -> None:
    postbox = Postbox()
    async with opened(sinks=[postbox]) as flow:
        await halted_motion(flow)
        await follow(flow)
        await flow.flow.audit.proofs.latest()
        store = flow.flow.store
        with (
            replaced(store, "append", Failing(store.append, StoreUnavailable("gone"))),
            pytest.raises(StoreUnavailable),
        ):
            await flow.idle()
        flow.clock.advance(30)
        await flow.idle()
        first, second = postbox.alerts
        assert first.alert_id == second.alert_id
        assert len(await deliveries(flow)) == 1


async def test_not_too_many_are_on_their_way_at_once() -> None:
    opened_gate = asyncio.Event()
    waiting: list[Alert] = []

    async def wait(alert: Alert) -> None:
        waiting.append(alert)
        await opened_gate.wait()

    postbox = Postbox()
    total = AT_ONCE + 5
    postbox.failures.extend([wait] * total)
    async with opened(sinks=[postbox], settings={"breaker": {"system_errors": 1000}}) as flow:
        for _ in range(total):
            await halted_motion(flow)
        await follow(flow)
        alerts = flow.flow.worker._alerting
        assert await alerts.deliver_due()
        await until(lambda: len(waiting) == AT_ONCE)
        assert not await alerts.deliver_due()
        assert len(waiting) == AT_ONCE
        opened_gate.set()
        await flow.idle()
        assert len(postbox.alerts) == postbox.tries == total
        assert await table(flow, "alerts_outbox") == []
