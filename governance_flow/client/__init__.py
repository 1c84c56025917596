"""A client of the HTTP service, for branch workers and for people's own programs.

A branch worker is a coroutine and one call::

    async def plant(assignment: BranchAssignment) -> dict[str, object]:
        return {"results": {"task-1": "planted"}}

    async with Client("https://flow.example.org", token) as client:
        await work(client, plant, concurrency=4)
"""

from governance_flow.application.ports.flow_orchestrator import (
    BranchAssignment,
    CompletionOutcome,
    MotionPipelineState,
    PipelineStatus,
)
from governance_flow.client.answers import Change, EventRecord, Introduced
from governance_flow.client.client import Client
from governance_flow.client.errors import (
    ApiError,
    ClientError,
    Conflict,
    FieldFault,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotHeld,
    ServerMistake,
    TooManyDenials,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
    Unreachable,
    VersionMoved,
    Violation,
)
from governance_flow.client.retries import Retries
from governance_flow.client.runner import Answer, Failed, Handler, work

__all__ = [
    "Answer",
    "ApiError",
    "BranchAssignment",
    "Change",
    "Client",
    "ClientError",
    "CompletionOutcome",
    "Conflict",
    "EventRecord",
    "Failed",
    "FieldFault",
    "Forbidden",
    "Handler",
    "Introduced",
    "InvalidRequest",
    "MotionPipelineState",
    "NotFound",
    "NotHeld",
    "PipelineStatus",
    "Retries",
    "ServerMistake",
    "TooManyDenials",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
    "Unreachable",
    "VersionMoved",
    "Violation",
    "work",
]
