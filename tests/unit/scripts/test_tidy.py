"""Each rule of the house finds what it is for, where it is, and nothing else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scripts import tidy

# Put together here, so that this file passes the check it tests.
MARKS = [mark.replace("-", "") for mark in ("TO-DO", "FIX-ME", "X-XX", "HA-CK")]
REGISTRY = "pypi-org".replace("-", ".")


def findings(root: Path, path: str, text: str | bytes) -> list[tuple[int, str]]:
    full = root / path
    full.parent.mkdir(parents=True, exist_ok=True)
    full.write_bytes(text.encode() if isinstance(text, str) else text)
    found = tidy.check_files(root, [path])
    assert all(finding.path == path and finding.remedy for finding in found)
    return [(finding.line, finding.problem) for finding in found]


DOC = '"""What it is for."""\n'


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("a.txt", "one\r\ntwo\n", [(1, "carriage return")]),
        ("a.txt", "one\ntwo \n\t\n", [(2, "blanks"), (3, "blanks")]),
        ("a.txt", "one", [(1, "no line feed")]),
        ("a.txt", "", []),
        ("a.txt", "fine\n\n", []),
        ("a.txt", b"one\n\xff\n", [(2, "not UTF-8")]),
        ("a.png", b"\x89PNG\0 \r\n", []),
        # Where things are.
        ("a.toml", "x = '/home/me/x'\n", [(1, "the path /home")]),
        ("a.py", DOC + "X = '/tmp'\n", [(2, "the path /tmp")]),
        ("a.md", "See \x2fwork/main.\n", [(1, "the path /work")]),
        ("Makefile", "\tcp \x2froot/x .\n", [(1, "the path /root")]),
        ("tests/test_a.py", DOC + "X = '/tmp/x'\n", []),
        ("a.md", "the network, var/tmp/x, $HOME/tmp/x, .\x2fwork/x, homework/tmp, /works\n", []),
        ("a.txt", f"see https://{REGISTRY}/x\n", [(1, "the package registry")]),
        ("requirements.txt", "a==1\n--index\x2durl https://x\n", [(2, "the place of an index")]),
        ("requirements.txt", "-f ./wheels\n", [(1, "the place of an index")]),
        ("Makefile", "\tuv --no-emit-index-url\n", []),
        # Python.
        ("a.py", "X = 1\n", [(1, "module without a docstring")]),
        ("__init__.py", "", []),
        ("a.py", DOC + "def f(:\n", [(2, "not Python")]),
        ("a.py", DOC + "\n" * 400, [(401, "401 lines, 400 allowed")]),
        ("a.py", DOC + "\n" * 399, []),
        ("tests/a.py", DOC + "\n" * 499, []),
        ("tests/a.py", DOC + "\n" * 500, [(501, "501 lines, 500 allowed")]),
        ("a.py", DOC + "try:\n    f()\nexcept:\n    raise\n", [(4, "bare except")]),
        ("a.py", DOC + "try:\n    f()\nexcept Exception:\n    pass\n", [(4, "except Exception")]),
        (
            "a.py",
            DOC + "try:\n    f()\nexcept (OSError, BaseException) as e:\n    ...\n",
            [(4, "except BaseException that does nothing")],
        ),
        ("a.py", DOC + "try:\n    f()\nexcept OSError:\n    pass\n", []),
        ("a.py", DOC + "try:\n    f()\nexcept Exception as e:\n    log(e)\n", []),
        ("governance_flow/a.py", DOC + "print(1)\n", [(2, "print")]),
        ("governance_flow/cli/a.py", DOC + "print(1)\n", []),
        ("governance_flow/cli.py", DOC + "print(1)\n", []),
        ("scripts/a.py", DOC + "print(1)\n", []),
        ("a.py", DOC + "x.print(1)\nX = 'print(1)'\n", []),
        ("tests/a.py", DOC + "time.sleep(0)\n", [(2, "time.sleep in a test")]),
        ("tests/a.py", DOC + "asyncio.sleep(0.1)\n", [(2, "asyncio.sleep in a test")]),
        ("tests/a.py", DOC + "sleep(delay)\n", [(2, "sleep in a test")]),
        ("tests/a.py", DOC + "asyncio.sleep(0)\n", []),
        ("tests/simulation/a.py", DOC + "asyncio.sleep(1)\n", []),
        ("tests/simulation/a.py", DOC + "time.sleep(1)\n", [(2, "time.sleep in a test")]),
        ("a.py", DOC + "asyncio.sleep(1)\n", []),
        # SQL.
        ("a.sql", "SELECT 1;\n", [(1, "SQL file without a comment")]),
        ("a.sql", "-- Why.\nCREATE TABLE a (b int);\n", []),
        ("a.sql", "-- name: one\nSELECT 1;\n", [(1, "SQL statement without")]),
        ("a.sql", "-- Top.\n\n-- name: one\n-- name: two\n-- Why.\n", [(3, "SQL statement")]),
        ("a.sql", "-- Top.\n-- name: one (postgres)\n-- Why.\nSELECT 1;\n", []),
        ("a.sql", "-- Top.\n-- name: one\n", [(2, "SQL statement without")]),
    ],
)
def test_a_rule_finds_what_it_is_for(
    tmp_path: Path, path: str, text: str | bytes, expected: list[tuple[int, str]]
) -> None:
    found = findings(tmp_path, path, text)
    assert [line for line, _ in found] == [line for line, _ in expected]
    for (_, problem), (_, beginning) in zip(found, expected, strict=True):
        assert problem.startswith(beginning)


@pytest.mark.parametrize("mark", MARKS)
def test_unfinished_work_is_found_in_any_file(tmp_path: Path, mark: str) -> None:
    assert findings(tmp_path, "a.md", f"fine\n({mark}: later)\n") == [(2, f"{mark} in the code")]
    assert findings(tmp_path, "a.md", f"{mark}S and not{mark}\n") == []


def test_links_must_lead_somewhere(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/b.md").write_text("# One, `two`!\n## Same\n## Same\n```\n# Code\n```\n")
    text = (
        "# Here\n"
        "[a](b.md) [b](b.md#one-two) [c](#here) [d](https://x.example/y) [e](mailto:a@b.c)\n"
        "[f](b.md#same) [g](b.md#same-1) [h](../docs) ![i](<b.md>) [j](b.md 'x') `[k](gone.md)`\n"
        "```\n[l](gone.md)\n```\n"
        "[m](gone.md)\n"
        "[n](b.md#code) and [o](../b.md 'title')\n"
        "[p](#nowhere)\n"
        '[q](gone/x.png "title")\n'
    )
    assert findings(tmp_path, "docs/a.md", text) == [
        (7, "broken link to gone.md"),
        (8, "broken link to ../b.md"),
        (8, "no heading for b.md#code"),
        (9, "no heading for #nowhere"),
        (10, "broken link to gone/x.png"),
    ]


def test_all_files_count_that_git_does_not_ignore(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("ignored/\n")
    (tmp_path / "ignored").mkdir()
    (tmp_path / "ignored/a.txt").write_text("bad ")
    assert tidy.main(tmp_path) == 0
    (tmp_path / "new.txt").write_text("bad \n")
    (tmp_path / "gone.txt").write_text("bad \n")
    subprocess.run(["git", "add", "gone.txt"], cwd=tmp_path, check=True)
    (tmp_path / "gone.txt").unlink()
    capsys.readouterr()
    assert tidy.main(tmp_path) == 1
    assert capsys.readouterr().out == (
        "new.txt:1: blanks at the end of the line; remove them\ntidy: 3 files, 1 findings\n"
    )
