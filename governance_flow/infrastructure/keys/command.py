"""A private key behind a command: the message goes in, the signature comes out, nothing else.

The command gets the message on its standard input, to the end, and answers with one line: the
base64 of the 64 bytes of the Ed25519 signature. It is started anew for each signature, without a
shell, and without the environment variables of ours, which may hold secrets.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, cast

from governance_flow.domain.errors import KeyUnavailable
from governance_flow.domain.keys import KeyRole
from governance_flow.infrastructure.keys.refusals import signer_variable, unavailable
from governance_flow.transparency.encoding import from_base64
from governance_flow.transparency.errors import shown
from governance_flow.transparency.keys import Ed25519Verifier

SIGNER_SECONDS: Final = 5.0
"""How long one signature may take."""

COMMANDS_AT_ONCE_MAX: Final = 8
"""How many signatures of one key are under way at a time; further ones wait for their turn."""

OUTPUT_BYTES_MAX: Final = 4096
"""So much of what the command says is kept, on each of its outputs; a signature takes 89."""

OUR_PREFIX: Final = "GOVERNANCE_FLOW_"
"""Environment variables of ours, which the command does not get."""

_SAID_CHARACTERS_MAX: Final = 200
_SIGNATURE_BYTES: Final = 64
_END_SECONDS: Final = 1.0
_STDIN, _STDOUT, _STDERR = range(3)


class CommandKey:
    """Signs by a command. ``seconds`` bounds each signature, the start of the command included."""

    def __init__(
        self,
        role: KeyRole,
        verifier: Ed25519Verifier,
        command: Sequence[str],
        environ: Mapping[str, str],
        *,
        seconds: float = SIGNER_SECONDS,
    ) -> None:
        self.verifier = verifier
        self._role = role
        self._command = tuple(command)
        self._environ = {
            name: value for name, value in environ.items() if not name.startswith(OUR_PREFIX)
        }
        self._seconds = seconds
        self._turns = asyncio.Semaphore(COMMANDS_AT_ONCE_MAX)

    async def sign(self, message: bytes) -> bytes:
        """Return the signature of ``message``, which is known to be this key's.

        Raises KeyUnavailable if the command fails, hangs, or answers with anything else.
        """
        async with self._turns:
            talk = await self._run(message)
        if talk.exit_code != 0:
            raise self._failure(_ending(talk.exit_code), talk)
        if len(talk.output) > OUTPUT_BYTES_MAX:
            raise self._failure(f"answered with more than {OUTPUT_BYTES_MAX} bytes", talk)
        answer = talk.output.decode(errors="replace").strip()
        signature = from_base64(answer)
        if signature is None or len(signature) != _SIGNATURE_BYTES:
            raise self._failure(
                f"answered {shown(answer)}, not the base64 of {_SIGNATURE_BYTES} bytes", talk
            )
        if not self.verifier.verify(message, signature):
            raise self._failure(
                f"gave a signature that is not one of {self.verifier.vkey} for the message", talk
            )
        return signature

    def __repr__(self) -> str:
        return f"CommandKey({self.verifier.vkey})"

    async def _run(self, message: bytes) -> _Talk:
        loop = asyncio.get_running_loop()
        talk = _Talk(loop)
        # A task of its own: whoever gives up while it starts must still be able to end it all.
        # In a session of its own: Ctrl-C is for us, and it can be ended with its children.
        starting = asyncio.ensure_future(
            loop.subprocess_exec(
                lambda: talk, *self._command, env=self._environ, start_new_session=True
            )
        )
        try:
            async with asyncio.timeout(self._seconds):
                transport, _ = await asyncio.shield(starting)
                entry = cast("asyncio.WriteTransport", transport.get_pipe_transport(_STDIN))
                entry.write(message)
                entry.close()
                await asyncio.shield(talk.over)
        except TimeoutError:
            failure = self._failure(f"was not done within {self._seconds:g} s", talk)
        except OSError as error:
            failure = self._failure(f"cannot be started: {error.strerror}", talk)
        else:
            talk.exit_code = cast("int", transport.get_returncode())
            return talk
        finally:
            await asyncio.wait([starting], timeout=_END_SECONDS)
            if not starting.done() or starting.exception() is not None:
                starting.cancel()
            else:
                await _end(starting.result()[0], talk)
        raise failure

    def _failure(self, what: str, talk: _Talk) -> KeyUnavailable:
        said = talk.first_complaint()
        return unavailable(
            self._role,
            f"the command {shown(self._command[0])} of {signer_variable(self._role)} {what}"
            + (f" (it said: {said})" if said else ""),
            "see to it that it answers a message on its standard input with the base64 of the"
            " signature",
        )


class _Talk(asyncio.SubprocessProtocol):
    """What the command said, and a future for when it has ended and can say nothing more."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.over = loop.create_future()
        self.exit_code = 0
        self._said = {_STDOUT: bytearray(), _STDERR: bytearray()}

    @property
    def output(self) -> bytes:
        """What it answered, cut one byte beyond what is allowed."""
        return bytes(self._said[_STDOUT])

    def first_complaint(self) -> str:
        """Return the first line of its error output that is not empty, fit for a message."""
        text = self._said[_STDERR].decode(errors="replace")
        line = next((line.strip() for line in text.splitlines() if line.strip()), "")
        fit = "".join(letter if letter.isprintable() else "?" for letter in line)
        return f"{fit[:_SAID_CHARACTERS_MAX]}..." if len(fit) > _SAID_CHARACTERS_MAX else fit

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep the beginning; the rest is read, so that the command is not held up, and dropped."""
        said = self._said[fd]
        said += data[: OUTPUT_BYTES_MAX + 1 - len(said)]

    def connection_lost(self, _exc: Exception | None) -> None:
        """Note that it has ended, and so has everybody who could have written for it."""
        if not self.over.done():
            self.over.set_result(None)


async def _end(transport: asyncio.SubprocessTransport, talk: _Talk) -> None:
    """Leave nothing behind: neither the process, nor its children, nor our ends of the pipes."""
    if not talk.over.done():
        with suppress(ProcessLookupError):
            os.killpg(transport.get_pid(), signal.SIGKILL)
    transport.close()
    # What was killed is gone in a moment; if the system takes longer, we do not.
    await asyncio.wait([talk.over], timeout=_END_SECONDS)


def _ending(exit_code: int) -> str:
    if exit_code < 0:
        return f"was ended by signal {-exit_code}"
    return f"failed with exit code {exit_code}"
