"""Bugs to be found: each is one mistake that could be made, in one place of the product.

What the simulator does not find here it would not find there either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any
from unittest import mock

from governance_flow.application.services import completions, motions
from governance_flow.application.services.operations import Operations
from governance_flow.domain import evolve
from governance_flow.domain.decisions import context
from governance_flow.domain.states import GovernanceState
from governance_flow.domain.witness import WitnessChain
from governance_flow.infrastructure import append_rules
from governance_flow.infrastructure.alerts_outbox import SqlAlertOutbox
from tests.simulation.running import run_seed

Replacement = Callable[[Any], Callable[..., Any]]


def _planted(owner: object, name: str, bug: Replacement) -> Any:
    return mock.patch.object(owner, name, bug(getattr(owner, name)))


def _fence_unchecked(_right: Any) -> Callable[..., Any]:
    """Let anybody complete an assignment, whoever holds it by now."""
    return lambda _append, _leases: None


def _routing_ignored(right: Any) -> Callable[..., Any]:
    """Take a report for one about the routing that is open, whatever routing it names."""

    def report(motion: Any, done: Any, ctx: Any) -> Any:
        if motion.routing is not None and motion.routing.branch is done.branch:
            done = replace(done, routing_id=motion.routing.routing_id)
        return right(motion, done, ctx)

    return report


def _time_goes_on(_right: Any) -> Callable[..., Any]:
    """Let the deadlines of new routings forget the time that stood still."""
    return lambda _pauses, _since, _until: timedelta(0)


def _one_too_many(right: Any) -> Callable[..., Any]:
    """Admit as many motions as there are places, and one more."""

    def failure(append: Any, *rest: Any) -> Any:
        more = append.capacity + 1 if append.capacity is not None else None
        return right(replace(append, capacity=more), *rest)

    return failure


def _docket_passed(_right: Any) -> Callable[..., Any]:
    """Admit a motion as it comes in, whoever waits."""
    return lambda _append: None


def _halt_overlooked(right: Any) -> Callable[..., Any]:
    """Commit what was decided before the pipeline was halted."""
    return lambda append, *rest: right(replace(append, halt_epoch=None), *rest)


def _place_kept(right: Any) -> Callable[..., Any]:
    """Let a motion that is withdrawn keep its place."""

    def admitted_delta(source: GovernanceState, target: GovernanceState) -> Any:
        return 0 if target is GovernanceState.WITHDRAWN else right(source, target)

    return admitted_delta


def _chain_forks(right: Any) -> Callable[..., Any]:
    """Go on, after a return, from the statement before it."""

    def with_statement(chain: WitnessChain, version: int, stored: bytes, statement: str) -> Any:
        after = right(chain, version, stored, statement)
        returned = '"kind":"return"' in statement
        return WitnessChain(chain.previous_statement, after.covered) if returned else after

    return with_statement


def _returns_kept(right: Any) -> Callable[..., Any]:
    """Go on counting returns after a review that says resume."""

    def resumed(*what: Any) -> Any:
        changes = dict(right(*what))
        changes.pop("returns", None)
        return changes

    return resumed


def _retry_forgotten(right: Any) -> Callable[..., Any]:
    """Open no assignment for a routing that is to be tried again later."""

    def after(operations: Any, *args: Any, **named: Any) -> Any:
        change = right(operations, *args, **named)
        row = change.assignment
        return replace(change, assignment=None) if row is not None and row.attempt > 1 else change

    return after


def _alert_given_up(_right: Any) -> Callable[..., Any]:
    """Forget an alert that could not be delivered."""

    async def retry_alert(outbox: Any, alert_id: str, sink: str, **_named: Any) -> None:
        await outbox.alert_done(alert_id, sink)

    return retry_alert


_BUGS: Mapping[str, tuple[object, str, Replacement]] = MappingProxyType(
    {
        "the fence is not checked": (append_rules, "_fenced_off", _fence_unchecked),
        "a report of another routing counts": (completions, "report", _routing_ignored),
        "deadlines do not stand still": (context, "time_paused", _time_goes_on),
        "one motion too many is admitted": (append_rules, "_failure", _one_too_many),
        "a motion goes past the docket": (append_rules, "_out_of_turn", _docket_passed),
        "a halted pipeline still routes": (append_rules, "_failure", _halt_overlooked),
        "a withdrawn motion keeps its place": (motions, "admitted_delta", _place_kept),
        "the chain forks after a return": (WitnessChain, "with_statement", _chain_forks),
        "returns are never forgotten": (evolve, "_resumed", _returns_kept),
        "a retry has no assignment": (Operations, "after", _retry_forgotten),
        "an alert is given up": (SqlAlertOutbox, "retry_alert", _alert_given_up),
    }
)

NAMES = tuple(_BUGS)

QUICK = (
    "a report of another routing counts",
    "deadlines do not stand still",
    "a motion goes past the docket",
    "a halted pipeline still routes",
    "the chain forks after a return",
    "a retry has no assignment",
    "an alert is given up",
)
"""Those that are found within a few seeds, and so can be looked for in every build."""


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Have the bug in the product during the block."""
    with _planted(*_BUGS[name]):
        yield


def seeds_to_find(name: str, seeds_max: int) -> int | None:
    """Return how many seeds it takes to find the bug; None if it is not found in so many."""
    with planted(name):
        for seed in range(seeds_max):
            if run_seed(seed).failure is not None:
                return seed + 1
    return None
