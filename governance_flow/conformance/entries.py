"""One line of an export, read: which event, where it stands, and what it says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

PREFIX = "governance-flow."
MOTIONS = "/governance-flow/motions"
PIPELINE = "/governance-flow/pipeline"

Types = frozenset[type]

_TEXT: Types = frozenset({str})
_TEXT_OR_NONE: Types = frozenset({str, type(None)})
_NUMBER: Types = frozenset({int})
_OBJECT: Types = frozenset({dict})
_YES_OR_NO: Types = frozenset({bool})

ALWAYS: Mapping[str, Types] = {
    "event_id": _TEXT,
    "correlation_id": _TEXT,
    "causation_id": _TEXT_OR_NONE,
    "actor": _OBJECT,
    "timestamp": _TEXT,
}
"""What every event says."""

OF_MOTIONS: Mapping[str, Mapping[str, Types]] = {
    "MOTION_INTRODUCED": {"title": _TEXT, "text": _TEXT, "introduced_by": _TEXT},
    "MOTION_AMENDED": {"title": _TEXT, "text": _TEXT},
    "MOTION_ROUTED": {
        "service": _TEXT,
        "branch": _TEXT,
        "purpose": _TEXT,
        "from_state": _TEXT,
        "state": _TEXT,
        "attempt": _NUMBER,
        "not_before": _TEXT_OR_NONE,
        "deadline": _TEXT_OR_NONE,
        "configuration": _TEXT,
    },
    "BRANCH_COMPLETED": {
        "routing_id": _TEXT,
        "service": _TEXT,
        "branch": _TEXT,
        "purpose": _TEXT,
        "success": _YES_OR_NO,
        "output": _OBJECT,
        "next_state": _TEXT_OR_NONE,
        "error_type": _TEXT_OR_NONE,
    },
    "TRANSITION_WITNESSED": {
        "from_state": _TEXT,
        "to_state": _TEXT,
        "cause": _OBJECT,
        "until": _TEXT_OR_NONE,
        "statement": _TEXT,
    },
    "ORCHESTRATOR_ERROR": {
        "error_type": _TEXT,
        "branch": _TEXT_OR_NONE,
        "purpose": _TEXT_OR_NONE,
        "attempt": _NUMBER,
        "routing_id": _TEXT_OR_NONE,
        "strategy": _TEXT,
        "retry_at": _TEXT_OR_NONE,
    },
    "ESCALATION_RESOLVED": {"error_id": _TEXT_OR_NONE, "decision": _TEXT},
    "VIOLATION_WITNESSED": {
        "kind": _TEXT,
        "branch": _TEXT,
        "routing_id": _TEXT_OR_NONE,
        "by_holder": _YES_OR_NO,
        "severity": _TEXT,
    },
}
"""What the events of a motion say besides; fields that no rule looks at are left out."""

OF_THE_PIPELINE: Mapping[str, Mapping[str, Types]] = {
    "PIPELINE_HALTED": {},
    "PIPELINE_RESUMED": {},
    "CONFIGURATION_ADOPTED": {"digest": _TEXT, "configuration": _OBJECT},
    "ALERT_DELIVERED": {},
    "KEY_ADOPTED": {},
}
"""What the events of the pipeline say besides."""

WORDS: Mapping[str, str] = {
    "MOTION_INTRODUCED": "an introduction",
    "MOTION_AMENDED": "an amendment",
    "MOTION_ROUTED": "a routing",
    "BRANCH_COMPLETED": "a branch's report",
    "TRANSITION_WITNESSED": "a witnessed transition",
    "ORCHESTRATOR_ERROR": "an error",
    "ESCALATION_RESOLVED": "a person's decision",
    "VIOLATION_WITNESSED": "a refused act",
    "PIPELINE_HALTED": "a halt",
    "PIPELINE_RESUMED": "a resumption",
    "CONFIGURATION_ADOPTED": "a configuration",
    "ALERT_DELIVERED": "an alert",
    "KEY_ADOPTED": "a key",
}
"""What to call the kinds of events in a sentence."""

_ACTOR: Mapping[str, Types] = {"id": _TEXT, "authenticated_by": _TEXT}
_CAUSE: Mapping[str, Types] = {"kind": _TEXT, "event_id": _TEXT_OR_NONE}

_TIMES: Mapping[str, tuple[str, ...]] = {
    "MOTION_ROUTED": ("not_before", "deadline"),
    "TRANSITION_WITNESSED": ("until",),
    "ORCHESTRATOR_ERROR": ("retry_at",),
}
"""The times that an event may speak of."""


class Unreadable(Exception):
    """What should be an event is none; the message says why."""


class Entry(NamedTuple):
    """An event, and where it stands. ``motion`` is None for the pipeline's own events."""

    position: int
    motion: str | None
    version: int
    topic: str
    data: Mapping[str, Any]
    at: datetime
    """When it happened, by the clock of who decided it."""
    committed_at: datetime
    envelope: Mapping[str, Any]

    @property
    def event_id(self) -> str:
        """The event's id: a routing and an error are known by it."""
        return str(self.data["event_id"])

    @property
    def words(self) -> str:
        """What to call the event in a sentence."""
        return WORDS[self.topic]

    @property
    def actor(self) -> str:
        """Who did it."""
        return str(self.data["actor"]["id"])

    @property
    def is_by_a_person(self) -> bool:
        """Whether a named person did it, and neither the orchestrator nor a service."""
        return self.data["actor"]["authenticated_by"] not in ("system", "service")


def decoded(lines: Iterable[bytes]) -> Iterator[object]:
    """Yield what stands in each line; None for a line that holds no JSON."""
    for line in lines:
        yield decode(line)


def decode(line: bytes) -> object:
    """Return what stands in a line; None if it holds no JSON."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def position_of(event: object) -> int | None:
    """Return the position a line claims for itself, if it claims one."""
    raw = event.get("position") if isinstance(event, dict) else None
    if isinstance(raw, str) and raw.isascii() and raw.isdigit():
        return int(raw[:20])
    return raw if isinstance(raw, int) and not isinstance(raw, bool) else None


def read(event: object) -> Entry:
    """Return the entry that an exported event is; raises Unreadable if it is none."""
    if not isinstance(event, dict):
        raise Unreadable("it holds no event at all")
    position, topic, data = position_of(event), event.get("type"), event.get("data")
    if position is None:
        raise Unreadable("it says no position")
    if not isinstance(topic, str) or not topic.startswith(PREFIX):
        raise Unreadable("it says no kind of event")
    topic = topic.removeprefix(PREFIX)
    if not isinstance(data, dict):
        raise Unreadable(f"its {topic} is empty")
    motion, known = _whose(event)
    fields = known.get(topic)
    if fields is None:
        raise Unreadable(
            f"there is no event {topic} of {'the pipeline' if motion is None else 'a motion'}"
        )
    _require(topic, data, ALWAYS)
    _require(topic, data, fields)
    _require(topic, data["actor"], _ACTOR)
    if topic == "TRANSITION_WITNESSED":
        _require(topic, data["cause"], _CAUSE)
    for name in _TIMES.get(topic, ()):
        if data[name] is not None:
            instant(data[name], name)
    version = event.get("streamversion")
    if type(version) is not int:
        raise Unreadable("it says no version")
    return Entry(
        position,
        motion,
        version,
        topic,
        data,
        instant(data["timestamp"], "timestamp"),
        instant(event.get("committedat"), "committedat"),
        event,
    )


def _whose(event: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
    if event.get("source") == PIPELINE:
        return None, OF_THE_PIPELINE
    motion = event.get("subject")
    if event.get("source") != MOTIONS or not isinstance(motion, str) or not motion:
        raise Unreadable("it says neither which motion it is about nor that it is the pipeline's")
    return motion, OF_MOTIONS


def _require(topic: str, data: Mapping[str, Any], fields: Mapping[str, Types]) -> None:
    for name, types in fields.items():
        if type(data.get(name)) not in types:
            raise Unreadable(f"its {topic} says no proper {name}")


def instant(text: object, name: str = "time") -> datetime:
    """Return a moment from its text; raises Unreadable unless it is one, with its offset."""
    if isinstance(text, str):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            moment = None
        if moment is not None and moment.tzinfo is not None:
            return moment
    raise Unreadable(f"its {name} is no time with an offset")


def instant_or_none(text: str | None) -> datetime | None:
    """Return the moment, or None where none is said."""
    return None if text is None else instant(text)
