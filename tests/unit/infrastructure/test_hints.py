"""Wake-ups are not lost between looking and waiting."""

from __future__ import annotations

import asyncio
import threading

from governance_flow.infrastructure.database.hints import Channel, Hints


def test_numbers_only_grow_and_count_by_themselves_if_none_is_given() -> None:
    hints = Hints()
    for number in (5, 3, None):
        hints.publish(Channel.EVENTS, number)
    assert hints.latest(Channel.EVENTS) == 6
    assert hints.latest(Channel.WORK) == 0


async def test_a_hint_given_before_the_wait_ends_it_at_once() -> None:
    hints = Hints()
    hints.publish(Channel.EVENTS, 5)
    await hints.wait(Channel.EVENTS, above=4, timeout_seconds=3600)


async def test_only_a_higher_number_on_the_same_channel_ends_a_wait() -> None:
    hints = Hints()
    waiting = asyncio.create_task(hints.wait(Channel.EVENTS, above=5, timeout_seconds=3600))
    for channel, number in ((Channel.WORK, 9), (Channel.EVENTS, 5)):
        await asyncio.sleep(0)
        hints.publish(channel, number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    threading.Thread(target=hints.publish, args=(Channel.EVENTS, 6)).start()
    await asyncio.wait_for(waiting, 10)


async def test_a_wait_ends_when_its_time_is_up_and_leaves_nothing_behind() -> None:
    hints = Hints()
    await hints.wait(Channel.WORK, above=0, timeout_seconds=0.01)
    assert hints._listeners[Channel.WORK] == []


def test_a_hint_for_a_loop_that_is_gone_is_no_matter() -> None:
    hints = Hints()
    loop = asyncio.new_event_loop()
    waiting = loop.create_task(hints.wait(Channel.WORK, above=0, timeout_seconds=3600))
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    hints.publish(Channel.WORK)
    assert not waiting.done()
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]
