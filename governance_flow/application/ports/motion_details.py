"""What is shown of one motion: all that it says, and all that has happened to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass as plain_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from governance_flow.application.ports.flow_orchestrator import MotionPipelineState
from governance_flow.domain.branches import Purpose
from governance_flow.domain.events import Ballot

if TYPE_CHECKING:
    from governance_flow.domain.events import MotionEvent


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class MotionDetails:
    """A motion whole. ``outputs`` are what its steps have produced, by purpose.

    ``ballots`` are those that count: an amendment makes earlier ones void.
    """

    status: MotionPipelineState
    text: str
    amended: bool
    ballots: Mapping[str, Ballot]
    metadata: Mapping[str, Any]
    outputs: Mapping[Purpose, Mapping[str, Any]]
    correlation_id: UUID


@plain_dataclass(frozen=True, slots=True)
class MotionRecord:
    """One event of a motion, and its place in the log."""

    position: int
    version: int
    committed_at: datetime
    topic: str
    event: MotionEvent
