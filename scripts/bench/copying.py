"""Copies of finished motions: the same history under other ids, on another day, witnessed anew.

Driving a hundred thousand motions would take minutes, so a block of them is really driven, and
copied. A copy must be as good as the original, or what is measured on it means nothing: ids are
replaced wherever they stand in the stored bytes, dates are moved by whole days, the digests that
the Knight's statements bind (the SHA-256 of the stored bytes of every event, and that of the
statement before) are computed anew from the copy's own bytes, and the statements are signed anew:
by the key with which the block was driven, so that the same statement has the same signature. The
whole block is copied as it lies in the log, so that motions are interleaved in a copy as they
really are. A store that was filled so passes ``audit verify``.

Signing is most of the work. A store that nobody verifies is filled with copies that carry the
signatures of the originals, which do not fit.

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
from governance_flow.domain.keys import KeyRole
from scripts.bench.keys import signature_of

DAY_US = 24 * 3600 * 1_000_000

_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_DATE = re.compile(rb"\d{4}-\d\d-\d\d(?=T\d\d:)")
# The base64 of a key id and an Ed25519 signature, 68 bytes.
_SIGNATURE = re.compile(rb"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{91}=(?![A-Za-z0-9+/=])")
_HOLE = re.compile(b"|".join((_UUID.pattern, _DIGEST.pattern, _DATE.pattern, _SIGNATURE.pattern)))
_STATEMENT_KEY = b'"statement":"'
_UUID_BYTES = 16

_VALUES_AN_EVENT = 3
"""The digest of its bytes; the digest of its statement, and the statement's signature."""


@dataclass(frozen=True, slots=True)
class CopiedEvent:
    """One event of a copy, by the position it has within the block, counted from 0.

    ``statement`` is that of a witnessed transition.
    """

    offset: int
    stream_id: UUID
    version: int
    topic: str
    state: bytes
    committed_at_us: int
    statement: str | None


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

    def copy(self, days: int, *, sign: bool = True) -> Copy:
        """Return the block under new ids, so many days earlier, with statements signed anew."""
        dates = [_earlier(day, days) for day in self._dates]
        copied = [motion.copy(dates, days * DAY_US, sign=sign) for motion in self._motions]
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
        # Values, in this order: the motion's id and its events' ids, then for each event those of
        # ``_VALUES_AN_EVENT``, then the dates of the block.
        ids = [str(self.original)]
        ids += [json.loads(event.state)["event_id"] for _, event in run]
        self._ids = len(ids)
        self._dates_at = self._ids + _VALUES_AN_EVENT * len(run)
        known = {text.encode(): number for number, text in enumerate(ids)}
        originals = list(known)
        numbers = range(self._ids, self._dates_at, _VALUES_AN_EVENT)
        self._events = [
            _EventTemplate(offset, event, known, number, dates=dates, dates_at=self._dates_at)
            for number, (offset, event) in zip(numbers, run, strict=True)
        ]
        again = self._made(originals, list(dates), 0, sign=True)
        if [event.state for event in again] != [event.state for _, event in run]:
            raise ValueError(f"motion {self.original} cannot be copied: its templates differ")

    def copy(
        self, dates: Sequence[bytes], earlier_us: int, *, sign: bool
    ) -> tuple[UUID, list[CopiedEvent]]:
        """Return the id of a new copy, and its events."""
        random = os.urandom(_UUID_BYTES * self._ids)
        ids = [
            UUID(bytes=random[first : first + _UUID_BYTES], version=4)
            for first in range(0, len(random), _UUID_BYTES)
        ]
        made = self._made([str(new).encode() for new in ids], dates, earlier_us, sign=sign)
        return ids[0], made

    def _made(
        self, ids: Sequence[bytes], dates: Sequence[bytes], earlier_us: int, *, sign: bool
    ) -> list[CopiedEvent]:
        values = [*ids, *[b""] * (self._dates_at - self._ids), *dates]
        stream_id = UUID(ids[0].decode())
        return [
            template.filled(values, stream_id, earlier_us, sign=sign) for template in self._events
        ]


class _EventTemplate:
    """One event as a template, and its statement, if it carries one, as another."""

    def __init__(
        self,
        offset: int,
        event: CommittedEvent,
        known: dict[bytes, int],
        number: int,
        *,
        dates: dict[bytes, int],
        dates_at: int,
    ) -> None:
        """Find the holes. The event's own values, from ``number`` on, are added to the known."""
        self._offset = offset
        self._version = event.originator_version
        self._topic = event.topic
        self._committed_at_us = event.committed_at_us
        self._number = number
        self._text: _Template | None = None
        if _STATEMENT_KEY in event.state:
            statement = json.loads(event.state)["statement"].encode()
            text, self._signer, self._signature = _parted(statement)
            self._text = _Template(text, known, dates, dates_at)
            known.setdefault(sha256(statement).hexdigest().encode(), number + 1)
            known[self._signature] = number + 2
        self._state = _Template(event.state, known, dates, dates_at)
        known.setdefault(sha256(event.state).hexdigest().encode(), number)

    def filled(
        self, values: list[bytes], stream_id: UUID, earlier_us: int, *, sign: bool
    ) -> CopiedEvent:
        """Return the event in another stream, and put its own values among the others."""
        statement = None
        if self._text is not None:
            text = self._text.filled(values)
            signature = signature_of(text, KeyRole.KNIGHT) if sign else self._signature
            note = b"".join((text, self._signer, signature, b"\n"))
            values[self._number + 1] = sha256(note).hexdigest().encode()
            values[self._number + 2] = signature
            statement = note.decode()
        state = self._state.filled(values)
        values[self._number] = sha256(state).hexdigest().encode()
        committed_at_us = self._committed_at_us - earlier_us
        return CopiedEvent(
            self._offset, stream_id, self._version, self._topic, state, committed_at_us, statement
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


def _parted(note: bytes) -> tuple[bytes, bytes, bytes]:
    """Return the text of a note with one signature, what names the signer, and the signature."""
    end = note.index(b"\n\n") + 1
    start = note.rindex(b" ") + 1
    return note[:end], note[end:start], note[start:-1]


def moved_earlier(event: CommittedEvent, offset: int, days: int) -> CopiedEvent:
    """Return an event of the pipeline's own stream, so many days earlier.

    The adoption of a key speaks of its time, and is signed anew by the key.
    """
    state = _DATE.sub(lambda match: _earlier(match[0], days), event.state)
    if _STATEMENT_KEY in state:
        adopted = json.loads(state)
        text, _, signature = _parted(adopted["statement"].encode())
        state = state.replace(signature, signature_of(text, KeyRole(adopted["role"])))
    committed_at_us = event.committed_at_us - days * DAY_US
    return CopiedEvent(
        offset, PIPELINE_ID, event.originator_version, event.topic, state, committed_at_us, None
    )
