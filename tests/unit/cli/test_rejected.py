"""Bad lines are said and kept, wherever there is room; nothing of them is lost."""

from __future__ import annotations

import base64
import errno
import json
from pathlib import Path
from typing import Any

import pytest

from governance_flow.cli.reading import RawLine
from governance_flow.cli.rejected import LINES_SAID_MAX, SUFFIX, Rejected


def raw(number: int, content: bytes = b"not json", *, too_long: bool = False) -> RawLine:
    return RawLine(number, 10 * number, len(content), content, too_long)


def kept(path: Path | None) -> list[dict[str, Any]]:
    assert path is not None
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "input"
    folder.mkdir()
    path = folder / "motions.jsonl"
    path.write_text("…\n", encoding="utf-8")
    return path


def test_the_file_stands_beside_the_input_once_it_is_finished(source: Path) -> None:
    rejected = Rejected(source)
    rejected.add(raw(3), "not JSON")
    beside = source.with_name("motions.jsonl" + SUFFIX)
    assert not beside.exists()
    rejected.finish()
    assert rejected.path == beside
    assert kept(beside) == [{"line": 3, "reason": "not JSON", "content": "not json"}]
    assert sorted(path.name for path in source.parent.iterdir()) == [source.name, beside.name]


def test_content_that_is_no_text_and_content_that_is_too_long(source: Path) -> None:
    rejected = Rejected(source)
    rejected.add(raw(1, b"\xff\x00"), "not UTF-8")
    rejected.add(raw(2, b"x" * 50, too_long=True), "too long")
    rejected.finish()
    binary, long = kept(rejected.path)
    assert base64.b64decode(binary["content_base64"]) == b"\xff\x00"
    assert long == {"line": 2, "reason": "too long", "offset": 20, "bytes": 50}


def test_what_an_earlier_import_left_is_replaced_or_removed(source: Path) -> None:
    for bad in (2, 1, 0):
        rejected = Rejected(source)
        for number in range(bad):
            rejected.add(raw(number + 1), "bad")
        rejected.finish()
        beside = source.with_name(source.name + SUFFIX)
        assert beside.exists() == (bad > 0)
        assert len(kept(beside) if bad else []) == bad


def test_the_first_lines_are_said_and_the_rest_is_counted(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rejected = Rejected(source)
    for number in range(1, LINES_SAID_MAX + 11):
        rejected.add(raw(number), f"reason {number}")
    rejected.finish()
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "line 1: reason 1"
    assert len(said) == LINES_SAID_MAX + 1
    assert len(kept(rejected.path)) == LINES_SAID_MAX + 10


def test_another_place_is_found_if_the_folder_cannot_be_written(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    _forbid(monkeypatch, source.parent)
    rejected = Rejected(source)
    rejected.add(raw(1), "bad")
    rejected.finish()
    assert rejected.path == elsewhere / (source.name + SUFFIX)
    assert len(kept(rejected.path)) == 1
    assert f"warning: bad lines cannot be kept in {source.parent}: Perm" in capsys.readouterr().err


def test_every_line_is_said_if_no_place_can_be_written(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _forbid(monkeypatch, tmp_path)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.chdir(tmp_path)
    rejected = Rejected(source)
    for number in range(1, LINES_SAID_MAX + 11):
        rejected.add(raw(number), "bad")
    rejected.finish()
    assert rejected.path is None
    said = capsys.readouterr().err
    assert all(f"line {number}: bad\n" in said for number in range(1, LINES_SAID_MAX + 11))


def test_every_line_is_said_if_the_disk_fills_up(
    source: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rejected = Rejected(source)
    for number in range(1, LINES_SAID_MAX + 6):
        rejected.add(raw(number), "bad")

    def no_room(_text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rejected._file, "write", no_room)
    for number in range(LINES_SAID_MAX + 6, LINES_SAID_MAX + 11):
        rejected.add(raw(number), "bad")
    rejected.finish()
    said = capsys.readouterr().err
    for number in range(1, LINES_SAID_MAX + 11):
        assert said.count(f"line {number}: bad\n") == 1
    assert rejected.path is None
    assert list(source.parent.iterdir()) == [source]


def test_nothing_is_kept_beside_a_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rejected = Rejected(Path("/dev/stdin"))
    rejected.add(raw(1), "bad")
    rejected.finish()
    assert rejected.path == tmp_path / ("stdin" + SUFFIX)


def _forbid(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let no file be made in a folder or below, whoever runs the tests."""
    real_open = Path.open

    def guarded(path: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
        if mode != "r" and folder in (path.parent, *path.parent.parents):
            inside_elsewhere = "elsewhere" in path.parts
            if not inside_elsewhere:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real_open(path, mode, *args, **options)

    monkeypatch.setattr(Path, "open", guarded)
