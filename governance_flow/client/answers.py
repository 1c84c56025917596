"""What the service answers with, read into the types that the service itself uses.

What a newer service says in addition is not read, and does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast
from uuid import UUID

import httpx
from pydantic import AwareDatetime, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    CompletionOutcome,
    MotionPage,
    MotionPipelineState,
    PipelineStatus,
)
from governance_flow.application.ports.motion_details import MotionDetails
from governance_flow.application.ports.overview import FoundMotions
from governance_flow.client.errors import UnexpectedAnswer

T = TypeVar("T")


@dataclass(frozen=True)
class Introduced:
    """A motion that was put before the assembly; not ``new``: the same one was there before."""

    motion_id: UUID
    new: bool


@dataclass(frozen=True)
class Fetched:
    """Assignments that are the caller's until their leases end."""

    assignments: tuple[BranchAssignment, ...]


@dataclass(frozen=True)
class EventRecord:
    """One event of a motion as it is recorded, and its place in the log."""

    position: int
    version: int
    committed_at: AwareDatetime
    topic: str
    event: Mapping[str, Any]


@dataclass(frozen=True)
class EventPage:
    """Events of a motion in order, and behind which version the next page begins."""

    events: tuple[EventRecord, ...]
    next_after: int | None


@dataclass(frozen=True)
class Change:
    """Something has changed: up to where in the log, and which motions moved.

    If there were too many to name, ``motions`` is empty and ``more`` is true.
    """

    position: int
    halted: bool
    motions: tuple[UUID, ...] = ()
    more: bool = False


_ADAPTERS: Mapping[Any, TypeAdapter[Any]] = {
    kind: TypeAdapter(kind)
    for kind in (
        Change,
        CompletionOutcome,
        EventPage,
        Fetched,
        FoundMotions,
        Introduced,
        MotionDetails,
        MotionPage,
        MotionPipelineState,
        PipelineStatus,
    )
}


def read(kind: type[T], response: httpx.Response) -> T:
    """Return what an answer says; raises UnexpectedAnswer if it says something else."""
    return read_text(kind, response.content, str(response.request.url.copy_with(query=None)))


def read_text(kind: type[T], text: bytes | str, url: str) -> T:
    """Return what a text of the service's says; raises UnexpectedAnswer as ``read`` does."""
    try:
        return cast("T", _ADAPTERS[kind].validate_json(text, extra="ignore"))
    except ValidationError as error:
        msg = (
            f"{url} answered with something that is no {kind.__name__}; is the service much newer "
            f"or older than this client? {error}"
        )
        raise UnexpectedAnswer(msg) from error
