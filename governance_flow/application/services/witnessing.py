"""Asking the Knight, not believing what does not bind, and signing what does."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

from governance_flow.application.begun import Begun
from governance_flow.application.ports.knight_witness import WitnessStatement
from governance_flow.application.services.input_fields import made_storable
from governance_flow.application.services.keys import cosigned, signed
from governance_flow.domain.errors import KeyUnavailable, WitnessFailed
from governance_flow.domain.keys import KeyRole
from governance_flow.transparency.encoding import control_character
from governance_flow.transparency.errors import TransparencyError
from governance_flow.transparency.notes import open_note

if TYPE_CHECKING:
    from governance_flow.application.ports.knight_witness import (
        KnightWitnessProtocol,
        WitnessRequest,
    )
    from governance_flow.application.services.keys import Keys

MAX_STATEMENT_CHARACTERS = 1_000_000
MAX_REASON_CHARACTERS = 8_000
LINES = 2
"""What a statement has that nobody has signed yet: its format and its content."""


class Witnessing:
    """Wraps the Knight: bounded in time, checked, and signed. Every failure is a WitnessFailed."""

    def __init__(self, knight: KnightWitnessProtocol, keys: Keys, timeout_seconds: float) -> None:
        self._knight = knight
        self._keys = keys
        self._timeout_seconds = timeout_seconds

    async def statement(self, request: WitnessRequest) -> WitnessStatement:
        """Return a signed statement that binds ``request``; raises WitnessFailed otherwise."""
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
        return await self._sealed(request, answer.text)

    async def _sealed(self, request: WitnessRequest, statement: str) -> WitnessStatement:
        """Sign with the Knight's key; whoever else has signed the statement stays below it."""
        try:
            key = await self._keys.signing(KeyRole.KNIGHT)
            if statement.count("\n") != LINES or not statement.endswith("\n"):
                note = await cosigned(statement, key)
                # Auditors must be able to read what others have signed, and it must end there.
                if open_note(note, [key.verifier]).text.count("\n") != LINES:
                    raise _failed(request, "the Knight's statement goes on below its content")
                return WitnessStatement(note)
            if not _plain(statement) and control_character(statement) is not None:
                raise _failed(request, "the Knight's statement holds a control character")
            return WitnessStatement(await signed(statement, key))
        except (KeyUnavailable, TransparencyError) as error:
            raise _failed(request, f"the statement cannot be signed: {error}") from error

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


def _plain(statement: str) -> bool:
    """Whether it is all ordinary characters, as nearly every statement is: told at a glance."""
    return statement.isascii() and statement.replace("\n", "").isprintable()


def _failed(request: WitnessRequest, why: str) -> WitnessFailed:
    """Return the error, saying why in words that can be stored whatever the Knight has said."""
    return WitnessFailed(
        made_storable(why, max_characters=MAX_REASON_CHARACTERS), motion_id=request.motion_id
    )
