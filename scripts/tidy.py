"""House style as a test: what no linter knows, and what readers should never have to find.

Run without arguments it checks every file of the repository that git does not ignore, prints one
line for each finding (where, what, and what to do instead), and exits 1 if there is any. It needs
the standard library and git only.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MAX_LINES = 400
MAX_TEST_LINES = 500
LONGER = {
    # One file that imports nothing of ours and explains itself to whoever does not trust us.
    "scripts/verify_bundle.py": 800,
}

# Written so that they do not find themselves.
UNFINISHED = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b")
MACHINE_PATH = re.compile(r"(?<![\w.$}~/-])/(work|root|home|tmp)(?=[/\s\"'`)]|$)")
REGISTRY = re.compile(
    r"\b(pypi|pythonhosted|npmjs|yarnpkg|crates|rubygems|golang|maven|debian|anaconda)"
    r"\.(org|io|com|net)\b"
)
INDEX_OPTION = re.compile(r"^\s*(-i|-f|--(extra-)?index-url|--find-links|--trusted-host)\b")
SQL_NAME = re.compile(r"^-- name: \S")
SQL_COMMENT = re.compile(r"^-- (?!name:)\S")
LINK = re.compile(r"(?<!\\)\[[^\]]*\]\(<?([^)\s>]+)>?(?:\s+[\"'][^)]*[\"'])?\)")
FENCE = re.compile(r"^\s*(```|~~~)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")


@dataclass(frozen=True, order=True)
class Finding:
    """One thing to mend: ``line`` counts from 1; ``remedy`` says what to do."""

    path: str
    line: int
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.problem}; {self.remedy}"


@dataclass(frozen=True)
class File:
    """A text file of the repository; ``path`` is relative to ``root``, with forward slashes."""

    root: Path
    path: str
    text: str

    @property
    def lines(self) -> list[str]:
        """Return the lines without their line feeds, carriage returns left in."""
        return self.text.split("\n")

    @property
    def is_test(self) -> bool:
        """Whether the file belongs to the tests."""
        return self.path.startswith("tests/")

    def finding(self, line: int, problem: str, remedy: str) -> Finding:
        """Return a finding in this file."""
        return Finding(self.path, line, problem, remedy)


def check_white_space(file: File) -> Iterator[Finding]:
    """Find carriage returns, blanks at the end of lines, and a missing last line feed."""
    for number, line in enumerate(file.lines, 1):
        if line.endswith("\r"):
            yield file.finding(number, "carriage return", "end lines with a line feed alone")
        elif line != line.rstrip():
            yield file.finding(number, "blanks at the end of the line", "remove them")
    if file.text and not file.text.endswith("\n"):
        yield file.finding(len(file.lines), "no line feed at the end", "add one")


def check_unfinished(file: File) -> Iterator[Finding]:
    """Find marks of unfinished work."""
    for number, line in enumerate(file.lines, 1):
        if match := UNFINISHED.search(line):
            yield file.finding(number, f"{match[0]} in the code", "finish it, or file an issue")


def check_addresses(file: File) -> Iterator[Finding]:
    """Find folders of one machine, and package registries, which are the machine's to choose."""
    for number, line in enumerate(file.lines, 1):
        match = MACHINE_PATH.search(line)
        if match and not file.is_test:
            yield file.finding(
                number, f"the path {match[0]} of one machine", "use a relative path or a parameter"
            )
        if match := REGISTRY.search(line):
            yield file.finding(
                number, f"the package registry {match[0]}", "leave the choice to the machine"
            )
        if PurePosixPath(file.path).name.startswith("requirements") and INDEX_OPTION.match(line):
            yield file.finding(number, "the place of an index", "leave the choice to the machine")


def check_python(file: File) -> Iterator[Finding]:
    """Find modules that are too long or undocumented, swallowed errors, prints and sleeps."""
    if not file.path.endswith(".py"):
        return
    limit = LONGER.get(file.path, MAX_TEST_LINES if file.is_test else MAX_LINES)
    count = len(file.text.splitlines())
    if count > limit:
        yield file.finding(limit + 1, f"{count} lines, {limit} allowed", "split the module by idea")
    try:
        module = ast.parse(file.text)
    except SyntaxError as error:
        yield file.finding(error.lineno or 1, f"not Python: {error.msg}", "mend it")
        return
    if module.body and ast.get_docstring(module) is None:
        yield file.finding(1, "module without a docstring", "say in a line what it is for")
    for node in ast.walk(module):
        if isinstance(node, ast.ExceptHandler):
            yield from _check_handler(file, node)
        elif isinstance(node, ast.Call):
            yield from _check_call(file, node)


def _check_handler(file: File, handler: ast.ExceptHandler) -> Iterator[Finding]:
    if handler.type is None:
        yield file.finding(handler.lineno, "bare except", "name the errors you can handle")
        return
    broad = {"Exception", "BaseException"} & {
        name.id for name in ast.walk(handler.type) if isinstance(name, ast.Name)
    }
    if broad and all(_does_nothing(statement) for statement in handler.body):
        yield file.finding(
            handler.lineno, f"except {broad.pop()} that does nothing", "record it and escalate"
        )


def _does_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Pass | ast.Continue | ast.Break):
        return True
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _check_call(file: File, call: ast.Call) -> Iterator[Finding]:
    name = ast.unparse(call.func)
    speaks = file.path.startswith(("scripts/", "governance_flow/cli"))
    if name == "print" and not speaks:
        yield file.finding(call.lineno, "print", "log it, or return it to the command line")
    # In the simulation time is virtual: who sleeps there waits for nothing.
    simulated = file.path.startswith("tests/simulation/") and name == "asyncio.sleep"
    if (
        file.is_test
        and not simulated
        and name in {"time.sleep", "asyncio.sleep", "sleep", "anyio.sleep"}
    ):
        yields_only = [ast.unparse(argument) for argument in call.args] == ["0"]
        if not (yields_only and name != "time.sleep"):
            yield file.finding(
                call.lineno, f"{name} in a test", "wait for an event, or move a ManualClock"
            )


def check_sql(file: File) -> Iterator[Finding]:
    """Find SQL files and named statements that do not say what they are for."""
    if not file.path.endswith(".sql"):
        return
    lines = file.lines
    if not lines[0].startswith("-- "):
        yield file.finding(1, "SQL file without a comment on top", "say what it holds")
    for number, line in enumerate(lines, 1):
        following = lines[number] if number < len(lines) else ""
        if SQL_NAME.match(line) and not SQL_COMMENT.match(following):
            yield file.finding(
                number, "SQL statement without a description", "add a -- line below its name"
            )


def check_links(file: File) -> Iterator[Finding]:
    """Find links in Markdown to files or headings that are not there."""
    if not file.path.endswith(".md"):
        return
    for number, line in _prose(file.text):
        for target in LINK.findall(re.sub(r"`[^`]*`", "", line)):
            if re.match(r"[a-z][a-z0-9+.-]*:|//", target, re.IGNORECASE):
                continue
            name, _, anchor = target.partition("#")
            here = file.root / file.path
            there = here if not name else here.parent / name
            if not there.exists():
                yield file.finding(number, f"broken link to {target}", "mend or remove it")
            elif anchor and there.suffix == ".md" and anchor not in _anchors(there):
                yield file.finding(number, f"no heading for {target}", "mend or remove the link")


def _prose(text: str) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of a Markdown text that are not in a fenced block."""
    fenced = False
    for number, line in enumerate(text.split("\n"), 1):
        if FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield number, line


def _anchors(path: Path) -> set[str]:
    """Return the names that headings can be linked by, repeated ones numbered."""
    anchors: set[str] = set()
    for _, line in _prose(path.read_text(encoding="utf-8")):
        if match := HEADING.match(line):
            words = re.sub(r"[^\w\- ]", "", match[1].lower()).replace(" ", "-")
            anchor, count = words, 0
            while anchor in anchors:
                count += 1
                anchor = f"{words}-{count}"
            anchors.add(anchor)
    return anchors


CHECKS: tuple[Callable[[File], Iterator[Finding]], ...] = (
    check_white_space,
    check_unfinished,
    check_addresses,
    check_python,
    check_sql,
    check_links,
)


def repository_files(root: Path) -> list[str]:
    """Return the paths of all files that git tracks, or would if they were added."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True).stdout
    return sorted({name for name in listed.decode().split("\0") if name})


def check_files(root: Path, paths: Iterable[str]) -> list[Finding]:
    """Check the named files below ``root``; deleted and binary ones are passed over."""
    findings: list[Finding] = []
    for path in paths:
        full = root / path
        if not full.is_file():
            continue
        content = full.read_bytes()
        if b"\0" in content:
            continue
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            findings.append(Finding(path, line, "not UTF-8", "save it as UTF-8"))
            continue
        for check in CHECKS:
            findings += check(File(root, path, text))
    return sorted(findings)


def main(root: Path) -> int:
    """Print what is found below ``root``; return the exit code."""
    paths = repository_files(root)
    findings = check_files(root, paths)
    for finding in findings:
        print(finding)
    print(f"tidy: {len(paths)} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
