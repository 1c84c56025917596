"""Asking the Knight, and not believing what does not bind."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

from governance_flow.application.begun import Begun
from governance_flow.application.ports.knight_witness import WitnessStatement
from governance_flow.application.services.introductions import made_storable
from governance_flow.domain.errors import WitnessFailed

if TYPE_CHECKING:
    from governance_flow.application.ports.knight_witness import (
        KnightWitnessProtocol,
        WitnessRequest,
    )

MAX_STATEMENT_CHARACTERS = 1_000_000
MAX_REASON_CHARACTERS = 8_000


class Witnessing:
    """Wraps the Knight: bounded in time, and checked. Every way to fail is a WitnessFailed."""

    def __init__(self, knight: KnightWitnessProtocol, timeout_seconds: float) -> None:
        self._knight = knight
        self._timeout_seconds = timeout_seconds

    async def statement(self, request: WitnessRequest) -> WitnessStatement:
        """Return a statement that binds ``request``; raises WitnessFailed otherwise."""
        answer = await self._ask(request)
        if not isinstance(answer, WitnessStatement) or not isinstance(answer.text, str):
            raise _failed(
                request, f"the Knight returned {type(answer).__name__}, not a WitnessStatement"
            )
        if len(answer.text) > MAX_STATEMENT_CHARACTERS:
            raise _failed(request, f"the Knight's statement has {len(answer.text)} characters")
        try:
            answer.require_binding(request)
        except WitnessFailed as error:
            raise _failed(request, str(error)) from error
        return answer

    async def _ask(self, request: WitnessRequest) -> object:
        """Return whatever the Knight answers; raises WitnessFailed if he does not."""
        expired = False
        try:
            begun: Begun[object] = Begun(self._knight.witness(request))
            if begun.done:
                return begun.result
            try:
                async with asyncio.timeout(self._timeout_seconds) as limit:
                    return await begun
            finally:
                expired = limit.expired()
        except KeyboardInterrupt:
            raise
        except WitnessFailed as error:
            raise _failed(request, str(error)) from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise _failed(request, "the Knight cancelled itself") from error
        except BaseException as error:
            # Recorded by the caller as an ORCHESTRATOR_ERROR, which halts the motion.
            if expired:
                why = f"the Knight did not answer within {self._timeout_seconds:g} s"
                raise _failed(request, why) from error
            # Not str(error): that is foreign code too, and may raise in its turn.
            said = "".join(traceback.format_exception_only(error)).strip()
            raise _failed(request, f"the Knight failed: {said}") from error


def _failed(request: WitnessRequest, why: str) -> WitnessFailed:
    """Return the error, saying why in words that can be stored whatever the Knight has said."""
    return WitnessFailed(
        made_storable(why, max_characters=MAX_REASON_CHARACTERS), motion_id=request.motion_id
    )
