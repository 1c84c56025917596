"""A store with something to see on every page: three weeks of an assembly's life, made in seconds.

The motions of ``examples/motions.jsonl`` are introduced over the first weeks and driven as far as
they come by themselves: to their end, to a vote that is put off, to a person. In the last days the
Duke and the Prince work outside; they are slow, and so motions wait with them, some for too long,
and others wait in the docket for a place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from governance_flow.application.access.permissions import ROLES, Permission, Role
from governance_flow.application.importing import MotionLine, parse_line
from governance_flow.application.ports.flow_orchestrator import BranchAssignment, BranchResult
from governance_flow.bootstrap import Flow, open_flow
from governance_flow.domain.branches import DUKE_SERVICE, PRINCE_SERVICE, GovernanceBranch
from scripts.bench.keys import bench_keyring

MOTIONS = Path(__file__).parents[2] / "examples" / "motions.jsonl"
BEGINNING = timedelta(days=21)
PLACES = 9

OUTSIDE = {service: {"kind": "external"} for service in (DUKE_SERVICE, PRINCE_SERVICE)}
INSIDE_SETTINGS: dict[str, Any] = {"max_concurrent_motions": PLACES}
OUTSIDE_SETTINGS: dict[str, Any] = {"max_concurrent_motions": PLACES, "branches": OUTSIDE}

# How long ago each was introduced. The deadline of the first, a week, has passed by now.
LATE = {
    "A windbreak for the upper allotments": timedelta(days=7, hours=5),
    "Swimming lessons in the old harbour basin": timedelta(days=7, hours=3),
}
UNDER_WAY = {
    "A tram bell for the electric hay cart": timedelta(days=4),
    "Benches along the path to the lighthouse": timedelta(days=3, hours=2),
    "Number the houses of the upper village": timedelta(days=2, hours=8),
    "A rota for the snow plough": timedelta(days=2),
}
WORKED_ON_AFTER = "Number the houses of the upper village"
WORKERS = "harbour works"
WAITING = (
    "A roof for the ferry queue",
    "Teach every pupil to read the tide tables",
    "Plant the slope above the clinic",
    "Open the records of the harbour board to everybody",
    "Two more buckets for the fire brigade",
)


class Lately:
    """A clock that is behind the machine's own, and is let catch up."""

    def __init__(self, behind: timedelta) -> None:
        self.behind = behind

    def now(self) -> datetime:
        """Return the time it shows."""
        return datetime.now(UTC) - self.behind


@asynccontextmanager
async def example(address: str) -> AsyncIterator[Flow]:
    """Fill an empty store, and yield the pipeline over it, at the present time and not at work."""
    clock = Lately(BEGINNING)
    async with _opened(address, clock, INSIDE_SETTINGS) as flow:
        await _let_live(flow, clock)
    async with _opened(address, clock, OUTSIDE_SETTINGS) as flow:
        await _let_wait(flow, clock)
        clock.behind = timedelta()
        yield flow


async def token(
    flow: Flow,
    name: str,
    *allowed: Role | Permission,
    branches: Sequence[GovernanceBranch] = (),
    lifetime: timedelta | None = None,
) -> str:
    """Make out a token for what is allowed, roles and single permissions; return its text."""
    permissions = {
        permission
        for one in allowed
        for permission in (ROLES[one] if isinstance(one, Role) else {one})
    }
    _, text = await flow.gatekeeper.make_out(name, permissions, branches, lifetime=lifetime)
    return text


@asynccontextmanager
async def _opened(address: str, clock: Lately, settings: dict[str, Any]) -> AsyncIterator[Flow]:
    async with open_flow(
        address,
        config={"flow_orchestrator": settings},
        keyring=bench_keyring(),
        clock=clock,
        environ={},
    ) as flow:
        yield flow


async def _let_live(flow: Flow, clock: Lately) -> None:
    """Introduce the examples, one or two each day, and let branches do what they can."""
    lines = [parse_line(line) for line in MOTIONS.read_bytes().splitlines()]
    for_each = (BEGINNING - timedelta(days=8)) / len(lines)
    for number, line in enumerate(lines):
        clock.behind = BEGINNING - number * for_each
        await _introduce(flow, line)
        await flow.worker.run_until_idle()
        # Retries that were due shortly, and a person who looks in at noon.
        clock.behind -= timedelta(minutes=20)
        await flow.worker.run_until_idle()


async def _let_wait(flow: Flow, clock: Lately) -> None:
    """Introduce more than there are places for, while those who work outside take their time."""
    for title, ago in {**LATE, **UNDER_WAY}.items():
        clock.behind = ago
        await _introduce(flow, _line(title))
        await flow.worker.run_until_idle()
        if title == WORKED_ON_AFTER:
            await _work(flow)
    clock.behind = timedelta(hours=9)
    for title in WAITING:
        await _introduce(flow, _line(title))
        clock.behind -= timedelta(minutes=25)
    await flow.worker.run_until_idle()


async def _work(flow: Flow) -> None:
    """Let the Duke's people keep the oldest assignment, fail in one, and complete the newest."""
    _kept, given_back, failed, *completed = await flow.external.fetch(
        [DUKE_SERVICE], by=WORKERS, limit=5, lease_seconds=BEGINNING.total_seconds()
    )
    await flow.external.release(given_back.routing_id, given_back.lease_token or 0)
    broken = "the bell was cast in the wrong key, and there is no rule for that"
    await flow.orchestrator.handle_completion(
        failed.motion_id, _result(failed, error=broken, error_type="wrong_key")
    )
    for assignment in completed:
        await flow.orchestrator.handle_completion(assignment.motion_id, _result(assignment))
    await flow.worker.run_until_idle()


def _result(assignment: BranchAssignment, **error: str) -> BranchResult:
    return BranchResult(
        assignment.motion_id,
        assignment.branch,
        success=not error,
        output={} if error else {"done": "as planned", "cost": {"crowns": 1240}},
        next_state=None,
        error=error.get("error"),
        error_type=error.get("error_type"),
        actor=WORKERS,
        routing_id=assignment.routing_id,
        lease_token=assignment.lease_token,
    )


async def _introduce(flow: Flow, line: MotionLine) -> None:
    await flow.introducing.introduce(
        None,
        title=line.title,
        text=line.text,
        introduced_by=line.introduced_by,
        reference=line.reference,
        ballots=line.ballots,
        metadata=line.metadata,
    )


def _line(title: str) -> MotionLine:
    return MotionLine(
        title=title,
        text="As it was talked over at the last assembly, and at the stove of the net loft after.",
        introduced_by="Mirela Petrov",
        motion_id=None,
        reference=None,
        ballots={"Mirela Petrov": "yes", "Jun Sato": "yes", "Bao Nguyen": "abstain"},
        metadata={"tasks": ["Agree on a price", "Do it before the autumn"]},
        digest="",
    )
