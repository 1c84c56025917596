"""What it was measured on, so that figures can be told apart later."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from scripts.bench.child import ROOT, run_part
from scripts.bench.noop import opened
from scripts.bench.stores import POSTGRES, SQLITE, Stores

_VOLATILE = {"tmpfs", "ramfs"}
"""File systems on which nothing is durable, and so everything is too fast."""


def facts(stores: Stores, kinds: Sequence[str]) -> dict[str, Any]:
    """Return the machine, the versions, and whether commits to these kinds of store are durable."""
    found = _about_machine(stores.folder)
    if SQLITE in kinds:
        with stores.fresh(SQLITE) as address:
            settings = run_part(f"{__name__}:sqlite_settings", address=address)
        found["sqlite"] = {"version": sqlite3.sqlite_version, **settings}
    if POSTGRES in kinds:
        found["postgresql"] = stores.server_facts()
    return found


def _about_machine(folder: Path) -> dict[str, Any]:
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average_before": [round(load, 2) for load in os.getloadavg()],
        "system": platform.platform(),
        "file_system": _file_system(folder),
        "python": platform.python_version(),
        "psycopg": version("psycopg"),
        "eventsourcing": version("eventsourcing"),
    }


def doubts(found: dict[str, Any]) -> list[str]:
    """Return why these figures would not hold in production."""
    said = []
    if found["file_system"] in _VOLATILE:
        said.append(f"the stores lie on {found['file_system']}: nothing is durable (TMPDIR moves)")
    if not found.get("postgresql", {"durable": True})["durable"]:
        said.append("PostgreSQL does not wait for the disk: its commits are not durable")
    return said


async def sqlite_settings(address: str) -> dict[str, str]:
    """Return how the product's own connections commit (in a process of its own)."""
    async with opened(address, 1) as flow:
        [(journal,)] = await flow.database.read(lambda tx: tx.execute("PRAGMA journal_mode"))
        [(level,)] = await flow.database.read(lambda tx: tx.execute("PRAGMA synchronous"))
    levels = ("OFF", "NORMAL", "FULL", "EXTRA")
    return {"journal_mode": str(journal), "synchronous": levels[int(level)]}


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _file_system(folder: Path) -> str:
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "unknown"
    found, longest = "unknown", -1
    for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines():
        _, where, kind, *_ = line.split()
        if folder.is_relative_to(where) and len(where) > longest:
            found, longest = kind, len(where)
    return found


def _commit() -> str:
    git = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        said = subprocess.run(git, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return said.stdout.strip()
