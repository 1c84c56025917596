"""What the API answers about access, jobs and the audit: shown, and never sent."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from governance_flow.api.schemas import JsonObject
from governance_flow.application.access.permissions import Permission
from governance_flow.application.ports.flow_orchestrator import MotionPipelineState
from governance_flow.domain.branches import GovernanceBranch


class WhoAmI(BaseModel):
    """What the token that came with the request allows."""

    token_id: str
    name: str
    permissions: list[Permission]
    branches: list[GovernanceBranch]


class ProjectionView(BaseModel):
    """One projection of the read model, how far it is behind, and its rebuild, if there is one."""

    name: str
    behind_events: int
    behind_seconds: float
    rebuild: JobView | None


class JobView(BaseModel):
    """Something that takes longer than a request."""

    running: bool
    done: int
    total: int
    error: str | None
    result: JsonObject | None = None


class Projections(BaseModel):
    """The projections there are."""

    projections: list[ProjectionView]


class CheckpointView(BaseModel):
    """A promise of the audit log about everything up to a size; `note` is what was signed."""

    size: int
    events: int
    root: str
    signed_at: datetime
    note: str
    current: bool = Field(description="False: a newer one could not be signed; see `unsigned`.")
    unsigned: str | None = None


class ConsistencyView(BaseModel):
    """The proof that one checkpoint's log begins with the other's: nodes in base64 (RFC 6962)."""

    old_size: int
    old_root: str
    new_size: int
    new_root: str
    proof: list[str]


class MomentView(BaseModel):
    """A moment of the past: everything up to a position, and when that was committed."""

    position: int
    at: datetime


class ReplayedMotion(MomentView):
    """A motion as it stood then."""

    motion: MotionPipelineState


class ConfigurationView(BaseModel):
    """The configuration in force, and its digest, by which events refer to it."""

    digest: str
    configuration: JsonObject


class TokenView(BaseModel):
    """A token, without what would let anybody use it."""

    token_id: str
    name: str
    permissions: list[Permission]
    branches: list[GovernanceBranch]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class TokenList(BaseModel):
    """Every token that was ever made out, the oldest first."""

    tokens: list[TokenView]


class DenialView(BaseModel):
    """Requests that were turned away alike in one minute."""

    number: int
    minute: datetime
    reason: str
    token_id: str
    name: str
    client: str
    operation: str
    count: int


class DenialPage(BaseModel):
    """Denials, the newest first."""

    denials: list[DenialView]
    next_before: int | None


ProjectionView.model_rebuild()
