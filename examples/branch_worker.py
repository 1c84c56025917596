"""A branch worker: does the Duke's work, task by task as the President has planned it.

export GOVERNANCE_FLOW_URL=http://127.0.0.1:8400
export GOVERNANCE_FLOW_TOKEN=$(governance-flow token create planters --role branch --branch duke)
python examples/branch_worker.py
"""

import asyncio
import os
import signal
from contextlib import suppress

from governance_flow.client import BranchAssignment, Client, work
from governance_flow.domain.branches import Purpose


async def carry_out(assignment: BranchAssignment) -> dict[str, object]:
    """Do one assignment. What is raised here becomes a failure: TimeoutError is tried again."""
    results = {}
    for task in assignment.outputs[Purpose.PLAN]["tasks"]:
        await asyncio.sleep(0)  # Here the work would be done.
        evidence = dict.fromkeys(task["criteria"], f"seen at {assignment.title}")
        results[task["id"]] = {"done": True, "evidence": evidence}
    return {"results": results}


async def main() -> None:
    """Work until Ctrl-C or SIGTERM; what is in hand is given back then."""
    url, token = os.environ["GOVERNANCE_FLOW_URL"], os.environ["GOVERNANCE_FLOW_TOKEN"]
    async with Client(url, token) as client:
        working = asyncio.create_task(work(client, carry_out, concurrency=4))
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
        with suppress(asyncio.CancelledError):
            await working


asyncio.run(main())
