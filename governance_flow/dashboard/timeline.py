"""One motion's record as a timeline: what happened, who did it, and what vouches for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from governance_flow.application.audit.explain.sentences import sentence
from governance_flow.application.audit.explain.story import Kind, kind_of
from governance_flow.application.times import from_us
from governance_flow.domain.branches import Purpose
from governance_flow.domain.events import Actor, TransitionWitnessed
from governance_flow.domain.evolve import evolve
from governance_flow.domain.states import GovernanceState
from governance_flow.domain.witness import WitnessStatement
from governance_flow.transparency.errors import TransparencyError
from governance_flow.transparency.notes import Note

if TYPE_CHECKING:
    from uuid import UUID

    from governance_flow.application.ports.motion_details import MotionRecord
    from governance_flow.application.services.log_proofs import LogProofs
    from governance_flow.domain.motion import Motion

S = GovernanceState


@dataclass(frozen=True, slots=True)
class Statement:
    """A Knight's statement: as it was made, its digest, and whose signatures stand below it."""

    text: str
    digest: str
    signed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CoveredBy:
    """The first checkpoint that promises an event."""

    size: int
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """One event on the timeline."""

    version: int
    position: int
    committed_at: datetime
    kind: Kind
    topic: str
    actor: Actor
    told: str
    moved_to: GovernanceState | None
    statement: Statement | None
    content: dict[str, Any]
    checkpoint: CoveredBy | None = None


def fold(motion_id: UUID, records: Sequence[MotionRecord]) -> tuple[Motion, list[Entry]]:
    """Return the motion that the records make, and an entry for each of them, oldest first."""
    motion: Motion | None = None
    entries: list[Entry] = []
    for record in records:
        event = record.event
        moved = event if isinstance(event, TransitionWitnessed) else None
        told = sentence(event, motion)
        entries.append(
            Entry(
                version=record.version,
                position=record.position,
                committed_at=record.committed_at,
                kind=kind_of(event),
                topic=record.topic,
                actor=event.actor,
                told=f"{told[:1].upper()}{told[1:]}.",
                moved_to=moved.to_state if moved else None,
                statement=_statement(moved.statement) if moved else None,
                content=event.model_dump(mode="json", exclude={"statement"}),
            )
        )
        motion = evolve(motion, event, motion_id)
    if motion is None:
        raise ValueError("a motion begins with its introduction")
    return motion, entries


async def covered(entries: Sequence[Entry], proofs: LogProofs) -> dict[int, CoveredBy]:
    """Return for each position the first checkpoint that promises it, if there is one yet."""
    found = await proofs.covering([entry.position for entry in entries])
    return {
        position: CoveredBy(kept.size, from_us(kept.signed_at_us))
        for position, kept in found.items()
    }


def _statement(text: str) -> Statement:
    try:
        signed_by = tuple(signature.name for signature in Note.parse(text).signatures)
    except TransparencyError:
        signed_by = ()
    return Statement(text, WitnessStatement(text).digest, signed_by)


# -- The seven steps -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One of the canonical steps: who does what in it, and whether it is done."""

    who: str
    what: str
    standing: str
    """``done``, ``current``, ``ended`` (the motion ended here) or ``ahead``."""


STEPS = (
    ("King", "introduces"),
    ("Conclave", "ratifies"),
    ("President", "plans"),
    ("Duke", "executes"),
    ("Prince", "judges"),
    ("Knight", "witnesses"),
    ("Conclave", "acknowledges"),
)

_STEP_OF = {
    S.INTRODUCED: 1,
    S.DELIBERATING: 1,
    S.TABLED: 1,
    S.RATIFIED: 2,
    S.PLANNING: 2,
    S.EXECUTING: 3,
    S.JUDGING: 4,
    S.WITNESSING: 5,
    S.ACKNOWLEDGED: len(STEPS),
}
"""How many steps are done in each state; in the next one the motion stands."""


def steps_of(motion: Motion, entries: Sequence[Entry]) -> list[Step]:
    """Return the seven steps as they stand for a motion."""
    state = motion.state
    if state in (S.REJECTED, S.WITHDRAWN):
        state = _last_state_before(entries)
    done = _STEP_OF[state]
    if state is S.WITNESSING and Purpose.RECORD in motion.outputs:
        done += 1
    here = "ended" if motion.terminal else "current"
    return [
        Step(who, what, "done" if index < done else here if index == done else "ahead")
        for index, (who, what) in enumerate(STEPS)
    ]


def _last_state_before(entries: Sequence[Entry]) -> GovernanceState:
    moves = [entry.content["from_state"] for entry in entries if entry.moved_to is not None]
    return GovernanceState(moves[-1])
