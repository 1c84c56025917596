"""Checkpoints, bundles, proofs and keys, as an operator and an auditor type them."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
import subprocess
import sys
from base64 import b64decode
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from governance_flow.transparency.checkpoints import open_checkpoint
from governance_flow.transparency.encoding import to_base64
from governance_flow.transparency.keys import Ed25519Signer, Ed25519Verifier
from governance_flow.transparency.merkle import verify_consistency
from tests.support.cli import Cli, motion, write_motions
from tests.support.keys import secret_of

NOBODY = "00000000-0000-4000-8000-000000000000"
SCRIPT = Path(__file__).parents[3] / "scripts" / "verify_bundle.py"


@pytest.fixture
def driven(cli: Cli, tmp_path: Path) -> Cli:
    """Return a pipeline with two motions, one of them acknowledged."""
    return grown(cli, tmp_path, "A", "B")


def grown(cli: Cli, tmp_path: Path, *titles: str) -> Cli:
    """Introduce motions and let a worker do what it can."""
    cli("import", write_motions(tmp_path / "motions.jsonl", [motion(title) for title in titles]))
    cli("worker", "--until-idle")
    return cli


def store_path(cli: Cli) -> Path:
    return Path(cli.store.removeprefix("sqlite:///"))


def keys_folder(cli: Cli) -> Path:
    path = store_path(cli)
    return path.with_name(f"{path.name}.keys")


def copied(cli: Cli, folder: Path, *, keys: bool = True) -> Cli:
    """Return a copy of the store elsewhere, with its keys."""
    folder.mkdir()
    copy = Cli(f"sqlite:///{folder / 'flow.db'}")
    with (
        closing(sqlite3.connect(store_path(cli))) as source,
        closing(sqlite3.connect(store_path(copy))) as target,
    ):
        source.backup(target)
    if keys:
        shutil.copytree(keys_folder(cli), keys_folder(copy))
    return copy


def vkey(cli: Cli, role: str) -> str:
    keys = cli.json("keys", "show")["keys"]
    return next(str(key["key"]) for key in reversed(keys) if key["role"] == role)


def head(cli: Cli) -> int:
    with closing(sqlite3.connect(store_path(cli))) as connection:
        [(position,)] = connection.execute("SELECT position FROM head")
    return int(position)


def script(path: Path, *options: str, code: int = 0) -> str:
    """Check a bundle as a stranger does, who has only the file and the script."""
    line = [sys.executable, "-I", str(SCRIPT), str(path), *options]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == code, (done.stdout, done.stderr)
    return " ".join((done.stdout + done.stderr).split())


# -- audit checkpoint ------------------------------------------------------------------------------


def test_a_checkpoint_is_printed_as_a_note_that_others_can_open(
    driven: Cli, tmp_path: Path
) -> None:
    note = driven("audit", "checkpoint").stdout
    key = Ed25519Verifier.parse(vkey(driven, "log"))
    opened = open_checkpoint(note, origin=key.name, log_keys=[key]).checkpoint
    assert opened.size == head(driven) + 1
    # The same again, because nothing has happened; as a file, and as JSON.
    path = tmp_path / "checkpoint"
    said = driven("audit", "checkpoint", "--output", path).stderr
    assert path.read_text() == note
    assert str(path) in said
    found = driven.json("audit", "checkpoint")
    assert (found["note"], found["size"], found["events"]) == (note, opened.size, opened.size - 1)
    assert (found["root"], found["current"]) == (to_base64(opened.root), True)


def test_the_first_checkpoint_of_a_store_covers_the_adoption_of_its_own_key(
    cli: Cli, tmp_path: Path
) -> None:
    cli("import", write_motions(tmp_path / "m.jsonl", [motion("A")]))
    found = cli.json("audit", "checkpoint")
    assert found["size"] == head(cli) + 1
    with closing(sqlite3.connect(store_path(cli))) as connection:
        topics = connection.execute("SELECT topic FROM events ORDER BY position").fetchall()
    assert topics[-1] == ("KEY_ADOPTED",)


def test_without_the_logs_key_the_latest_is_printed_and_it_is_said_why(
    driven: Cli, tmp_path: Path
) -> None:
    note = driven("audit", "checkpoint").stdout
    driven("import", write_motions(tmp_path / "more.jsonl", [motion("C")]))
    (keys_folder(driven) / "log.key").rename(tmp_path / "elsewhere.key")
    result = driven("audit", "checkpoint")
    assert result.stdout == note
    assert "not of this moment, but the latest that was signed" in result.stderr
    assert str(keys_folder(driven)) in result.stderr
    assert not driven.json("audit", "checkpoint")["current"]


def test_without_any_checkpoint_and_key_it_fails_and_says_why(cli: Cli, tmp_path: Path) -> None:
    cli("import", write_motions(tmp_path / "m.jsonl", [motion("A")]))
    cli("audit", "checkpoint")
    bare = copied(cli, tmp_path / "bare", keys=False)
    with closing(sqlite3.connect(store_path(bare))) as connection, connection:
        connection.execute("DROP TRIGGER log_checkpoints_kept_delete")
        connection.execute("DELETE FROM log_checkpoints")
    said = bare("audit", "checkpoint", code=1).stderr
    assert "no checkpoint was signed yet, and none can be" in said


# -- audit prove -----------------------------------------------------------------------------------


def test_a_bundle_is_checked_by_a_script_that_has_nothing_of_ours(
    driven: Cli, tmp_path: Path
) -> None:
    path = tmp_path / "bundle.json"
    said = driven("audit", "prove", driven.id_of("A"), "--output", path).stderr
    bundle = json.loads(path.read_bytes())
    assert f"wrote {len(bundle['events'])} events" in said
    checkpoint = tmp_path / "checkpoint"
    driven("audit", "checkpoint", "--output", checkpoint)
    options = ("--log-key", vkey(driven, "log"), "--knight-key", vkey(driven, "knight"))
    verdict = script(path, *options, "--checkpoint", str(checkpoint))
    assert "is ACKNOWLEDGED" in verdict
    assert "NOT COMPARED" not in verdict
    # To stdout it is the same file.
    assert json.loads(driven("audit", "prove", driven.id_of("A")).stdout) == bundle


@pytest.mark.parametrize("what", ["title", "proof", "checkpoint"])
def test_a_bundle_that_was_changed_by_a_byte_is_refused(
    driven: Cli, tmp_path: Path, what: str
) -> None:
    path = tmp_path / "bundle.json"
    driven("audit", "prove", driven.id_of("A"), "--output", path)
    bundle = json.loads(path.read_bytes())
    first = bundle["events"][0]
    match what:
        case "title":
            first["state"] = first["state"].replace("of oak", "of tin")
        case "proof":
            first["proof"] = bundle["events"][1]["proof"]
        case _:
            origin, size, rest = bundle["checkpoint"].split("\n", 2)
            bundle["checkpoint"] = f"{origin}\n{int(size) + 1}\n{rest}"
    path.write_text(json.dumps(bundle))
    assert "FAULT" in script(path, code=1)


def test_a_motion_that_is_not_there_cannot_be_proved(driven: Cli, tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    said = driven("audit", "prove", NOBODY, "--output", path, code=1).stderr
    assert f"there is no motion {NOBODY}" in said
    assert not path.exists()
    driven("audit", "prove", "not an id", code=2)


def test_without_the_logs_key_what_came_since_cannot_be_proved(driven: Cli, tmp_path: Path) -> None:
    driven("audit", "checkpoint")
    driven("import", write_motions(tmp_path / "more.jsonl", [motion("C")]))
    (keys_folder(driven) / "log.key").unlink()
    path = tmp_path / "bundle.json"
    said = driven("audit", "prove", driven.id_of("C"), "--output", path, code=1).stderr
    assert "the latest checkpoint covers" in said
    assert not path.exists()
    said = driven("audit", "prove", driven.id_of("A"), "--output", path).stderr
    assert "under the latest checkpoint, because none can be signed" in said
    assert "is ACKNOWLEDGED" in script(path)


# -- audit consistency -----------------------------------------------------------------------------


def test_a_log_that_only_grew_is_proved_to_have(driven: Cli, tmp_path: Path) -> None:
    old = tmp_path / "old"
    driven("audit", "checkpoint", "--output", old)
    first = driven.json("audit", "checkpoint")
    grown(driven, tmp_path, "C", "D")
    second = driven.json("audit", "checkpoint")
    for line in ([old], [first["size"]], [first["size"], second["size"]], [old, second["size"]]):
        proved = driven.json("audit", "consistency", *line)
        assert proved["consistent"]
        assert proved["old"] == {"size": first["size"], "root": first["root"]}
        assert proved["new"] == {"size": second["size"], "root": second["root"]}
        nodes = [_bytes(node) for node in proved["proof"]]
        sizes = first["size"], second["size"]
        verify_consistency(*sizes, nodes, _bytes(first["root"]), _bytes(second["root"]))
    assert "Consistent" in driven("audit", "consistency", old).stdout
    assert (
        "Consistent" in driven("audit", "consistency", old, "--log-key", vkey(driven, "log")).stdout
    )


def _bytes(encoded: str) -> bytes:
    return b64decode(encoded, validate=True)


def test_the_smaller_checkpoint_is_named_first_and_each_is_one(driven: Cli, tmp_path: Path) -> None:
    first = driven.json("audit", "checkpoint")["size"]
    grown(driven, tmp_path, "C")
    second = driven.json("audit", "checkpoint")["size"]
    said = driven("audit", "consistency", second, first, code=2).stderr
    assert "name the smaller one first" in said
    said = driven("audit", "consistency", 2, code=2).stderr
    assert "no checkpoint of size 2 was signed" in said
    rubbish = tmp_path / "rubbish"
    rubbish.write_text("rubbish\n")
    said = driven("audit", "consistency", rubbish, code=2).stderr
    assert "not a checkpoint of this log" in said
    driven("audit", "consistency", tmp_path / "nowhere", code=2)
    other = Ed25519Signer("example.com/log", bytes(32)).vkey
    driven("audit", "consistency", first, "--log-key", other, code=2)
    driven("audit", "consistency", first, "--log-key", "rubbish", code=2)


def test_two_copies_that_went_on_differently_are_told_apart(driven: Cli, tmp_path: Path) -> None:
    driven("audit", "checkpoint")
    fork = copied(driven, tmp_path / "fork")
    grown(driven, tmp_path, "here")
    grown(fork, tmp_path, "there")
    theirs = tmp_path / "theirs"
    fork("audit", "checkpoint", "--output", theirs)
    grown(driven, tmp_path, "and more")
    said = driven("audit", "consistency", theirs, code=1).stderr
    assert "do not speak of one log that only grew" in said
    report = driven.json("audit", "verify", "--checkpoint", theirs, code=1)
    assert {fault["check"] for fault in report["faults"]} == {"checkpoint"}
    assert driven.json("audit", "verify")["passed"]


# -- keys ------------------------------------------------------------------------------------------


def test_before_anything_was_signed_there_is_no_key_to_show(cli: Cli, tmp_path: Path) -> None:
    cli("import", write_motions(tmp_path / "m.jsonl", [motion("A")]))
    assert cli.json("keys", "show") == {"keys": []}
    assert "No key was adopted yet" in cli("keys", "show").stdout


def test_the_public_keys_are_shown_and_the_private_ones_are_files_for_their_owner_alone(
    driven: Cli,
) -> None:
    keys = driven.json("keys", "show")["keys"]
    assert {key["role"] for key in keys} == {"knight", "log"}
    assert [key["position"] for key in keys] == sorted(key["position"] for key in keys)
    shown = driven("keys", "show").stdout
    for key in keys:
        assert key["key"] in shown
        path = keys_folder(driven) / f"{key['role']}.key"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert Ed25519Signer.parse(path.read_text().strip()).vkey == key["key"]
        assert path.with_suffix(".pub").read_text().strip() == key["key"]


def test_the_knights_key_is_replaced_and_everything_said_before_stays_good(
    driven: Cli, tmp_path: Path
) -> None:
    first = vkey(driven, "knight")
    result = driven("keys", "rotate", "--by", "zoe")
    second = result.stdout.strip()
    assert vkey(driven, "knight") == second != first
    grown(driven, tmp_path, "C")
    own = Ed25519Signer("example.com/knight", bytes(range(32)))
    given = tmp_path / "own.key"
    given.touch(0o600)
    given.write_text(f"{own.private_key()}\n")
    assert driven("keys", "rotate", "--by", "zoe", "--to", given).stdout.strip() == own.vkey
    grown(driven, tmp_path, "D")
    report = driven.json("audit", "verify")
    assert report["passed"]
    for title in "ACD":
        path = tmp_path / f"{title}.json"
        driven("audit", "prove", driven.id_of(title), "--output", path)
        assert json.loads(path.read_bytes())["keys"]["knight"] == [first, second, own.vkey]
        assert "is ACKNOWLEDGED" in script(path, "--knight-key", first)
    # Any key the Knight has had is one an auditor may know him by.
    for key in (first, second, own.vkey):
        assert driven.json("audit", "verify", "--knight-key", key)["passed"]


def test_a_key_that_cannot_be_used_replaces_nothing(driven: Cli, tmp_path: Path) -> None:
    position = head(driven)
    rubbish = tmp_path / "rubbish.key"
    rubbish.touch(0o600)
    rubbish.write_text("PRIVATE+KEY+hush\n")
    said = driven("keys", "rotate", "--by", "zoe", "--to", rubbish, code=1).stderr
    assert "hush" not in said
    rubbish.chmod(0o644)
    assert "chmod 600" in driven("keys", "rotate", "--by", "zoe", "--to", rubbish, code=1).stderr
    driven("keys", "rotate", "--by", "zoe", "--to", tmp_path / "nowhere", code=2)
    driven("keys", "rotate", code=2)
    assert head(driven) == position


# -- audit verify ----------------------------------------------------------------------------------


def test_what_an_auditor_kept_elsewhere_still_holds(driven: Cli, tmp_path: Path) -> None:
    paths = [tmp_path / f"checkpoint {number}" for number in range(2)]
    driven("audit", "checkpoint", "--output", paths[0])
    grown(driven, tmp_path, "C")
    driven("audit", "checkpoint", "--output", paths[1])
    grown(driven, tmp_path, "D")
    report = driven.json(
        "audit",
        "verify",
        *("--checkpoint", paths[1], "--checkpoint", paths[0]),
        *("--log-key", vkey(driven, "log"), "--knight-key", vkey(driven, "knight")),
    )
    assert report["passed"]


def test_an_older_backup_put_back_is_found_by_a_checkpoint_kept_elsewhere(
    driven: Cli, tmp_path: Path
) -> None:
    backup = copied(driven, tmp_path / "backup")
    grown(driven, tmp_path, "C")
    kept = tmp_path / "kept"
    driven("audit", "checkpoint", "--output", kept)
    assert backup.json("audit", "verify")["passed"]
    report = backup.json("audit", "verify", "--checkpoint", kept, code=1)
    assert report["faults"][0]["check"] == "checkpoint"
    assert "an older backup was restored" in report["faults"][0]["message"]


def test_the_keys_of_another_store_are_not_found_here(driven: Cli, tmp_path: Path) -> None:
    other = grown(Cli(f"sqlite:///{tmp_path / 'other.db'}"), tmp_path, "A")
    for role in ("log", "knight"):
        report = driven.json("audit", "verify", f"--{role}-key", vkey(other, role), code=1)
        assert report["faults"][0]["check"] == "keys"
        assert vkey(driven, role) in report["faults"][0]["message"]


USED_WRONGLY: dict[str, Callable[[Path], list[Any]]] = {
    "no key": lambda _: ["--log-key", "rubbish"],
    "no such file": lambda folder: ["--checkpoint", folder / "nowhere"],
    "no checkpoint": lambda folder: ["--checkpoint", folder / "rubbish"],
    "no text": lambda folder: ["--checkpoint", folder / "bytes"],
    "an empty file": lambda folder: ["--checkpoint", folder / "empty"],
}


@pytest.mark.parametrize("words", USED_WRONGLY.values(), ids=USED_WRONGLY)
def test_what_is_no_key_and_no_checkpoint_is_said_to_be_none(
    driven: Cli, tmp_path: Path, words: Callable[[Path], list[Any]]
) -> None:
    (tmp_path / "rubbish").write_text("rubbish\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty").write_bytes(b"")
    said = driven("audit", "verify", *words(tmp_path), code=2).stderr
    assert "a mistake in the program" not in said


@pytest.mark.parametrize("first", [True, False], ids=["the first leaf", "the last leaf"])
def test_tiles_that_were_altered_are_found_and_the_log_is_built_anew(
    driven: Cli, first: bool
) -> None:
    driven("audit", "checkpoint")
    with closing(sqlite3.connect(store_path(driven))) as connection, connection:
        [(hashes,)] = connection.execute("SELECT hashes FROM log_tiles_1").fetchall()
        altered = bytearray(hashes)
        altered[0 if first else -1] ^= 1
        connection.execute("UPDATE log_tiles_1 SET hashes = ?", [bytes(altered)])
    report = driven.json("audit", "verify", code=1)
    assert "log" in {fault["check"] for fault in report["faults"]}
    driven("rebuild", "log")
    assert driven.json("audit", "verify")["passed"]


def test_tiles_that_are_missing_are_no_mistake_in_the_program(driven: Cli) -> None:
    driven("audit", "checkpoint")
    (keys_folder(driven) / "log.key").unlink()
    with closing(sqlite3.connect(store_path(driven))) as connection, connection:
        connection.execute("DELETE FROM log_tiles_1")
    said = driven("audit", "prove", driven.id_of("A"), code=1).stderr
    assert "the audit log is damaged" in said
    assert "governance-flow rebuild log" in said
    assert "a mistake in the program" not in said


def test_no_command_ever_prints_a_private_key(driven: Cli, tmp_path: Path) -> None:
    driven("keys", "rotate", "--by", "zoe")
    secrets = [secret_of(path.read_text().strip()) for path in keys_folder(driven).rglob("*.key*")]
    assert len(secrets) >= 2
    lines: list[list[Any]] = [
        ["keys", "show"],
        ["keys", "show", "--json"],
        ["audit", "checkpoint", "--json"],
        ["audit", "prove", driven.id_of("A")],
        ["audit", "verify", "--json"],
        ["audit", "export"],
    ]
    for line in lines:
        result = driven(*line)
        assert not any(secret in result.stdout + result.stderr for secret in secrets)


def test_keys_are_shown_whole_however_narrow_the_terminal(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cli("run", write_motions(tmp_path / "one.jsonl", [motion("A")]))
    monkeypatch.setenv("COLUMNS", "40")
    shown = cli("keys", "show").stdout
    assert all(key["key"] in shown for key in cli.json("keys", "show")["keys"])


def test_the_log_s_key_cannot_become_the_knight_s(cli: Cli, tmp_path: Path) -> None:
    cli("run", write_motions(tmp_path / "one.jsonl", [motion("A")]))
    key = Path(f"{cli.store.removeprefix('sqlite:///')}.keys") / "log.key"
    refused = cli("keys", "rotate", "--by", "Eva", "--to", key, code=1)
    assert "is the key of another role; give one of its own" in refused.stderr
    own = tmp_path / "own.key"
    own.write_text(Ed25519Signer("an-institution.example/knight", bytes(32)).private_key())
    own.chmod(0o600)
    cli("keys", "rotate", "--by", "Eva", "--to", own)
    assert cli.json("audit", "verify")["passed"]


def test_a_kept_checkpoint_is_not_overwritten_by_another(cli: Cli, tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    cli("run", write_motions(tmp_path / "one.jsonl", [motion("A")]))
    cli("audit", "checkpoint", "--output", kept)
    cli("audit", "checkpoint", "--output", kept)
    before = kept.read_bytes()
    cli("introduce", "--title", "B", "--text", "b", "--by", "ada")
    refused = cli("audit", "checkpoint", "--output", kept, code=1)
    assert "name another file" in refused.stderr
    assert kept.read_bytes() == before


def test_a_checkpoint_that_came_by_mail_is_taken(cli: Cli, tmp_path: Path) -> None:
    kept = tmp_path / "kept.txt"
    cli("run", write_motions(tmp_path / "one.jsonl", [motion("A")]))
    cli("audit", "checkpoint", "--output", kept)
    kept.write_bytes(kept.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert cli.json("audit", "verify", "--checkpoint", kept)["passed"]


def test_nothing_is_begun_with_a_key_that_cannot_sign(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GOVERNANCE_FLOW_KNIGHT_KEY_FILE", str(tmp_path / "nowhere.key"))
    path = write_motions(tmp_path / "one.jsonl", [motion("A")])
    refused = cli("run", path, code=1)
    assert "there is no file" in refused.stderr
    assert cli.states() == {"A": "INTRODUCED"}
    assert cli.json("status")["blocked_motions"] == 0
