"""Tasks beside the worker's loop: how they end, what is kept of failures, how long to wait."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from governance_flow.application.process_manager.background import (
    KEPT_MAX,
    MAX_BACKOFF_SECONDS,
    Background,
    Failures,
    backoff_seconds,
)
from governance_flow.domain.errors import StoreUnavailable


async def fail(error: BaseException) -> None:
    raise error


async def nothing() -> None:
    return


def test_the_wait_doubles_and_is_bounded_however_often_it_fails() -> None:
    assert [backoff_seconds(1.0, n) for n in (1, 2, 3, 4)] == [2, 4, 8, 16]
    assert backoff_seconds(1.0, 5) == MAX_BACKOFF_SECONDS
    # An outage of a weekend: the number of failures must not become a number of digits.
    assert backoff_seconds(1.0, 1_000_000) == MAX_BACKOFF_SECONDS
    assert backoff_seconds(0.0, 1_000_000) == 0


async def test_whoever_waits_is_told_of_every_end() -> None:
    ended = []
    failures = Failures()
    tasks = Background(lambda: ended.append(len(tasks)), failures)
    tasks.start(nothing(), "good")
    tasks.start(fail(RuntimeError("bad")), "bad")
    assert len(tasks) == 2
    await tasks.finish(30)
    assert (len(tasks), sorted(ended)) == (0, [0, 1])
    assert [str(error) for error in failures.take()] == ["bad"]
    assert failures.take() == []


async def test_a_task_that_was_cancelled_has_not_failed() -> None:
    failures = Failures()
    tasks = Background(lambda: None, failures)
    tasks.start(asyncio.Event().wait(), "waits")  # type: ignore[arg-type]
    await tasks.cancel()
    assert (len(tasks), failures.take()) == (0, [])


@pytest.mark.parametrize(
    ("error", "traceback"), [(RuntimeError("a mistake"), True), (StoreUnavailable("gone"), False)]
)
def test_a_failure_is_logged_with_a_traceback_if_nobody_foresaw_it(
    error: Exception, traceback: bool
) -> None:
    with capture_logs() as logs:
        Failures().note("count the votes", error)
    [line] = logs
    assert (line["log_level"], line["what"]) == ("error", "count the votes")
    assert (line["exc_info"] is error) is traceback


def test_only_so_many_failures_are_kept() -> None:
    failures = Failures()
    with capture_logs() as logs:
        for number in range(KEPT_MAX + 10):
            failures.note("x", RuntimeError(number))
    assert len(logs) == KEPT_MAX + 10
    assert [error.args[0] for error in failures.take()] == list(range(10, KEPT_MAX + 10))
