"""A history with everything in it: motions that end in every way, and every kind of trouble."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from governance_flow.domain.escalation import Resolution
from governance_flow.domain.states import GovernanceState
from tests.support.flows import ZOE, PlayedFlow
from tests.support.motions import INTRODUCER

S = GovernanceState

PLACES = 6
SETTINGS = {"max_concurrent_motions": PLACES}


@dataclass(frozen=True)
class History:
    """The motions of the history, by what became of them."""

    acknowledged: UUID
    rejected: UUID
    tabled: UUID
    withdrawn: UUID
    returned: UUID
    reviewed: UUID
    halted: UUID
    retried: UUID
    executing: UUID
    waiting: UUID


async def eventful(played: PlayedFlow) -> History:
    """Make the history; there are no workers, so nothing happens by itself."""
    clock, orchestrator = played.clock, played.orchestrator
    made: dict[str, UUID] = {}
    for name, state in (
        ("acknowledged", S.ACKNOWLEDGED),
        ("rejected", S.REJECTED),
        ("tabled", S.TABLED),
        ("withdrawn", S.WITHDRAWN),
        ("executing", S.EXECUTING),
    ):
        made[name] = await played.introduce(f"The {name} one")
        clock.advance(3)
        await played.reach(state, made[name])
        clock.advance(7)
    made["returned"] = await played.reach(S.PLANNING)
    await played.fails(made["returned"], "validation_error", "too vague")
    clock.advance(1.5)
    made["reviewed"] = await played.reach(S.JUDGING)
    await played.fails(made["reviewed"], "compliance_error")
    clock.advance(1)
    await played.succeeds(made["reviewed"], {"decision": "return", "reason": "do it again"})
    made["halted"] = await played.reach(S.EXECUTING)
    await played.fails(made["halted"], "system_error", "the roof fell in")
    clock.advance(60)
    await orchestrator.resolve_escalation(made["halted"], ZOE, Resolution.REVIEW, "look at this")
    await played.succeeds(made["halted"], {"decision": "resume"})
    await played.fails(made["halted"], "system_error", "and again")
    made["retried"] = await played.reach(S.PLANNING)
    await played.fails(made["retried"], "timeout_error", "nobody there")
    clock.advance(2)
    await played.halt()
    clock.advance(300)
    await played.succeeds(made["executing"])
    await played.resume()
    clock.advance(1)
    await orchestrator.process_motion(made["executing"])
    last = await played.introduce("The one too many")
    while (await played.state(last)) is S.INTRODUCED:
        await orchestrator.process_motion(last)
        clock.advance(1)
        if await played.state(last) is S.INTRODUCED:
            break
        last = await played.introduce("The one too many")
    made["waiting"] = last
    await orchestrator.amend_motion(last, INTRODUCER, text="Before the next flood.")
    return History(**made)
