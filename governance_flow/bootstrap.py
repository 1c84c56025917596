"""The composition root: everything is wired here, and nothing is built when it is imported."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from governance_flow.application.audit.derived import ListsCheck, ReadModelSide
from governance_flow.application.audit.export import Exporter
from governance_flow.application.audit.record import RecordCheck
from governance_flow.application.audit.replay import Replayer
from governance_flow.application.audit.verify import Auditor
from governance_flow.application.ports.clock import Clock, IdSource, SystemClock
from governance_flow.application.process_manager.agenda import AgendaKeeper
from governance_flow.application.process_manager.alerting import Alerting
from governance_flow.application.process_manager.background import Failures
from governance_flow.application.process_manager.dispatching import Dispatcher
from governance_flow.application.process_manager.operations import Operations
from governance_flow.application.process_manager.reconciling import Reconciler
from governance_flow.application.process_manager.reporting import Reporting
from governance_flow.application.process_manager.worker import Worker
from governance_flow.application.services.breaker import Breaker
from governance_flow.application.services.completions import Completions
from governance_flow.application.services.external import ExternalAssignments
from governance_flow.application.services.flow_orchestrator_service import (
    FlowOrchestratorService,
)
from governance_flow.application.services.health import Health
from governance_flow.application.services.motion_commands import MotionCommands
from governance_flow.application.services.motions import Motions
from governance_flow.application.services.pipelines import Pipelines
from governance_flow.application.services.processing import Processing
from governance_flow.application.services.status import StatusQueries
from governance_flow.application.services.witnessing import Witnessing
from governance_flow.branches.knight import KnightWitness
from governance_flow.branches.registry import build_branches
from governance_flow.infrastructure.alerts import build_alert_sinks
from governance_flow.infrastructure.assignments import SqlAssignmentStore
from governance_flow.infrastructure.audit_log import SqlAuditLog
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from governance_flow.infrastructure.mapper import JsonEventMapper
from governance_flow.infrastructure.metrics import PrometheusMetrics
from governance_flow.infrastructure.settings import as_configuration
from governance_flow.infrastructure.snapshots import SqlSnapshots
from projections.activity import ActivityProjection
from projections.motions import MotionsProjection
from projections.read_model import SqlReadModel
from projections.rebuild import Rebuilder
from projections.reconcile import ReadModelCheck
from projections.runner import ProjectionRunner

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from governance_flow.application.ports.alerts import AlertSink
    from governance_flow.application.ports.assignments import AssignmentStore
    from governance_flow.application.ports.branch_services import BranchService, EarlService
    from governance_flow.application.ports.database import Database
    from governance_flow.application.ports.event_store import EventStore
    from governance_flow.application.ports.knight_witness import KnightWitnessProtocol
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.domain.configuration import FlowConfiguration

STORE_VARIABLE = "GOVERNANCE_FLOW_STORE"
DEFAULT_STORE = "sqlite:///governance-flow.db"


@dataclass(frozen=True, slots=True)
class Flow:
    """An open pipeline: what commands, workers and auditors need, wired to one store."""

    address: str
    configuration: FlowConfiguration
    orchestrator: FlowOrchestratorService
    worker: Worker
    external: ExternalAssignments
    store: EventStore
    database: Database
    mapper: EventMapper
    assignments: AssignmentStore
    read_model: SqlReadModel
    runner: ProjectionRunner
    rebuilder: Rebuilder
    reconciler: Reconciler
    pipelines: Pipelines
    auditor: Auditor
    replayer: Replayer
    exporter: Exporter
    health: Health
    metrics: PrometheusMetrics


@asynccontextmanager
async def open_flow(  # noqa: PLR0913 - every port can be replaced
    address: str | None = None,
    *,
    config: FlowConfiguration | Mapping[str, Any] | Path | str | None = None,
    branches: Mapping[str, BranchService] | None = None,
    earl: EarlService | None = None,
    knight: KnightWitnessProtocol | None = None,
    alert_sinks: Sequence[AlertSink] | None = None,
    clock: Clock | None = None,
    new_id: IdSource = uuid4,
    environ: Mapping[str, str] | None = None,
    worker_name: str | None = None,
) -> AsyncIterator[Flow]:
    """Open the store at ``address`` and wire a pipeline to it; close both at the end.

    ``address`` is ``memory:``, ``sqlite:///path`` or ``postgresql://...``; without one the
    environment variable GOVERNANCE_FLOW_STORE says, else ``sqlite:///governance-flow.db``.
    ``config`` is a file, a mapping in the file's shape, or a configuration. ``branches`` replaces
    configured services by name. ``clock`` sets the process's and the store's time, for tests.

    Raises ConfigurationError for a bad configuration, StoreError if the store cannot be used.
    """
    environ = os.environ if environ is None else environ
    address = address or environ.get(STORE_VARIABLE) or DEFAULT_STORE
    configuration = as_configuration(config, environ)
    process_clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        database = await asyncio.to_thread(open_database, address, clock=clock)
        stack.push_async_callback(database.close)
        metrics = PrometheusMetrics()
        store = GroupCommitEventStore(database, on_group=metrics.appended)
        stack.push_async_callback(store.close)
        mapper = JsonEventMapper()
        assignments = SqlAssignmentStore(database)

        pipelines = Pipelines(
            store=store,
            mapper=mapper,
            clock=process_clock,
            new_id=new_id,
            configuration=configuration,
        )
        witnessing = Witnessing(
            knight or KnightWitness(), configuration.knight.witness_timeout_seconds
        )
        motions = Motions(store, mapper, witnessing, SqlSnapshots(database))
        commands = MotionCommands(
            motions=motions,
            pipelines=pipelines,
            clock=process_clock,
            new_id=new_id,
            max_conflicts=configuration.limits.max_append_conflicts,
        )
        breaker = Breaker(store, mapper, pipelines, process_clock)
        completions = Completions(commands, breaker, metrics, configuration)
        processing = Processing(commands, breaker)

        if alert_sinks is None:
            built_sinks = build_alert_sinks(configuration.alerts, environ, process_clock)
            for sink in built_sinks:
                stack.push_async_callback(sink.close)
            alert_sinks = built_sinks
        sinks = {sink.name: sink for sink in alert_sinks}

        operations = Operations(assignments, tuple(sinks), pipelines.rules)
        projections = (MotionsProjection(), ActivityProjection())
        runner = ProjectionRunner(database, store, mapper, (operations, *projections))
        await runner.prepare()
        read_model = SqlReadModel(database, runner, store)
        status = StatusQueries(store, motions, pipelines, read_model, process_clock)
        orchestrator = FlowOrchestratorService(
            store=store,
            motions=motions,
            commands=commands,
            completions=completions,
            processing=processing,
            pipelines=pipelines,
            status=status,
            breaker=breaker,
            clock=process_clock,
            new_id=new_id,
        )
        services = build_branches(
            configuration,
            branches,
            environ=environ,
            earl=earl,
            read_record=RecordCheck(store, mapper).problems,
            clock=process_clock,
        )
        stack.push_async_callback(services.close)
        wake = asyncio.Event()
        failures = Failures()
        reconciler = Reconciler(
            store=store,
            database=database,
            assignments=assignments,
            operations=operations,
            motions=motions,
            pipelines=pipelines,
            read_model=read_model,
        )
        worker = Worker(
            store=store,
            assignments=assignments,
            follower=runner,
            pipelines=pipelines,
            agenda=AgendaKeeper(
                database=database,
                assignments=assignments,
                operations=operations,
                processing=processing,
                pipelines=pipelines,
                read_model=read_model,
                clock=process_clock,
                failures=failures,
            ),
            dispatcher=Dispatcher(
                database=database,
                assignments=assignments,
                motions=motions,
                reporting=Reporting(completions, configuration.worker.poll_seconds),
                pipelines=pipelines,
                services=services,
                owner=worker_name or _worker_name(new_id),
                policy=configuration.worker,
                metrics=metrics,
                failures=failures,
                on_done=wake.set,
            ),
            alerting=Alerting(
                assignments=assignments,
                pipelines=pipelines,
                sinks=sinks,
                retry_seconds=configuration.alerts.retry_seconds,
                failures=failures,
                on_done=wake.set,
            ),
            reconciler=reconciler,
            policy=configuration.worker,
            clock=process_clock,
            failures=failures,
            wake=wake,
        )
        log = SqlAuditLog(database)
        check = ReadModelCheck(database, store, mapper)
        places = configuration.max_concurrent_motions
        yield Flow(
            address=address,
            configuration=configuration,
            orchestrator=orchestrator,
            worker=worker,
            external=ExternalAssignments(
                store=store,
                assignments=assignments,
                follower=runner,
                motions=motions,
                pipelines=pipelines,
            ),
            store=store,
            database=database,
            mapper=mapper,
            assignments=assignments,
            read_model=read_model,
            runner=runner,
            rebuilder=Rebuilder(database, store, mapper, projections),
            reconciler=reconciler,
            pipelines=pipelines,
            auditor=Auditor(
                log,
                mapper,
                read_model=ReadModelSide(read_model, check),
                lists=ListsCheck(store, log, mapper, read_model, assignments),
            ),
            replayer=Replayer(log, mapper, process_clock, places),
            exporter=Exporter(log, mapper),
            health=Health(store, read_model, assignments, process_clock, places),
            metrics=metrics,
        )


def _worker_name(new_id: IdSource) -> str:
    """Return a name that tells a person where the worker runs, and no two workers share."""
    unique: UUID = new_id()
    return f"{socket.gethostname()}:{os.getpid()}:{unique.hex[:8]}"
