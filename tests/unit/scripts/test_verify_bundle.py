"""The verifier of bundles: what it finds sound, what it says, and how it is called."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from governance_flow.domain.events import PIPELINE_ID
from governance_flow.domain.states import EDGES
from scripts import verify_bundle
from tests.support import bundles
from tests.support.bundles import FIRST_KNIGHT, LOG, MOTION, SECOND_KNIGHT, STRANGER, World
from tests.unit.scripts.verdicts import verdict_on

SCRIPT = Path(verify_bundle.__file__)


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the script alone, away from the repository, as an auditor would."""
    alone = directory / "verify.py"
    alone.write_bytes(SCRIPT.read_bytes())
    return subprocess.run(
        [sys.executable, "-I", alone.name, *arguments],
        cwd=directory,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A sound bundle, in a file."""
    path = tmp_path / "bundle.json"
    path.write_text(json.dumps(bundles.whole().bundle()), encoding="utf-8")
    return path


def test_it_takes_one_file_the_standard_library_and_cryptography() -> None:
    imported = set()
    for node in ast.walk(ast.parse(SCRIPT.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").partition(".")[0])
    assert imported - sys.stdlib_module_names == {"cryptography"}


def test_its_table_of_the_flow_is_the_canonical_one() -> None:
    theirs = {
        (*edge.split(">"), kind)
        for kind, edges in verify_bundle.FLOW.items()
        for edge in edges.split()
    }
    ours = {(a.value, b.value, kind.value) for (a, b), kinds in EDGES.items() for kind in kinds}
    assert theirs == ours
    assert str(PIPELINE_ID) == verify_bundle.PIPELINE


def test_a_motion_with_a_return_a_review_and_a_new_key_is_sound_and_told(
    file: Path, tmp_path: Path
) -> None:
    done = run(tmp_path, file.name, "--log-key", LOG.vkey, "--knight-key", FIRST_KNIGHT.vkey)
    assert (done.returncode, done.stderr) == (0, "")
    for number in range(1, 9):
        assert f"\n{number}. " in done.stdout
    assert done.stdout.count("It means:") == done.stdout.count("It does not prove:") == 8
    table = [line.split() for line in done.stdout.splitlines() if "UTC" in line]
    assert [(row[0], row[-5] if row[0] == "1" else row[6]) for row in table[1:]] == [
        ("2", "conclave_service"),
        ("3", "president_service"),
        ("4", "duke_service"),
        ("5", "prince_service"),
        ("6", "knight_service"),
        ("7", "conclave_service"),
    ]
    # The plan that stands is the one made after the return.
    assert "3 President plans        2026-01-01 12:00:20 UTC" in done.stdout
    assert "1 King introduces        2026-01-01 12:00:04 UTC  ada (a name given, not" in done.stdout
    assert "NOT COMPARED" not in done.stdout
    assert "Not yet covered" not in done.stdout
    assert done.stdout.splitlines()[-1] == (
        f"SOUND: motion {MOTION}, events 1 to 33, is ACKNOWLEDGED."
    )


def test_quiet_prints_the_verdict_only_and_what_it_rests_on(file: Path, tmp_path: Path) -> None:
    done = run(tmp_path, file.name, "--quiet")
    assert done.returncode == 0
    words = " ".join(done.stdout.split())
    assert words.startswith(f"SOUND: motion {MOTION}, events 1 to 33, is ACKNOWLEDGED. The log's")
    assert "The log's key was NOT COMPARED" in words
    assert "The Knight's key was NOT COMPARED" in words


def test_a_fault_is_named_with_its_step_place_and_meaning(file: Path, tmp_path: Path) -> None:
    bundle = json.loads(file.read_text())
    bundle["events"][4]["state"] = bundle["events"][4]["state"].replace("RATIFIED", "REJECTED")
    file.write_text(json.dumps(bundle), encoding="utf-8")
    done = run(tmp_path, file.name, "--quiet")
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines() == [
        "FAULT in step 4 (Is every event in the log, unchanged?)",
        "What: it does not lead to the log's fingerprint, nor does its proof",
        "Where: event 5 (TRANSITION_WITNESSED, position 9)",
        "It means: This event was changed after it was logged, moved, or was never in the log.",
        "This is the first fault. What comes after it was not looked at.",
    ]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "required: file"),
        (["nowhere.json"], "cannot be read: nowhere.json"),
        (["bundle.json", "--log-key", "flow.example/log"], "is not proper base64"),
        (["bundle.json", "--log-key", LOG.vkey.replace("log+", "bog+")], "id does not fit"),
        (["bundle.json", "--log-key", bundles.Pen("", 1).vkey], "name is not proper"),
        (["bundle.json", "--log-key", bundles.Pen("a log", 1).vkey], "name is not proper"),
        (["bundle.json", "--log-key", bundles.Pen("a\u00a0log", 1).vkey], "name is not proper"),
        (["bundle.json", "--log-key", LOG.vkey[:-4]], "no Ed25519 key"),
        (["bundle.json", "--checkpoint", "nowhere"], "cannot be read: nowhere"),
        (["bundle.json", "--knight", "x", "--sound"], "is not proper base64"),
        (["latin.json"], "cannot be read: latin.json"),
    ],
)
def test_used_wrongly_it_says_nothing_about_the_bundle(
    file: Path, tmp_path: Path, arguments: list[str], complaint: str
) -> None:
    (tmp_path / "latin.json").write_bytes(b'{"format": "\xe9"}')
    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert complaint in done.stderr


def test_without_cryptography_it_says_what_to_install(file: Path, tmp_path: Path) -> None:
    (tmp_path / "verify.py").write_bytes(SCRIPT.read_bytes())
    done = subprocess.run(
        [sys.executable, "-S", "-I", "verify.py", file.name],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install cryptography" in done.stderr


def test_names_that_would_command_the_terminal_are_made_visible() -> None:
    world = bundles.opened()
    world.append(MOTION, "MOTION_AMENDED", actor="ada")
    world.route("deliberate")
    row = world.report("deliberate")
    name = "\x1b[2Jmallory\n\u202ecba" + "x" * 100
    world.restate(row, actor={"id": name, "authenticated_by": "\x07"})
    verdict = verdict_on(world.bundle())
    assert verdict.code == 0
    assert not any(c in verdict.output for c in "\x1b\x07\u202e")
    assert r"\x1b[2Jmallory\n\u202ecba" in verdict.output


# -- Keys that the reader holds --------------------------------------------------------------------


@pytest.mark.parametrize("key", [FIRST_KNIGHT, SECOND_KNIGHT])
def test_any_key_that_the_knight_had_will_do(key: bundles.Pen) -> None:
    verdict = verdict_on(bundles.whole().bundle(), log_key=LOG.vkey, knight_key=key.vkey)
    assert verdict.code == 0
    assert "the log's and the Knight's key in the file" in " ".join(verdict.output.split())


def test_a_bundle_under_other_keys_than_those_held_is_refused() -> None:
    forged = World(log=bundles.Pen(LOG.name, 2))
    forged.adopt("log", forged.log)
    forged.adopt("knight", STRANGER)
    forged.introduce()
    forged.move("INTRODUCED", "DELIBERATING")
    assert verdict_on(forged.bundle()).code == 0
    by_log = verdict_on(forged.bundle(), log_key=LOG.vkey)
    assert (by_log.step, by_log.where) == (2, "the keys")
    assert "not the one you gave" in by_log.what
    by_knight = verdict_on(forged.bundle(), knight_key=FIRST_KNIGHT.vkey)
    assert (by_knight.step, by_knight.where) == (2, "the keys")
    assert "not among those the Knight has had" in by_knight.what


# -- A checkpoint kept elsewhere -------------------------------------------------------------------


def test_the_same_checkpoint_kept_elsewhere_agrees() -> None:
    world = bundles.whole()
    # Another note of the same tree: a witness has signed it too.
    kept = world.checkpoint(None, LOG, STRANGER)
    verdict = verdict_on(world.bundle(), checkpoint=kept)
    assert verdict.code == 0
    assert "the same as in the checkpoint you kept" in " ".join(verdict.output.split())


def test_a_log_rewritten_with_both_stolen_keys_is_caught_by_a_kept_checkpoint() -> None:
    kept = bundles.whole().checkpoint()
    rewritten = bundles.whole()
    rewritten.restate(rewritten.rows[-1], title="Mend nothing")
    assert verdict_on(rewritten.bundle()).code == 0
    verdict = verdict_on(rewritten.bundle(), checkpoint=kept)
    assert (verdict.step, verdict.where) == (3, "the checkpoint and the one you kept")
    assert "their fingerprints differ" in verdict.what


@pytest.mark.parametrize("size", [1, 20, 41])
def test_a_kept_checkpoint_of_another_size_cannot_be_compared(size: int) -> None:
    world = bundles.whole()
    verdict = verdict_on(world.bundle(), checkpoint=world.checkpoint(size))
    assert (verdict.code, verdict.step) == (2, 0)
    words = " ".join(verdict.output.split())
    assert "NOT COMPARED: the checkpoint you kept is of another size" in words
    assert "governance-flow audit consistency" in words


@pytest.mark.parametrize(
    ("kept", "what"),
    [
        ("", "not signed, or cut off"),
        (bundles.whole().checkpoint(None, STRANGER), "not signed with the log's key"),
        (bundles.whole().checkpoint(None, origin="flow.example/other"), "of another log"),
        (bundles.whole().checkpoint().replace("\n43\n", "\n42\n"), "does not fit the text"),
    ],
)
def test_a_kept_checkpoint_must_be_one_of_this_log(kept: str, what: str) -> None:
    verdict = verdict_on(bundles.whole().bundle(), checkpoint=kept or "\n")
    assert (verdict.step, verdict.where) == (3, "the checkpoint you kept")
    assert what in verdict.what


# -- Motions that have not ended, and other ends ---------------------------------------------------


def test_a_motion_on_its_way_is_sound_and_says_what_is_not_shown() -> None:
    world = bundles.executing(bundles.opened())
    verdict = verdict_on(world.bundle())
    assert verdict.code == 0
    words = " ".join(verdict.output.split())
    assert "the motion is rightly EXECUTING. It is NOT FINISHED" in words
    assert "events 1 to 10, is EXECUTING." in words
    assert "4 Duke executes not shown" in words
    assert "Not yet covered by a statement, but in the log: event 10 (MOTION_ROUTED" in words
    assert words.count("Not yet covered") == 1


def test_a_motion_just_introduced_is_sound() -> None:
    world = bundles.opened()
    verdict = verdict_on(world.bundle(size=5))
    assert verdict.code == 0
    assert "event 1 (MOTION_INTRODUCED, position 4)" in verdict.output
    assert "is INTRODUCED" in verdict.output


def test_a_step_undone_and_not_done_again_is_not_shown_as_taken() -> None:
    world = bundles.executing(bundles.opened())
    world.move("EXECUTING", "PLANNING", "return")
    assert "3 President plans        not shown" in verdict_on(world.bundle()).output
    world.route("plan")
    world.report("plan")
    assert "3 President plans        2026" in verdict_on(world.bundle()).output
    world.route("plan")
    assert "3 President plans        not shown" in verdict_on(world.bundle()).output


def test_tabling_undoes_the_vote_and_keeps_its_date() -> None:
    world = bundles.opened()
    world.route("deliberate")
    world.report("deliberate")
    world.move("DELIBERATING", "TABLED", until="2026-03-01T00:00:00Z")
    verdict = verdict_on(world.bundle())
    assert verdict.code == 0
    assert "2 Conclave deliberates   not shown" in verdict.output


@pytest.mark.parametrize(
    ("source", "target", "kind"),
    [("DELIBERATING", "REJECTED", "review"), ("DELIBERATING", "WITHDRAWN", "withdraw")],
)
def test_other_ends_need_not_seven_steps(source: str, target: str, kind: str) -> None:
    world = bundles.opened()
    world.move(source, target, kind)
    verdict = verdict_on(world.bundle())
    assert verdict.code == 0
    assert f"is {target}." in verdict.output
    assert "NOT FINISHED" not in verdict.output


def test_a_statement_too_long_for_the_log_stands_there_by_its_fingerprint() -> None:
    world = bundles.opened()
    for _ in range(720):
        world.append(MOTION, "VIOLATION_WITNESSED", actor="zoe")
    row = world.move("DELIBERATING", "REJECTED")
    assert len(json.loads(row["state"])["statement"]) > 65_535
    assert b"statement_sha256" in world.leaf(row)
    assert verdict_on(world.bundle()).code == 0


def test_more_signatures_on_a_note_do_not_disturb() -> None:
    world = bundles.opened()
    world.move("DELIBERATING", "REJECTED", pens=(STRANGER, FIRST_KNIGHT, LOG))
    assert verdict_on(world.bundle()).code == 0


@pytest.mark.parametrize("size", range(6, 43))
def test_every_size_of_log_has_proofs_that_hold(size: int) -> None:
    verdict = verdict_on(bundles.whole().bundle(size=size))
    assert (verdict.code, verdict.what) == (0, "")


def test_members_that_nobody_knows_are_passed_over() -> None:
    bundle = bundles.whole().bundle()
    bundle["genesis"] = {"proof": None}
    bundle["events"][0]["note"] = [1.5]
    assert verdict_on(bundle).code == 0
