"""Exported logs as the checker gets them, and what it finds in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from governance_flow.bootstrap import Flow
from governance_flow.conformance.checker import check
from governance_flow.conformance.rules import Offence

Event = dict[str, Any]
"""One event as it is exported: a line, decoded."""


async def exported(flow: Flow) -> list[Event]:
    """Return the whole log."""
    return [json.loads(line) async for line in flow.audit.exporter.lines()]


def offences(events: Iterable[object]) -> list[Offence]:
    """Return everything that is unlawful in a history."""
    return list(check(events))


def rules(found: Sequence[Offence]) -> list[str]:
    """Return the rules that were broken, each once, in order."""
    return list(dict.fromkeys(offence.rule.value for offence in found))


def topic(event: Event) -> str:
    """Return the kind of event."""
    return str(event["type"]).removeprefix("governance-flow.")
