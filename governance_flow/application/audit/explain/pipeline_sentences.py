"""What each event of the pipeline's own stream says, in a sentence."""

from __future__ import annotations

from typing import assert_never

from governance_flow.application.audit.explain.phrases import counted, name, quoted, who
from governance_flow.domain.events import (
    AlertDelivered,
    ConfigurationAdopted,
    KeyAdopted,
    PipelineEvent,
    PipelineHalted,
    PipelineResumed,
)
from governance_flow.domain.keys import KeyRole

DIGEST_CHARACTERS = 12


def pipeline_sentence(event: PipelineEvent) -> str:
    """Return what an event says."""
    match event:
        case PipelineHalted():
            return (
                f"{who(event.actor)} halted the whole pipeline: {quoted(event.reason)}; "
                "until it is resumed no motion moves, and deadlines stand still"
            )
        case PipelineResumed():
            return f"{who(event.actor)} resumed the pipeline: {quoted(event.reason)}"
        case ConfigurationAdopted():
            digest = event.digest[:DIGEST_CHARACTERS]
            return (
                f"{who(event.actor)} put a configuration in force ({name(digest)}…); "
                "work handed out from then on goes by it"
            )
        case AlertDelivered():
            about = "the pipeline" if event.motion_id is None else "the motion"
            tries = "" if event.attempts == 1 else f" after {counted(event.attempts, 'attempt')}"
            return f"an alert about {about} reached {name(event.sink)}{tries}"
        case KeyAdopted():
            return (
                f"{who(event.actor)} put a key in use: from then on {_signed(event.role)} are "
                f"signed with {quoted(event.key)}"
            )
        case _:
            assert_never(event)


def _signed(role: KeyRole) -> str:
    match role:
        case KeyRole.KNIGHT:
            return "the Knight's witness statements"
        case KeyRole.LOG:
            return "the checkpoints of the audit log"
        case _:
            assert_never(role)
