"""An open pipeline, as commands, workers, services and auditors are given it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from governance_flow.application.audit.tools import AuditTools
from governance_flow.application.process_manager.reconciling import Reconciler
from governance_flow.application.process_manager.worker import Worker
from governance_flow.application.services.bulk import Bulk
from governance_flow.application.services.external import ExternalAssignments
from governance_flow.application.services.fetching import FetchDesk
from governance_flow.application.services.flow_orchestrator_service import (
    FlowOrchestratorService,
)
from governance_flow.application.services.health import Health
from governance_flow.application.services.introducing import Introducing
from governance_flow.application.services.keys import Keys
from governance_flow.application.services.motion_details import MotionReader
from governance_flow.application.services.pipelines import Pipelines
from governance_flow.application.services.status import StatusQueries
from governance_flow.infrastructure.metrics import PrometheusMetrics
from projections.read_model import SqlReadModel
from projections.rebuild import Rebuilder
from projections.runner import ProjectionRunner

if TYPE_CHECKING:
    from governance_flow.application.access.gatekeeper import Gatekeeper
    from governance_flow.application.ports.access import AccessStore
    from governance_flow.application.ports.assignments import AssignmentStore
    from governance_flow.application.ports.database import Database
    from governance_flow.application.ports.event_store import EventStore
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.domain.configuration import FlowConfiguration


@dataclass(frozen=True, slots=True)
class Flow:
    """An open pipeline: what commands, workers and auditors need, wired to one store."""

    address: str
    configuration: FlowConfiguration
    orchestrator: FlowOrchestratorService
    introducing: Introducing
    status: StatusQueries
    worker: Worker
    external: ExternalAssignments
    desk: FetchDesk
    store: EventStore
    database: Database
    mapper: EventMapper
    assignments: AssignmentStore
    read_model: SqlReadModel
    runner: ProjectionRunner
    rebuilder: Rebuilder
    reconciler: Reconciler
    pipelines: Pipelines
    audit: AuditTools
    keys: Keys
    bulk: Bulk
    reader: MotionReader
    gatekeeper: Gatekeeper
    access: AccessStore
    health: Health
    metrics: PrometheusMetrics
