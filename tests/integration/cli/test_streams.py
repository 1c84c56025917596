"""Help for every command, and good manners towards whatever reads the output."""

from __future__ import annotations

import json
import os
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner

from governance_flow.cli import app
from tests.support.cli import ENVIRONMENT, Cli, finished, motion, start, write_motions

COMMANDS = (
    ("run",),
    ("import",),
    ("introduce",),
    ("worker",),
    ("status",),
    ("motions",),
    ("motion",),
    ("assignments",),
    ("complete",),
    ("fail",),
    ("amend",),
    ("withdraw",),
    ("resolve",),
    ("retry",),
    ("halt",),
    ("resume",),
    ("metrics",),
    ("rebuild",),
    ("audit", "verify"),
    ("audit", "replay"),
    ("audit", "export"),
)


def help_of(*words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--help"], env=ENVIRONMENT)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_explains_itself_with_an_example(words: tuple[str, ...]) -> None:
    text = help_of(*words)
    assert "Examples:" in text
    assert f"governance-flow {' '.join(words)}" in text
    assert "--store" in text
    assert "--config" in text
    assert "[/" not in text


def test_the_program_lists_its_commands_and_says_its_version() -> None:
    text = help_of()
    for words in COMMANDS:
        assert words[0] in text
    assert "Exit codes: 0 done" in text
    assert CliRunner().invoke(app, ["--version"]).stdout.split() == [
        "governance-flow",
        version("governance-flow"),
    ]


@pytest.mark.parametrize(
    "line", ["fly", "status --no-such-option", "motion", "rebuild", "audit fly"]
)
def test_what_is_typed_wrongly_is_a_mistake_of_the_caller(line: str) -> None:
    result = CliRunner().invoke(app, line.split(), env=ENVIRONMENT)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Usage: " in result.stderr


def test_an_address_that_is_none_is_explained(tmp_path: Path) -> None:
    for address in ("flow.db", "mysql://host/flow", "sqlite:///"):
        said = Cli(address)("status", code=2).stderr
        assert "postgresql://user@host:port/database" in said


@pytest.fixture
def filled(cli: Cli, tmp_path: Path) -> Cli:
    motions = [motion(f"Motion {number}, café 堂") for number in range(60)]
    cli("import", write_motions(tmp_path / "motions.jsonl", motions))
    return cli


def test_a_reader_that_leaves_early_is_left_in_peace(filled: Cli) -> None:
    process = filled.program("motions", "--limit", 300, "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    process.wait(60)
    assert process.stderr.read() == ""
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("words", [("motions",), ("motions", "--json"), ("audit", "export")])
def test_output_that_cannot_be_written_is_an_error(filled: Cli, words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        process = filled.program(*words, stdout=full)
        _, err = finished(process, code=1)
    assert err == "error: No space left on device\n"


def test_json_is_the_same_whatever_stdout_can_show(filled: Cli) -> None:
    texts = []
    for encoding in ("utf-8", "ascii", "latin-1"):
        process = filled.program(
            "motions", "--limit", 1, "--json", env={"PYTHONIOENCODING": encoding}
        )
        out, _ = finished(process)
        texts.append(json.loads(out)["motions"][0]["title"])
    assert set(texts) == {"Motion 0, café 堂"}


def test_a_terminal_that_cannot_show_a_character_gets_another(filled: Cli) -> None:
    process = filled.program("motions", "--limit", 1, env={"PYTHONIOENCODING": "ascii"})
    out, _ = finished(process)
    assert "Motion 0, caf? ?" in out


def test_colour_is_left_out_if_that_is_asked_for(filled: Cli) -> None:
    coloured = {"FORCE_COLOR": "1", "TERM": "xterm-256color", "NO_COLOR": ""}
    out, _ = finished(filled.program("status", env=coloured))
    assert "\x1b[" in out
    out, _ = finished(filled.program("status", env={**coloured, "NO_COLOR": "1"}))
    assert "\x1b[3" not in out
    out, _ = finished(filled.program("status"))
    assert "\x1b" not in out


def test_the_store_can_come_from_the_environment(filled: Cli) -> None:
    process = start("status", "--json", env={"GOVERNANCE_FLOW_STORE": filled.store})
    assert json.loads(finished(process)[0])["active_motions"] == 60


def test_metrics_can_be_read_by_prometheus(filled: Cli) -> None:
    families = {f.name: f for f in text_string_to_metric_families(filled("metrics").stdout)}
    assert families
    assert all(family.documentation for family in families.values())


def test_an_unexpected_error_says_how_to_see_more(filled: Cli, tmp_path: Path) -> None:
    broken = tmp_path / "sitecustomize.py"
    broken.write_text(
        "import governance_flow.bootstrap as b\n"
        "def open_flow(*args, **options):\n"
        "    raise RuntimeError('out of cheese')\n"
        "b.open_flow = open_flow\n"
    )
    environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
    process = filled.program("status", env=environment)
    _, err = finished(process, code=1)
    assert err == (
        "error: unexpected RuntimeError: out of cheese; "
        "this is a mistake in the program, add --debug to see where\n"
    )
    process = filled.program("status", "--debug", env=environment, stdout=subprocess.DEVNULL)
    _, err = process.communicate()
    assert "Traceback" in err
    assert process.returncode == 1
