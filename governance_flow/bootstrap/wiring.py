"""Every part of a pipeline, and what each is made of."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from governance_flow.application.access.gatekeeper import Gatekeeper
from governance_flow.application.audit.derived import ListsCheck, ReadModelSide
from governance_flow.application.audit.tools import AuditLogParts, AuditTools
from governance_flow.application.ports.clock import Clock, IdSource
from governance_flow.application.process_manager.agenda import AgendaKeeper
from governance_flow.application.process_manager.alerting import Alerting
from governance_flow.application.process_manager.background import Failures
from governance_flow.application.process_manager.dispatching import Dispatcher
from governance_flow.application.process_manager.following import Following
from governance_flow.application.process_manager.reconciling import Reconciler
from governance_flow.application.process_manager.reporting import Reporting
from governance_flow.application.process_manager.worker import Worker
from governance_flow.application.services.breaker import Breaker
from governance_flow.application.services.bulk import Bulk
from governance_flow.application.services.checkpointing import Checkpointing
from governance_flow.application.services.completions import Completions
from governance_flow.application.services.doorway import Doorway
from governance_flow.application.services.external import ExternalAssignments
from governance_flow.application.services.fetching import FetchDesk
from governance_flow.application.services.flow_orchestrator_service import (
    FlowOrchestratorService,
)
from governance_flow.application.services.health import Health
from governance_flow.application.services.introducing import Introducing
from governance_flow.application.services.keys import Keys
from governance_flow.application.services.motion_commands import MotionCommands
from governance_flow.application.services.motion_details import MotionReader
from governance_flow.application.services.motions import Motions
from governance_flow.application.services.pipelines import Pipelines
from governance_flow.application.services.processing import Processing
from governance_flow.application.services.status import StatusQueries
from governance_flow.application.services.transparency import TreeReader
from governance_flow.application.services.witnessing import Witnessing
from governance_flow.bootstrap.flow import Flow
from governance_flow.infrastructure.access import SqlAccessStore
from governance_flow.infrastructure.assignments import SqlAssignmentStore
from governance_flow.infrastructure.audit_log import SqlAuditLog
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from governance_flow.infrastructure.log_checkpoints import SqlLogCheckpoints
from governance_flow.infrastructure.mapper import JsonEventMapper
from governance_flow.infrastructure.metrics import PrometheusMetrics
from governance_flow.infrastructure.snapshots import SqlSnapshots
from projections.activity import ActivityProjection
from projections.log import LogProjection
from projections.log_tree import SqlLogTree
from projections.motions import MotionsProjection
from projections.read_model import SqlReadModel
from projections.rebuild import Rebuilder
from projections.reconcile import ReadModelCheck
from projections.runner import ProjectionRunner
from projections.search import SearchProjection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from governance_flow.application.ports.alerts import AlertSink
    from governance_flow.application.ports.branch_services import BranchService
    from governance_flow.application.ports.keys import Keyring, LastSigned
    from governance_flow.application.ports.knight_witness import KnightWitnessProtocol
    from governance_flow.application.ports.projection import Projection
    from governance_flow.domain.configuration import FlowConfiguration
    from governance_flow.infrastructure.database.base import AnyDatabase


@dataclass(frozen=True)
class Wiring:
    """Every part, made once, when something first needs it."""

    database: AnyDatabase
    configuration: FlowConfiguration
    knight: KnightWitnessProtocol
    keyring: Keyring
    last_signed: LastSigned
    sinks: Mapping[str, AlertSink]
    clock: Clock
    new_id: IdSource

    # -- The store and what stands directly on it ----------------------------------------------

    @cached_property
    def metrics(self) -> PrometheusMetrics:
        return PrometheusMetrics()

    @cached_property
    def store(self) -> GroupCommitEventStore:
        return GroupCommitEventStore(self.database, on_group=self.metrics.appended)

    @cached_property
    def mapper(self) -> JsonEventMapper:
        return JsonEventMapper()

    @cached_property
    def assignments(self) -> SqlAssignmentStore:
        return SqlAssignmentStore(self.database)

    # -- Commands ------------------------------------------------------------------------------

    @cached_property
    def pipelines(self) -> Pipelines:
        return Pipelines(
            store=self.store,
            mapper=self.mapper,
            clock=self.clock,
            new_id=self.new_id,
            configuration=self.configuration,
            sinks=tuple(self.sinks),
        )

    @cached_property
    def keys(self) -> Keys:
        return Keys(self.keyring, self.pipelines)

    @cached_property
    def motions(self) -> Motions:
        timeout_seconds = self.configuration.knight.witness_timeout_seconds
        witnessing = Witnessing(self.knight, self.keys, timeout_seconds)
        return Motions(self.store, self.mapper, witnessing, SqlSnapshots(self.database))

    @cached_property
    def commands(self) -> MotionCommands:
        return MotionCommands(
            motions=self.motions,
            pipelines=self.pipelines,
            clock=self.clock,
            new_id=self.new_id,
            max_conflicts=self.configuration.limits.max_append_conflicts,
        )

    @cached_property
    def doorway(self) -> Doorway:
        return Doorway(self.commands)

    @cached_property
    def introducing(self) -> Introducing:
        return Introducing(
            store=self.store,
            motions=self.motions,
            pipelines=self.pipelines,
            doorway=self.doorway,
            clock=self.clock,
            new_id=self.new_id,
        )

    @cached_property
    def breaker(self) -> Breaker:
        return Breaker(self.store, self.mapper, self.pipelines, self.clock)

    @cached_property
    def completions(self) -> Completions:
        return Completions(self.commands, self.breaker, self.metrics, self.configuration)

    @cached_property
    def processing(self) -> Processing:
        return Processing(self.commands, self.breaker)

    @cached_property
    def orchestrator(self) -> FlowOrchestratorService:
        return FlowOrchestratorService(
            introducing=self.introducing,
            commands=self.commands,
            completions=self.completions,
            processing=self.processing,
            pipelines=self.pipelines,
            status=self.status,
            breaker=self.breaker,
        )

    @cached_property
    def status(self) -> StatusQueries:
        return StatusQueries(self.store, self.motions, self.pipelines, self.read_model, self.clock)

    @cached_property
    def gatekeeper(self) -> Gatekeeper:
        return Gatekeeper(self.access, self.clock)

    @cached_property
    def access(self) -> SqlAccessStore:
        return SqlAccessStore(self.database)

    @cached_property
    def external(self) -> ExternalAssignments:
        return ExternalAssignments(
            store=self.store,
            assignments=self.assignments,
            motions=self.motions,
            pipelines=self.pipelines,
        )

    # -- What follows the events ---------------------------------------------------------------

    @cached_property
    def projections(self) -> tuple[Projection, ...]:
        return (MotionsProjection(), ActivityProjection(), SearchProjection(), LogProjection())

    @cached_property
    def runner(self) -> ProjectionRunner:
        return ProjectionRunner(self.database, self.store, self.mapper, self.projections)

    @cached_property
    def audit_log(self) -> AuditLogParts:
        tree = SqlLogTree(self.database)
        reader, kept = TreeReader(tree), SqlLogCheckpoints(self.database)
        signing = Checkpointing(
            reader, kept, self.keys, self.last_signed, pipelines=self.pipelines, clock=self.clock
        )
        return AuditLogParts(tree, reader, kept, signing, self.last_signed)

    @cached_property
    def read_model(self) -> SqlReadModel:
        return SqlReadModel(self.database, self.runner)

    @cached_property
    def read_model_check(self) -> ReadModelCheck:
        return ReadModelCheck(self.database, self.store, self.mapper)

    @cached_property
    def reconciler(self) -> Reconciler:
        return Reconciler(
            store=self.store,
            assignments=self.assignments,
            motions=self.motions,
            pipelines=self.pipelines,
            read_model=self.read_model,
            breaker=self.breaker,
            sample=self.read_model_check.sample,
        )

    def worker(self, services: Mapping[str, BranchService], name: str) -> Worker:
        wake = asyncio.Event()
        failures = Failures()
        policy = self.configuration.worker
        dispatcher = Dispatcher(
            assignments=self.assignments,
            motions=self.motions,
            reporting=Reporting(self.completions, policy.poll_seconds),
            pipelines=self.pipelines,
            services=services,
            owner=name,
            policy=policy,
            metrics=self.metrics,
            failures=failures,
            on_done=wake.set,
        )
        return Worker(
            store=self.store,
            assignments=self.assignments,
            following=Following(
                self.runner, self.audit_log.checkpointing, self.assignments, self.clock, name
            ),
            pipelines=self.pipelines,
            agenda=AgendaKeeper(
                store=self.store,
                assignments=self.assignments,
                motions=self.motions,
                processing=self.processing,
                dispatcher=dispatcher,
                doorway=self.doorway,
                pipelines=self.pipelines,
                read_model=self.read_model,
                database=self.database,
                clock=self.clock,
                failures=failures,
            ),
            dispatcher=dispatcher,
            alerting=Alerting(
                assignments=self.assignments,
                pipelines=self.pipelines,
                sinks=self.sinks,
                retry_seconds=self.configuration.alerts.retry_seconds,
                failures=failures,
                on_done=wake.set,
            ),
            reconciler=self.reconciler,
            policy=policy,
            clock=self.clock,
            failures=failures,
            wake=wake,
        )

    # -- What is handed out --------------------------------------------------------------------

    def flow(self, address: str, worker: Worker) -> Flow:
        store, mapper, places = self.store, self.mapper, self.configuration.max_concurrent_motions
        log = SqlAuditLog(self.database)
        return Flow(
            address=address,
            configuration=self.configuration,
            orchestrator=self.orchestrator,
            introducing=self.introducing,
            status=self.status,
            worker=worker,
            external=self.external,
            desk=FetchDesk(self.external, self.assignments, self.configuration.worker.poll_seconds),
            store=store,
            database=self.database,
            mapper=mapper,
            assignments=self.assignments,
            read_model=self.read_model,
            runner=self.runner,
            rebuilder=Rebuilder(self.database, store, mapper, self.projections),
            reconciler=self.reconciler,
            pipelines=self.pipelines,
            audit=AuditTools.over(
                log,
                mapper,
                clock=self.clock,
                places=places,
                read_model=ReadModelSide(self.read_model, self.read_model_check),
                lists=ListsCheck(store, log, mapper, self.read_model, self.assignments),
                log=self.audit_log,
                store=store,
                follower=self.runner,
            ),
            keys=self.keys,
            bulk=Bulk(self.orchestrator, store, mapper),
            reader=MotionReader(store, mapper, self.motions, self.status),
            gatekeeper=self.gatekeeper,
            access=self.access,
            health=Health(store, self.read_model, self.assignments, self.clock, places),
            metrics=self.metrics,
        )
