"""Copies of finished motions: the same history under other ids, on another day, witnessed anew.

Driving a hundred thousand motions would take minutes, so a block of them is really driven, and
copied. A copy must be as good as the original, or what is measured on it means nothing: ids are
replaced wherever they stand in the stored bytes, dates are moved by whole days, and the digests
that the Knight's statements bind (the SHA-256 of the stored bytes of every event, and that of the
statement before) are computed anew from the copy's own bytes. The whole block is copied as it
lies in the log, so that motions are interleaved in a copy as they really are. A store that was
filled so passes ``audit verify``.

Every event becomes a template once: the bytes between the holes, and what goes into each hole.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256
from uuid import UUID

from governance_flow.application.ports.event_store import CommittedEvent
from governance_flow.domain.events import PIPELINE_ID

DAY_US = 24 * 3600 * 1_000_000

_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_DATE = re.compile(rb"\d{4}-\d\d-\d\d(?=T\d\d:)")
_HOLE = re.compile(b"|".join((_UUID.pattern, _DIGEST.pattern, _DATE.pattern)))
_STATEMENT_KEY = b'"statement":"'
_UUID_BYTES = 16


@dataclass(frozen=True, slots=True)
class CopiedEvent:
    """One event of a copy, by the position it has within the block, counted from 0."""

    offset: int
    stream_id: UUID
    version: int
    topic: str
    state: bytes
    committed_at_us: int


class Block:
    """Motions that were really driven, ready to be copied. All must be finished."""

    def __init__(self, log: Sequence[CommittedEvent]) -> None:
        """Take the whole log of a store in order of position."""
        streams: dict[UUID, list[tuple[int, CommittedEvent]]] = {}
        motions = [event for event in log if event.originator_id != PIPELINE_ID]
        for offset, event in enumerate(motions):
            streams.setdefault(UUID(str(event.originator_id)), []).append((offset, event))
        self.events = len(motions)
        self._dates: dict[bytes, int] = {}
        self._motions = [_MotionTemplate(run, self._dates) for run in streams.values()]

    @property
    def motion_ids(self) -> list[UUID]:
        """The ids of the motions in the block itself."""
        return [motion.original for motion in self._motions]

    def copy(self, days: int) -> Copy:
        """Return the block under new ids, so many days earlier."""
        dates = [_earlier(day, days) for day in self._dates]
        copied = [motion.copy(dates, days * DAY_US) for motion in self._motions]
        events = [event for _, run in copied for event in run]
        events.sort(key=lambda event: event.offset)
        ids = {motion.original: new for motion, (new, _) in zip(self._motions, copied, strict=True)}
        return Copy(days, tuple(events), ids)


@dataclass(frozen=True, slots=True)
class Copy:
    """A block under new ids: its events in order, and the new id of each motion."""

    days: int
    events: tuple[CopiedEvent, ...]
    ids: dict[UUID, UUID]


class _MotionTemplate:
    """One motion as templates. What goes into their holes is numbered, and called a value."""

    def __init__(self, run: Sequence[tuple[int, CommittedEvent]], dates: dict[bytes, int]) -> None:
        """Find the holes; raises ValueError if the original cannot be made from the templates."""
        self.original = UUID(str(run[0][1].originator_id))
        # Values, in this order: the motion's id and its events' ids, then for each event the
        # digest of its bytes and the digest of its statement, then the dates of the block.
        ids = [str(self.original)]
        ids += [json.loads(event.state)["event_id"] for _, event in run]
        self._ids = len(ids)
        self._dates_at = self._ids + 2 * len(run)
        known = {text.encode(): number for number, text in enumerate(ids)}
        originals = list(known)
        self._events: list[_EventTemplate] = []
        for index, (offset, event) in enumerate(run):
            template = _EventTemplate(offset, event, known, dates, self._dates_at)
            self._events.append(template)
            for number, digest in enumerate(template.original_digests, self._ids + 2 * index):
                originals.append(digest)
                known.setdefault(digest, number)
        again = self._made(originals[: self._ids], list(dates), 0)
        if [event.state for event in again] != [event.state for _, event in run]:
            raise ValueError(f"motion {self.original} cannot be copied: its templates differ")

    def copy(self, dates: Sequence[bytes], earlier_us: int) -> tuple[UUID, list[CopiedEvent]]:
        """Return the id of a new copy, and its events."""
        random = os.urandom(_UUID_BYTES * self._ids)
        ids = [
            UUID(bytes=random[first : first + _UUID_BYTES], version=4)
            for first in range(0, len(random), _UUID_BYTES)
        ]
        return ids[0], self._made([str(new).encode() for new in ids], dates, earlier_us)

    def _made(
        self, ids: Sequence[bytes], dates: Sequence[bytes], earlier_us: int
    ) -> list[CopiedEvent]:
        values = [*ids, *[b""] * (self._dates_at - self._ids), *dates]
        stream_id = UUID(ids[0].decode())
        made = []
        for at, template in zip(range(self._ids, self._dates_at, 2), self._events, strict=True):
            state, statement = template.filled(values)
            values[at] = sha256(state).hexdigest().encode()
            if statement is not None:
                values[at + 1] = sha256(statement).hexdigest().encode()
            made.append(template.event(stream_id, state, earlier_us))
        return made


class _EventTemplate:
    """One event as a template, and its statement, if it carries one, as another."""

    def __init__(
        self,
        offset: int,
        event: CommittedEvent,
        known: dict[bytes, int],
        dates: dict[bytes, int],
        dates_at: int,
    ) -> None:
        self._offset = offset
        self._version = event.originator_version
        self._topic = event.topic
        self._committed_at_us = event.committed_at_us
        self._state = _Template(event.state, known, dates, dates_at)
        self._statement: _Template | None = None
        digests = [sha256(event.state).hexdigest().encode(), b"no statement"]
        if _STATEMENT_KEY in event.state:
            text = json.loads(event.state)["statement"].encode()
            self._statement = _Template(text, known, dates, dates_at)
            digests[1] = sha256(text).hexdigest().encode()
        self.original_digests = tuple(digests)

    def filled(self, values: Sequence[bytes]) -> tuple[bytes, bytes | None]:
        """Return the stored bytes, and the statement's own."""
        statement = None if self._statement is None else self._statement.filled(values)
        return self._state.filled(values), statement

    def event(self, stream_id: UUID, state: bytes, earlier_us: int) -> CopiedEvent:
        """Return the event with these bytes in another stream, committed that much earlier."""
        committed_at_us = self._committed_at_us - earlier_us
        return CopiedEvent(
            self._offset, stream_id, self._version, self._topic, state, committed_at_us
        )


class _Template:
    """Bytes with holes in them."""

    def __init__(
        self, text: bytes, known: dict[bytes, int], dates: dict[bytes, int], dates_at: int
    ) -> None:
        parts: list[bytes] = []
        self._holes: list[int] = []
        end = 0
        for start, stop, number in _holes(text, known, dates, dates_at):
            parts.append(text[end:start])
            self._holes.append(number)
            end = stop
        parts.append(text[end:])
        self._format = b"%b".join(part.replace(b"%", b"%%") for part in parts)

    def filled(self, values: Sequence[bytes]) -> bytes:
        """Return the bytes with these values in the holes."""
        return self._format % tuple([values[number] for number in self._holes])


def _holes(
    text: bytes, known: dict[bytes, int], dates: dict[bytes, int], dates_at: int
) -> Iterator[tuple[int, int, int]]:
    """Yield where each hole begins and ends, and the number of the value that belongs there."""
    for match in _HOLE.finditer(text):
        found = match[0]
        if found in known:
            yield match.start(), match.end(), known[found]
        elif _DATE.match(text, match.start()):
            yield match.start(), match.end(), dates_at + dates.setdefault(found, len(dates))


def _earlier(day: bytes, days: int) -> bytes:
    return (date.fromisoformat(day.decode()) - timedelta(days=days)).isoformat().encode()


def moved_earlier(state: bytes, days: int) -> bytes:
    """Return an event of the pipeline's own stream, so many days earlier."""
    return _DATE.sub(lambda match: _earlier(match[0], days), state)
