"""Events that nobody can apply: they park their own motion, visibly, and nothing else."""

from __future__ import annotations

import json
from uuid import UUID

from governance_flow.application.ports.event_store import Append, StoredEvent
from governance_flow.domain.errors import ConcurrencyConflict
from tests.faults.stage import Stage
from tests.support.driving import motion_id

LINES_MAX = 30
CONFLICTS_MAX = 100


async def poison_streams(stage: Stage, times: int) -> None:
    """Append to the streams of some motions what cannot be read, or cannot have happened."""
    await stage.start_all(2)
    for _ in range(times):
        numbers = await stage.introduce(3)
        await stage.lines_more(stage.rng.randint(1, LINES_MAX))
        motion = motion_id(stage.rng.choice(numbers))
        stage.poisoned.add(motion)
        await _spoil(stage, motion, readable=stage.rng.random() < 0.5)
    await stage.rest()
    # The last poison may not have come to the read model yet: being asked, it catches up.
    await stage.flow.orchestrator.get_pipeline_status()
    healthy = {str(m) for m in stage.states} - {str(m) for m in stage.poisoned}
    parked = {str(item.motion_id) for item in await stage.flow.read_model.parked(limit=1000)}
    stage.strangers += [f"motion {m}: parked, and nothing is wrong" for m in parked & healthy]
    poisoned = {str(m) for m in stage.poisoned}
    stage.strangers += [f"motion {m}: poisoned, and not parked" for m in poisoned - parked]


async def _spoil(stage: Stage, motion: UUID, *, readable: bool) -> None:
    """Put the poison behind whatever stands last in the stream, while workers add to it."""
    for _ in range(CONFLICTS_MAX):
        stream = await stage.flow.store.read_stream(motion)
        version = len(stream) + 1
        state = _impossible(stream[0].state) if readable else b"no event at all"
        spoiled = StoredEvent(motion, version, "TRANSITION_WITNESSED", state)
        try:
            await stage.flow.store.append(Append(motion, version - 1, (spoiled,)))
        except ConcurrencyConflict:
            continue
        return
    raise AssertionError(f"motion {motion} never stood still")


def _impossible(introduction: bytes) -> bytes:
    """Return a transition that every reader understands and no rule allows."""
    kept = ("schema_version", "event_id", "correlation_id", "causation_id", "actor", "timestamp")
    event = json.loads(introduction)
    spoiled = {name: event[name] for name in kept} | {
        "event_id": event["event_id"][::-1].replace("-", "")[:32],
        "from_state": "ACKNOWLEDGED",
        "to_state": "INTRODUCED",
        "cause": {"kind": "advance", "reason": "poison", "event_id": None},
        "until": None,
        "statement": "nobody witnessed this",
    }
    return json.dumps(spoiled).encode()
