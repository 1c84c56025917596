"""Opens a store, and wires a pipeline to it."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

from governance_flow.application.audit.record import RecordCheck
from governance_flow.application.ids import RandomIds
from governance_flow.application.ports.clock import Clock, IdSource
from governance_flow.branches.knight import KnightWitness
from governance_flow.branches.registry import build_branches
from governance_flow.infrastructure.alerts import build_alert_sinks
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.keys.keyring import build_keyring
from governance_flow.infrastructure.keys.last_signed import MemoryLastSigned, build_last_signed
from governance_flow.infrastructure.settings import as_configuration
from governance_flow.infrastructure.worker_names import unique_worker_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from governance_flow.application.ports.alerts import AlertSink
    from governance_flow.application.ports.branch_services import BranchService, EarlService
    from governance_flow.application.ports.keys import Keyring
    from governance_flow.application.ports.knight_witness import KnightWitnessProtocol
    from governance_flow.domain.configuration import FlowConfiguration

from governance_flow.bootstrap.flow import Flow
from governance_flow.bootstrap.wiring import Wiring

STORE_VARIABLE = "GOVERNANCE_FLOW_STORE"
DEFAULT_STORE = "sqlite:///governance-flow.db"


@asynccontextmanager
async def open_flow(
    address: str | None = None,
    *,
    config: FlowConfiguration | Mapping[str, Any] | Path | str | None = None,
    branches: Mapping[str, BranchService] | None = None,
    earl: EarlService | None = None,
    knight: KnightWitnessProtocol | None = None,
    keyring: Keyring | None = None,
    alert_sinks: Sequence[AlertSink] | None = None,
    clock: Clock | None = None,
    new_id: IdSource | None = None,
    environ: Mapping[str, str] | None = None,
    worker_name: str | None = None,
) -> AsyncIterator[Flow]:
    """Open the store at ``address`` and wire a pipeline to it; close both at the end.

    ``address`` is ``memory:``, ``sqlite:///path`` or ``postgresql://...``; without one the
    environment variable GOVERNANCE_FLOW_STORE says, else ``sqlite:///governance-flow.db``.
    ``config`` is a file, a mapping in the file's shape, or a configuration. ``branches`` replaces
    configured services by name. ``keyring`` holds the private keys; without one they come from the
    environment, or from files beside the store. ``clock`` sets the store's time, by which
    everything is decided, for tests.

    Raises ConfigurationError for a bad configuration, StoreError if the store cannot be used.
    """
    environ = os.environ if environ is None else environ
    new_id = new_id or RandomIds()
    address = address or environ.get(STORE_VARIABLE) or DEFAULT_STORE
    configuration = as_configuration(config, environ)
    async with AsyncExitStack() as stack:
        database = await asyncio.to_thread(open_database, address, clock=clock)
        stack.push_async_callback(database.close)
        if alert_sinks is None:
            alert_sinks = build_alert_sinks(configuration.alerts, environ, clock)
            for sink in alert_sinks:
                stack.push_async_callback(sink.close)
        wiring = Wiring(
            database=database,
            configuration=configuration,
            knight=knight or KnightWitness(),
            keyring=keyring or build_keyring(address, environ),
            last_signed=MemoryLastSigned() if keyring else build_last_signed(address, environ),
            sinks={sink.name: sink for sink in alert_sinks},
            clock=database.clock,
            new_id=new_id,
        )
        stack.push_async_callback(wiring.store.close)
        services = build_branches(
            configuration,
            branches,
            environ=environ,
            earl=earl,
            read_record=RecordCheck(wiring.store, wiring.mapper).problems,
            clock=clock,
        )
        stack.push_async_callback(services.close)
        await wiring.runner.prepare()
        yield wiring.flow(
            address, wiring.worker(services, worker_name or unique_worker_name(new_id))
        )
