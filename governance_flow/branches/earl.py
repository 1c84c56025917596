"""The built-in Earl: reports every task as done, with evidence for each of its criteria.

It stands in for whoever really does the work. Give ``open_flow`` an ``EarlService`` of your own to
do something; the Prince believes ``done`` only together with evidence for every criterion.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from governance_flow.application.ports.branch_services import EarlTask


class Earl:
    """Does what it is told, at once, and says so."""

    async def carry_out(self, task: EarlTask) -> Mapping[str, Any]:
        """Return the task's result."""
        evidence = f"reported by the Earl for {task.task.get('description', '')!r}"
        return {
            "done": True,
            "evidence": dict.fromkeys(task.task.get("criteria", ()), evidence),
        }
