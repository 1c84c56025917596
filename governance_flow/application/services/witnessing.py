"""Asking the Knight, and not believing what does not bind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from governance_flow.application.ports.knight_witness import WitnessStatement
from governance_flow.domain.errors import WitnessFailed

if TYPE_CHECKING:
    from governance_flow.application.ports.knight_witness import (
        KnightWitnessProtocol,
        WitnessRequest,
    )


class Witnessing:
    """Wraps the Knight: bounded in time, and checked. Every way to fail is a WitnessFailed."""

    def __init__(self, knight: KnightWitnessProtocol, timeout_seconds: float) -> None:
        self._knight = knight
        self._timeout_seconds = timeout_seconds

    async def statement(self, request: WitnessRequest) -> WitnessStatement:
        """Return a statement that binds ``request``; raises WitnessFailed otherwise."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer: object = await self._knight.witness(request)
        except TimeoutError as error:
            msg = f"the Knight did not answer within {self._timeout_seconds:g} s"
            raise WitnessFailed(msg, motion_id=request.motion_id) from error
        except WitnessFailed:
            raise
        except Exception as error:
            # Recorded by the caller as an ORCHESTRATOR_ERROR, which halts the motion.
            msg = f"the Knight failed: {type(error).__name__}: {error}"
            raise WitnessFailed(msg, motion_id=request.motion_id) from error
        if not isinstance(answer, WitnessStatement) or not isinstance(answer.text, str):
            msg = f"the Knight returned {type(answer).__name__}, not a WitnessStatement"
            raise WitnessFailed(msg, motion_id=request.motion_id)
        answer.require_binding(request)
        return answer
