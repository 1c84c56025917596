"""A process that asks for the same keys as others, at the same time.

    python -m tests.integration.keys.key_process FOLDER ROUNDS PROMOTED

says "ready", waits for a line, and prints, as JSON, the verifier keys it was given: of each round
the one it made or found, or, if PROMOTED names it, the one it promoted.
"""

from __future__ import annotations

import asyncio
import json
import sys

from governance_flow.domain.keys import KeyRole
from governance_flow.infrastructure.keys.keyring import build_keyring


async def ask(folder: str, rounds: int, promoted: str | None) -> list[str]:
    """Ask once in each round, as a process that has just started."""
    given = []
    for number in range(rounds):
        keys = build_keyring("sqlite:///flow.db", {"GOVERNANCE_FLOW_KEYS": f"{folder}/{number}"})
        given.append((await keys.key(KeyRole.KNIGHT, promoted)).verifier.vkey)
    return given


def main() -> None:
    """Do as the module says."""
    folder, rounds, promoted = sys.argv[1], int(sys.argv[2]), sys.argv[3] or None
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    sys.stdout.write(json.dumps(asyncio.run(ask(folder, rounds, promoted))))


if __name__ == "__main__":
    main()
