"""The chain of witness statements of one motion, rebuilt from the stored bytes alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

HEADER = "governance-flow/witness-statement/v1"


class Chain:
    """What the next statement must bind: the one before, and every event since."""

    def __init__(self) -> None:
        self._previous: str | None = None
        self._covered: list[dict[str, Any]] = []
        self.statements = 0

    def stored(self, version: int, topic: str, event: Mapping[str, Any], state: bytes) -> None:
        """Take in an event as it is stored."""
        if topic == "TRANSITION_WITNESSED":
            self._previous = _digest(event["statement"].encode())
            self._covered = []
            self.statements += 1
        self._covered.append({"version": version, "sha256": _digest(state)})

    def require_statement(self, motion_id: str, version: int, event: Mapping[str, Any]) -> None:
        """Raise AssertionError unless the event's statement binds exactly what it must."""
        header, body, *_ = event["statement"].split("\n")
        said = json.loads(body)
        until = event["until"]
        expected = {
            "motion_id": motion_id,
            "version": version,
            "from": event["from_state"],
            "to": event["to_state"],
            "cause": event["cause"],
            "actor": event["actor"],
            "timestamp": event["timestamp"].replace("Z", "+00:00"),
            "until": until and until.replace("Z", "+00:00"),
            "previous_statement": self._previous,
            "covers": self._covered,
        }
        wrong = sorted(key for key, value in expected.items() if said.get(key) != value)
        if header != HEADER or wrong or not said.get("witness"):
            raise AssertionError(f"the statement at version {version} does not bind: {wrong}")


def _digest(data: bytes) -> str:
    return sha256(data).hexdigest()
