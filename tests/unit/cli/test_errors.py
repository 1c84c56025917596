"""Every error ends a command with one line on stderr and the right exit code."""

from __future__ import annotations

import pytest
import typer

from governance_flow.cli.errors import Failed, UsedWrongly, describe, exit_code, reported_errors
from governance_flow.domain.errors import (
    ConfigurationError,
    GovernanceFlowError,
    InvalidInput,
    NotAllowed,
    StoreLocked,
    UnknownMotion,
)


def ends_with(error: BaseException, *, debug: bool = False) -> int:
    with pytest.raises(typer.Exit) as ended, reported_errors(debug=debug):
        raise error
    return ended.value.exit_code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InvalidInput("no"), 2),
        (ConfigurationError("no"), 2),
        (UsedWrongly("no"), 2),
        (UnknownMotion("no"), 1),
        (NotAllowed("no"), 1),
        (StoreLocked("no"), 1),
        (Failed("no"), 1),
        (OSError(13, "Permission denied", "a.txt"), 1),
        (RuntimeError("no"), 1),
        (ExceptionGroup("several", [InvalidInput("no"), StoreLocked("no")]), 2),
        (KeyboardInterrupt(), 130),
    ],
)
def test_the_exit_code_says_whose_fault_it_is(error: BaseException, code: int) -> None:
    assert ends_with(error) == code


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (GovernanceFlowError("no\nroom \x1b[1m"), "error: no room \\u001b[1m\n"),
        (OSError(13, "Permission denied", "a.txt"), "error: a.txt: Permission denied\n"),
        (OSError(28, "No space left on device"), "error: No space left on device\n"),
        (
            RuntimeError("odd"),
            (
                "error: unexpected RuntimeError: odd; this is a mistake in the program, "
                "add --debug to see where\n"
            ),
        ),
        (Failed(""), ""),
        (KeyboardInterrupt(), "stopped\n"),
    ],
)
def test_an_error_is_said_in_one_line(
    error: BaseException, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ends_with(error)
    assert capsys.readouterr() == ("", said)


def test_debug_shows_where_it_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    ends_with(StoreLocked("somebody writes"), debug=True)
    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert said.endswith("error: somebody writes\n")


def test_what_the_command_line_itself_raises_passes() -> None:
    for error in (typer.Exit(7), typer.Abort(), typer.BadParameter("bad")):
        with pytest.raises(type(error)), reported_errors(debug=False):
            raise error


def test_an_os_error_without_words_still_says_something() -> None:
    assert describe(OSError()) == "OSError"
    assert exit_code(OSError()) == 1
