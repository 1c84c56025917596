"""What a failed command says, and the exit code it ends with.

0: done. 1: it failed, or found a fault. 2: it was used wrongly. 130: somebody pressed Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from governance_flow.cli.terminal import plain, say
from governance_flow.domain.errors import GovernanceFlowError, InvalidInput

FAILED = 1
USED_WRONGLY = 2
INTERRUPTED = 128 + signal.SIGINT

_DEBUG_HINT = "add --debug to see where"


class UsedWrongly(InvalidInput):
    """The command line asks for something that makes no sense; the message says what would."""


class Failed(GovernanceFlowError):
    """The command has done what it could, has said so, and ends with a failure."""


@contextmanager
def reported_errors(*, debug: bool) -> Iterator[None]:
    """Turn whatever the block raises into one line on stderr and an exit code."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon_stdout()
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        say("stopped")
        raise typer.Exit(INTERRUPTED) from None
    except Failed as error:
        if error.message:
            say(f"error: {error.message}")
        raise typer.Exit(FAILED) from None
    except Exception as error:
        # Control flow of the command line itself: exits and complaints about its options.
        if isinstance(error, typer.Exit | typer.Abort | typer.BadParameter):
            raise
        if debug:
            traceback.print_exception(error)
        cause = _first_cause(error)
        say(f"error: {describe(cause)}")
        if isinstance(cause, OSError):
            _abandon_stdout_if_broken()
        raise typer.Exit(exit_code(cause)) from None


def exit_code(error: BaseException) -> int:
    """Return the exit code for an error that ended a command."""
    return USED_WRONGLY if isinstance(error, InvalidInput) else FAILED


def describe(error: BaseException) -> str:
    """Return an error in one line: what is wrong, where, and what to do about it."""
    match error:
        case GovernanceFlowError():
            return plain(error.message)
        case OSError() if error.strerror and error.filename:
            return plain(f"{error.filename}: {error.strerror}")
        case OSError():
            return plain(error.strerror or str(error) or type(error).__name__)
        case _:
            said = plain(f"{type(error).__name__}: {error}")
            return f"unexpected {said}; this is a mistake in the program, {_DEBUG_HINT}"


def _first_cause(error: BaseException) -> BaseException:
    """Return the first error of a group: what failed first is what a person can mend."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _abandon_stdout() -> None:
    """Let nothing be written to a reader that has gone, not even when Python exits."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _abandon_stdout_if_broken() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _abandon_stdout()
