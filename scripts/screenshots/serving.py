"""The example's pages, served on the loopback for as long as they are looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from governance_flow.api.server import ServingProcess
from governance_flow.api.service import Service
from governance_flow.api.sockets import listening
from governance_flow.application.ports.overview import MotionFilter
from governance_flow.bootstrap import Flow
from governance_flow.dashboard.app import build_service_app
from governance_flow.domain.states import GovernanceState

ENDED = "Have the harbour dues audited"
BLOCKED = "A tram bell for the electric hay cart"
OVERDUE = "A windbreak for the upper allotments"


@asynccontextmanager
async def serving(flow: Flow) -> AsyncIterator[str]:
    """Serve an open pipeline on any free port, without a worker; yield its address."""
    service = Service(flow)
    with listening("127.0.0.1", 0) as listener:
        process = ServingProcess(build_service_app(service), service, listener)
        ready = asyncio.Event()
        running = asyncio.create_task(process.run(worker=False, on_ready=ready.set))
        try:
            await ready.wait()
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.stop()
            await running


async def paths(flow: Flow) -> dict[str, str]:
    """Return where every page is that somebody who is signed in can look at, by a short name."""
    motions = (await flow.status.motions(MotionFilter(), limit=200)).motions
    ids = {motion.title: motion.motion_id for motion in motions}
    tabled = next(m for m in motions if m.current_state is GovernanceState.TABLED)
    return {
        "board": "/",
        "motions": "/motions",
        "motions-found": "/motions?q=harbour",
        "motions-none": "/motions?q=dragon",
        "motion-ended": f"/motions/{ids[ENDED]}",
        "motion-blocked": f"/motions/{ids[BLOCKED]}",
        "motion-overdue": f"/motions/{ids[OVERDUE]}",
        "motion-tabled": f"/motions/{tabled.motion_id}",
        "story": f"/motions/{ids[ENDED]}/story",
        "attention": "/attention",
        "docket": "/docket",
        "audit": "/audit",
        "access": "/access",
        "problem": "/nowhere",
    }
