"""The keys of the pipeline: what each is for, and the words with which one is adopted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from governance_flow.domain.canonical import canonical_json
from governance_flow.domain.vocabulary import Vocabulary

if TYPE_CHECKING:
    from datetime import datetime

ADOPTION_HEADER = "governance-flow/key-adoption/v1"


class KeyRole(Vocabulary):
    """What a key of the pipeline's signs."""

    KNIGHT = "knight"
    """Witness statements."""
    LOG = "log"
    """Checkpoints of the audit log."""


def adoption_text(role: KeyRole, key: str, previous: str | None, timestamp: datetime) -> str:
    """Return the text that a new key signs, and so does the one that it replaces.

    A line names the format, a line of canonical JSON follows. ``key`` and ``previous`` are
    verifier keys (C2SP signed-note).
    """
    body = {
        "key": key,
        "previous": previous,
        "role": role.value,
        "timestamp": timestamp.isoformat(),
    }
    return f"{ADOPTION_HEADER}\n{canonical_json(body)}\n"
