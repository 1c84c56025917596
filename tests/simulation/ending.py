"""How a seed ends: nothing goes wrong any more, and everything must come to where it belongs."""

from __future__ import annotations

import asyncio
from uuid import UUID

from governance_flow.bootstrap import Flow
from governance_flow.domain.errors import GovernanceFlowError, StoreError
from governance_flow.domain.escalation import Resolution
from tests.simulation import law
from tests.simulation.account import Broken, require
from tests.simulation.people import CHAIR
from tests.simulation.world import World

LOOK_SECONDS = 20.0
SETTLED_SECONDS_MAX = 3 * 3600.0
"""Longer than anything may take that waits for no person: deadlines, backoffs, leases and all."""

RESUMED_MAX = 20
ROUNDS_MAX = 6
BREAKER_SECONDS = 600.0


async def end(world: World) -> None:
    """Let everything come to rest, then let a person decide all that waits, and check it all."""
    world.calm_down()
    world.keep_staffed()
    await _settle(world)
    for _ in range(ROUNDS_MAX):
        if not await _decide(world):
            break
        await _settle(world)
    await _check(world)
    left = [a for a in world.referee.accounts.values() if a.state not in law.TERMINAL]
    late = [a for a in left if a.waits_for == "AwaitPlace" and a.dated]
    require(left == late, "never ended:", [(a.id, a.state, a.waits_for) for a in left])


async def _settle(world: World) -> None:
    """Wait until every motion has ended, or waits for a person or a far date."""
    world.say("settle")
    started = world.loop.time()
    resumed = 0
    while True:
        await _pause(world)
        world.keep_staffed()
        flow = world.flow()
        if world.referee.halted and flow is not None:
            resumed += 1
            require(resumed <= RESUMED_MAX, "the pipeline is halted again and again")
            await flow.orchestrator.resume_pipeline(CHAIR, "let us go on")
            continue
        unsettled = [*world.referee.unsettled(world.clock.now()), *_overdue(world)]
        if not unsettled and flow is not None:
            return
        waited = world.loop.time() - started
        require(waited < SETTLED_SECONDS_MAX, f"stuck after {waited:.0f} s:", *unsettled)


def _overdue(world: World) -> list[str]:
    """Return what the process manager still owes, though every motion rests."""
    referee, counting = world.referee, world.counting
    wanted = counting.wanted_alerts()
    owed = [f"alert {alert} was not delivered" for alert in sorted(wanted - world.paged)]
    owed += [f"alert {alert} is not recorded" for alert in sorted(wanted - set(referee.alerts))]
    limit = world.plan.fixed["breaker"]["system_errors"]
    # Clocks may differ: what happened at the edge of the window need not count.
    errors = counting.system_errors_within(BREAKER_SECONDS - 2 * world.plan.skew_seconds)
    if errors >= limit and not referee.halted:
        owed.append(f"{errors} system errors, and no halt")
    return owed


async def _pause(world: World) -> None:
    """Let time pass, unless something is found."""
    failed = asyncio.ensure_future(world.failed.wait())
    await asyncio.wait({failed}, timeout=LOOK_SECONDS)
    failed.cancel()
    world.check()


async def _decide(world: World) -> int:
    """Let somebody who has acted on no motion decide whatever waits for a person.

    Returns how much that was. What is tried again may lead to something else to be decided.
    """
    waiting = [
        account
        for account in world.referee.accounts.values()
        if account.waits_for in ("AwaitPerson", "AwaitTakingUp")
    ]
    for account in waiting:
        flow = world.flow()
        require(flow, "no process runs though nothing goes wrong")
        assert flow is not None
        motion_id = UUID(account.id)
        world.say(f"decide {motion_id}: {account.waits_for}")
        try:
            if account.waits_for == "AwaitPerson":
                await flow.orchestrator.resolve_escalation(motion_id, CHAIR, Resolution.RETRY)
            else:
                await flow.orchestrator.retry_motion(motion_id, CHAIR)
        except GovernanceFlowError as error:
            raise Broken(f"{motion_id} waits for a person, who may not decide: {error}") from error
        world.check()
    return len(waiting)


async def _check(world: World) -> None:
    """Check what must hold once nothing is under way."""
    flow = world.flow()
    assert flow is not None
    world.say("check")
    await _idle(world, flow)
    referee, counting = world.referee, world.counting
    referee.reread()
    await counting.compare_all(flow)
    waiting = {a.routing["event_id"] for a in referee.accounts.values() if a.routing}
    blocked = {
        a.routing["event_id"]
        for a in referee.accounts.values()
        if a.routing and a.waits_for != "AwaitBranch"
    }
    require(referee.leases.open == waiting - blocked, "assignments differ from open routings")
    report = await flow.audit.auditor.verify()
    require(not report.faults and not report.notes, "audit:", report.faults, report.notes)
    world.check()


async def _idle(world: World, flow: Flow) -> None:
    """Let the worker find out by itself that nothing is left to do: that must change nothing."""
    async with asyncio.timeout(SETTLED_SECONDS_MAX):
        try:
            await flow.worker.run_until_idle()
        except StoreError:
            # It may still tell of what went wrong before: once told, it is forgotten.
            await flow.worker.run_until_idle()
    world.check()
