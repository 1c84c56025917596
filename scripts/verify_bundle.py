"""Check a bundle of Governance Flow: what became of one motion, as its audit log has it.

For an auditor who trusts neither the operator nor the operator's program. This one file is all
it takes: it imports nothing of Governance Flow, needs no network, and reads from top to bottom.
It runs on Python 3.11 or newer with the package ``cryptography``, for Ed25519 signatures:

    python verify_bundle.py FILE [--log-key VKEY] [--knight-key VKEY] [--checkpoint FILE] [--quiet]

The exit code is 0 if the bundle is sound, 1 if it has a fault (the first one is named), and 2 if
what was asked cannot be said: wrong arguments, an unreadable file, checkpoints of two sizes.

A *fingerprint* here is a SHA-256 hash: nobody can find a second text that has the same. The forms
of notes, checkpoints and proofs are public standards, C2SP signed-note, tlog-checkpoint and
tlog-proof; the log is the tree of fingerprints of RFC 6962.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeVar
from uuid import UUID, uuid5

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    print("This takes the Python package cryptography: pip install cryptography", file=sys.stderr)
    sys.exit(2)

BUNDLE = "governance-flow/bundle/v1"
LEAF = "governance-flow/leaf/v1"
STATEMENT = "governance-flow/witness-statement/v1"
ADOPTION = "governance-flow/key-adoption/v1"
PROOF = "c2sp.org/tlog-proof@v1"
PIPELINE = str(uuid5(UUID(int=0), "governance-flow/pipeline"))
LEAF_BYTES_MAX, SIGNATURES_MAX, HASH_BYTES, INTEGER_MAX = 65_535, 100, 32, 2**53 - 1
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# -- The canonical flow, stated anew ---------------------------------------------------------------

STEPS = {
    "introduce": ("1 King introduces", ""),
    "deliberate": ("2 Conclave deliberates", "DELIBERATING"),
    "plan": ("3 President plans", "PLANNING"),
    "execute": ("4 Duke executes", "EXECUTING"),
    "judge": ("5 Prince judges", "JUDGING"),
    "record": ("6 Knight records", "WITNESSING"),
    "acknowledge": ("7 Conclave acknowledges", "WITNESSING"),
}
"""The seven steps in order, and the state in which a motion must be for each."""

FLOW = {
    "advance": "INTRODUCED>DELIBERATING DELIBERATING>RATIFIED RATIFIED>PLANNING PLANNING>EXECUTING"
    " EXECUTING>JUDGING JUDGING>WITNESSING WITNESSING>ACKNOWLEDGED DELIBERATING>REJECTED"
    " DELIBERATING>TABLED TABLED>DELIBERATING",
    "return": "DELIBERATING>INTRODUCED PLANNING>DELIBERATING EXECUTING>PLANNING JUDGING>EXECUTING"
    " WITNESSING>JUDGING",
    "review": "INTRODUCED>TABLED DELIBERATING>TABLED RATIFIED>TABLED PLANNING>TABLED"
    " EXECUTING>TABLED JUDGING>TABLED WITNESSING>TABLED INTRODUCED>REJECTED DELIBERATING>REJECTED"
    " RATIFIED>REJECTED PLANNING>REJECTED EXECUTING>REJECTED JUDGING>REJECTED WITNESSING>REJECTED",
    "withdraw": "INTRODUCED>WITHDRAWN DELIBERATING>WITHDRAWN TABLED>WITHDRAWN",
}
"""Why a motion may move, from where to where. What is not here would skip a step."""

ENDS = {"ACKNOWLEDGED", "REJECTED", "WITHDRAWN"}
ASIDES = ("MOTION_AMENDED", "ORCHESTRATOR_ERROR", "ESCALATION_RESOLVED", "VIOLATION_WITNESSED")
AUTHENTICATED = {
    "system": "the program itself",
    "service": "so says the service",
    "asserted": "a name given, not proven",
    "token": "held an access token in this name",
}

# -- Faults: what is wrong, where, and what that means ---------------------------------------------


class Problem(Exception):
    """Something is not as it must be; whoever catches it knows where, and what that means."""


class Fault(Exception):
    """The first fault; ``where`` names the event, ``meaning`` is for people."""

    def __init__(self, what: str, where: str, meaning: str) -> None:
        super().__init__(what)
        self.where, self.meaning = where, meaning


def require(holds: object, otherwise: str) -> None:
    """Raise a Problem unless it holds."""
    if not holds:
        raise Problem(otherwise)


@contextmanager
def examining(where: str, meaning: str) -> Iterator[None]:
    """Turn a Problem into the Fault that says where it is and what it means."""
    try:
        yield
    except Problem as problem:
        raise Fault(str(problem), where, meaning) from problem


# -- Texts -----------------------------------------------------------------------------------------

T = TypeVar("T")


def plain(text: object, characters_max: int = 100) -> str:
    """Return a text of the bundle for the screen: not too long, and nothing hidden in it."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))
    return shown if len(shown) <= characters_max else f"{shown[:characters_max]}..."


def canonical(value: object) -> str:
    """Return canonical JSON: sorted keys, no white space, nothing escaped without need.

    It equals RFC 8785 for what is checked here: all keys are ASCII, so that every way to sort them
    is the same, and all numbers are whole and below 2^53, so that they have one spelling.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def read_json(text: str, *, whole_numbers: bool = False) -> Any:
    """Return what the JSON says. What two programs could read in two ways is refused."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        require(len(found) == len(pairs), f"a name is given twice among {plain(list(found))}")
        return found

    def never(number: str) -> NoReturn:
        raise Problem(f"the number {plain(number)} cannot stand there")

    fraction = never if whole_numbers else float
    try:
        value = json.loads(text, object_pairs_hook=once, parse_constant=never, parse_float=fraction)
        canonical(value).encode()  # Half a surrogate pair has no UTF-8, and so no fingerprint.
    except (ValueError, RecursionError) as error:
        raise Problem(f"it is no well-formed JSON: {plain(error)}") from error
    return value


def member(holder: object, name: str, kind: type[T]) -> T:
    """Return ``holder[name]``, which must be there and of this kind."""
    value = holder.get(name) if isinstance(holder, dict) else None
    # Not isinstance, by which JSON's true would pass for a number.
    if type(value) is not kind or (isinstance(value, int) and not 0 <= value <= INTEGER_MAX):
        words = {str: "a text", int: "a whole number", dict: "an object", list: "a list"}[kind]
        raise Problem(f"there is no {name!r}, or it is not {words}")
    return value


def from_base64(text: str) -> bytes:
    """Return the bytes, which have one spelling only."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        data = b""
    require(data and b64encode(data).decode() == text, f"{plain(text)!r} is not proper base64")
    return data


def instant(text: object) -> datetime | None:
    """Return a time from its text, which must give its offset; None stays None."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        time = datetime.min  # noqa: DTZ901 - has no offset, so it is refused
    require(time.tzinfo, f"{plain(text)!r} is no time with an offset")
    return time


# -- Keys and signed notes (C2SP signed-note) ------------------------------------------------------


class Key(NamedTuple):
    """A public key: its text, and the name and id by which signatures refer to it."""

    text: str
    label: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Key:
        """Return the key of a vkey: name, id, and type and key, joined by plus signs."""
        name, _, rest = text.partition("+")
        data = from_base64(rest.partition("+")[2])
        require(name.isprintable() and name and " " not in name, "the key's name is not proper")
        require(data[:1] == b"\x01" and len(data) == 1 + HASH_BYTES, "it is no Ed25519 key")
        key_id = sha256(name.encode() + b"\n" + data).hexdigest()[:8]
        require(rest.startswith(f"{key_id}+"), "the key's id does not fit its name and itself")
        return cls(text, f"{name}+{key_id}", data[1:])


class Note(NamedTuple):
    """A text, and the signatures below it: the label of a key, and the signature's bytes."""

    text: str
    signatures: list[tuple[str, bytes]]

    @classmethod
    def parse(cls, note: str) -> Note:
        """Return the parts of a note, of which nothing is verified yet."""
        require(not re.search("[\x00-\x09\x0b-\x1f]", note), "the note has control characters")
        text, gap, block = note.rpartition("\n\n")
        require(gap and block.endswith("\n"), "the note is not signed, or cut off")
        signatures = []
        for line in block[:-1].split("\n"):
            parts = re.fullmatch(r"— ([^\s+]+) (\S+)", line)
            data = from_base64(parts[2]) if parts else b""
            require(len(data) > 4, f"{plain(line)!r} is no signature")  # noqa: PLR2004 - the id
            signatures.append((f"{parts[1] if parts else ''}+{data[:4].hex()}", data[4:]))
        require(len(signatures) <= SIGNATURES_MAX, "the note has too many signatures")
        return cls(f"{text}\n", signatures)

    def require_signed(self, key: Key, whose: str, known: Mapping[str, str] | None = None) -> None:
        """Require that ``key`` signed; ``known`` says what is known of other keys."""
        labels = {label: (known or {}).get(label, "unknown here") for label, _ in self.signatures}
        others = ", ".join(f"{plain(label)} ({what})" for label, what in labels.items())
        require(key.label in labels, f"it is not signed with {whose}, but with {others}")
        public = Ed25519PublicKey.from_public_bytes(key.public)
        for label, signature in self.signatures:
            try:
                if label == key.label:
                    public.verify(signature, self.text.encode())
            except InvalidSignature:
                raise Problem(f"the signature with {whose} does not fit the text") from None

    def require_says(self, header: str, true: Mapping[str, Any]) -> None:
        """Require the text to be the header and, in one line of canonical JSON, what is true."""
        line = self.text.removeprefix(f"{header}\n").removesuffix("\n")
        require(self.text == f"{header}\n{line}\n", f"the signed text is not a {header}")
        said = read_json(line, whole_numbers=True)
        require(isinstance(said, dict) and canonical(said) == line, "it is no canonical JSON")
        require(said.keys() == true.keys(), f"the signed text speaks of {plain(list(said))}")
        for name in true:
            # A time may be spelt in two ways. The rest as text: to Python, 1 and true are equal.
            of_time = name in ("timestamp", "until")
            mine, other = ((instant if of_time else canonical)(by[name]) for by in (said, true))
            pair = said[name], true[name]
            if isinstance(pair[0], list) and isinstance(pair[1], list):
                pairs = zip_longest(*pair)
                pair = next(((a, b) for a, b in pairs if canonical(a) != canonical(b)), pair)
            shown = [plain(canonical(value)) for value in pair]
            words = f"of {name!r}, the signed text says {shown[0]}, but it is {shown[1]}"
            require(mine == other, words)


# -- The log (RFC 6962, C2SP tlog-checkpoint and tlog-proof) ---------------------------------------


class Checkpoint(NamedTuple):
    """What the log promised: its name, its number of entries, one fingerprint for all of them."""

    note: str
    origin: str
    size: int
    root: bytes

    @classmethod
    def open(cls, note: str, key: Key) -> Checkpoint:
        """Return a checkpoint, if the log's key signed it."""
        parsed = Note.parse(note)
        parsed.require_signed(key, "the log's key")
        lines = parsed.text[:-1].split("\n")
        require(lines[2:] and all(lines), "a line is empty or missing")
        origin, size, root = lines[:3]
        require(re.fullmatch("0|[1-9][0-9]{0,15}", size), f"{plain(size)!r} is no size")
        require(len(from_base64(root)) == HASH_BYTES, f"{plain(root)!r} is no fingerprint")
        return cls(note, origin, int(size), from_base64(root))


@dataclass(frozen=True)
class Event:
    """One event and its proof, as they stand in the bundle; ``state`` is its stored bytes."""

    position: int
    stream_id: str
    version: int
    topic: str
    committed_at_us: int
    state: str
    proof: str

    @classmethod
    def parse(cls, raw: object) -> Event:
        """Return the event, all there and of the right kinds."""
        kinds: dict[str, type] = {"position": int, "version": int, "committed_at_us": int}
        kinds |= dict.fromkeys(("stream_id", "topic", "state", "proof"), str)
        event = cls(**{name: member(raw, name, kind) for name, kind in kinds.items()})
        require(isinstance(event.said, dict), "the stored event is no object")
        return event

    @cached_property
    def said(self) -> Any:
        """What the stored bytes say."""
        return read_json(self.state)

    @property
    def where(self) -> str:
        """Where to find it."""
        stream = " of the pipeline's own stream" if self.stream_id == PIPELINE else ""
        return f"event {self.version}{stream} ({plain(self.topic)}, position {self.position})"

    @property
    def when(self) -> str:
        """When the store kept it."""
        return f"{EPOCH + timedelta(microseconds=self.committed_at_us):%Y-%m-%d %H:%M:%S} UTC"

    @property
    def who(self) -> str:
        """Who did it, and how that is known."""
        actor = member(self.said, "actor", dict)
        how = member(actor, "authenticated_by", str)
        return f"{plain(member(actor, 'id', str), 60)} ({AUTHENTICATED.get(how, plain(how))})"

    @property
    def sha256(self) -> str:
        """The fingerprint of the stored bytes."""
        return sha256(self.state.encode()).hexdigest()

    @property
    def leaf(self) -> bytes:
        """The log's entry for this event: its record, and the statement if it carries one."""
        names = ("committed_at_us", "position", "sha256", "stream_id", "topic", "version")
        record = {name: getattr(self, name) for name in names}
        witnessed = self.topic == "TRANSITION_WITNESSED"
        statement = member(self.said, "statement", str) if witnessed else ""
        whole = f"{LEAF}\n{canonical(record)}\n{statement}".encode()
        if len(whole) <= LEAF_BYTES_MAX:
            return whole
        record["statement_sha256"] = sha256(statement.encode()).hexdigest()
        return f"{LEAF}\n{canonical(record)}\n".encode()

    def require_included(self, log: Checkpoint) -> None:
        """Require the proof to show this event in the log, at its position."""
        head, _, embedded = self.proof.partition("\n\n")
        require(embedded == log.note, "its proof is not for the checkpoint of this bundle")
        lines, begins = head.split("\n"), [PROOF, f"index {self.position}"]
        require(lines[:2] == begins, f"its proof begins with {plain(lines[:2])}, not {begins}")
        require(0 < self.position < log.size, f"the checkpoint covers {log.size} entries only")
        root = root_above(self.leaf, self.position, log.size, [*map(from_base64, lines[2:])])
        require(root == log.root, "it does not lead to the log's fingerprint, nor does its proof")


def root_above(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Return the fingerprint of a tree, from one leaf and what stands beside its way up.

    A tree's left half is the greatest power of two smaller than its size in leaves; a tree's
    fingerprint is that of its halves' fingerprints (RFC 6962, section 2.1).
    """
    require(bool(path) == (size > 1), "its proof is too long or too short")
    if size == 1:
        return sha256(b"\x00" + leaf).digest()
    half, (*below, beside) = 1 << ((size - 1).bit_length() - 1), path
    require(len(beside) == HASH_BYTES, "its proof holds something that is no fingerprint")
    if index < half:
        return sha256(b"\x01" + root_above(leaf, index, half, below) + beside).digest()
    return sha256(b"\x01" + beside + root_above(leaf, index - half, size - half, below)).digest()


# -- The steps of the verification -----------------------------------------------------------------


@dataclass
class Report:
    """Tells the reader what is checked, what that means, and what it does not prove."""

    quiet: bool = False
    steps: list[str] = field(default_factory=list)

    def begin(self, title: str) -> None:
        """Begin a step."""
        self.steps.append(title)
        self.say(f"\n{len(self.steps)}. {title}")

    def passed(self, checked: str, means: str, unproven: str) -> None:
        """End a step in which no fault was found."""
        self.say(f"Checked: {checked}\nIt means: {means}\nIt does not prove: {unproven}", "   ")

    def say(self, text: str, indent: str = "") -> None:
        """Print an explanation, unless only the verdict is wanted."""
        if not self.quiet:
            self.verdict(text, indent)

    def verdict(self, text: str, indent: str = "") -> None:
        """Print something that is never left out."""
        for line in text.split("\n"):
            print(textwrap.fill(line, 98, initial_indent=indent, subsequent_indent=indent + "   "))


@dataclass
class Bundle:
    """The parts of the file."""

    log_key: Key
    knight_keys: list[Any]
    motion_id: str
    origin: str
    checkpoint: str
    events: list[Event]
    key_events: list[Event]


def read_bundle(text: str, report: Report) -> Bundle:
    """Step 1: all parts are there."""
    report.begin("Is the file a whole bundle?")
    with examining("the file", "It is damaged or cut off, or no bundle of this version."):
        raw = read_json(text)
        require(member(raw, "format", str) == BUNDLE, f"the format is not {BUNDLE}")
        motion_id, origin = member(raw, "motion_id", str), member(raw, "origin", str)
        checkpoint, keys = member(raw, "checkpoint", str), member(raw, "keys", dict)
        log_key, knight_keys = Key.parse(member(keys, "log", str)), member(keys, "knight", list)
        entries = {name: member(raw, name, list) for name in ("events", "key_events")}
        require(entries["events"], "it holds no events")
    events: dict[str, list[Event]] = {"events": [], "key_events": []}
    for name, number, entry in ((n, k, e) for n in events for k, e in enumerate(entries[n], 1)):
        with examining(f"entry {number} of {name!r}", "It is damaged: nothing of it counts."):
            events[name].append(Event.parse(entry))
    report.passed(
        f"the file is well-formed JSON in the form {BUNDLE}, says nothing twice, and holds"
        f" {len(events['events'])} events of the motion {plain(motion_id)}.",
        "everything is there that the next steps look at.",
        "that anything in it is true.",
    )
    return Bundle(log_key, knight_keys, motion_id, origin, checkpoint, **events)


def compare_keys(bundle: Bundle, log_key: Key | None, knight_key: Key | None, to: Report) -> None:
    """Step 2: the bundle's keys are those the reader holds."""
    to.begin("Are these the keys that you hold?")
    meaning = "The bundle is not from the operator whose key you hold, or you hold a wrong key."
    with examining("the keys", meaning):
        other = f"the log's key is {plain(bundle.log_key.text)}, not the one you gave"
        require(log_key in (None, bundle.log_key), other)
        held = knight_key is None or knight_key.text in bundle.knight_keys
        require(held, "the Knight's key you gave is not among those the Knight has had")
    given = {"the log's": log_key, "the Knight's": knight_key}
    compared = " and ".join(whose for whose, key in given.items() if key)
    to.passed(
        f"{compared or 'no'} key in the file is one that you gave.",
        "if you had a key from the operator in a safe way, what it signs is the operator's. One of"
        " the Knight's keys is enough: each signs for the next, and each names the one before.",
        f"that nobody stole a key. {unheld(log_key, knight_key)}",
    )


def unheld(log_key: Key | None, knight_key: Key | None) -> str:
    """Say which keys were taken on trust."""
    pairs = (("log", "--log-key", log_key), ("Knight", "--knight-key", knight_key))
    return " ".join(
        f"The {name}'s key was NOT COMPARED with anything you hold: whoever made this file may have"
        f" made the key. Get it from the operator by another way, and give it with {option}."
        for name, option, key in pairs
        if key is None
    )


def open_checkpoint(bundle: Bundle, kept: str | None, report: Report) -> tuple[Checkpoint, bool]:
    """Step 3: the log signed its checkpoint. Also tells whether the kept one cannot be compared."""
    report.begin("Did the log sign this checkpoint?")
    meaning = "Without a checkpoint that the log signed, nothing shows what was in the log."
    with examining("the checkpoint", meaning):
        log, key = Checkpoint.open(bundle.checkpoint, bundle.log_key), bundle.log_key
        same = log.origin == bundle.origin and key.label.startswith(f"{log.origin}+")
        require(same, f"the checkpoint is of the log {plain(log.origin)}, the bundle of another")
    other = None
    if kept is not None:
        with examining("the checkpoint you kept", "It is damaged, or of another log."):
            other = Checkpoint.open(kept, key)
            require(other.origin == log.origin, "it is of another log")
        meaning = "The log showed two different pasts: it was rewritten, or is kept twice."
        with examining("the checkpoint and the one you kept", meaning):
            differs = f"both are of {log.size} entries, but their fingerprints differ"
            require(other.size != log.size or other.root == log.root, differs)
    compared = other is not None and other.size == log.size
    report.passed(
        f"the signature of the log's key, over {log.size} entries and one fingerprint of them all."
        + (" It is the same as in the checkpoint you kept." if compared else ""),
        "the log's operator stands by exactly these entries and cannot change one unnoticed.",
        "that the log shows everybody the same entries: for that, compare it with a checkpoint"
        " that was kept where the operator cannot reach it (--checkpoint).",
    )
    return log, other is not None and not compared


def find_in_log(bundle: Bundle, log: Checkpoint, report: Report) -> None:
    """Step 4: every event is in the log as it stands in the bundle."""
    report.begin("Is every event in the log, unchanged?")
    for event in [*bundle.key_events, *bundle.events]:
        meaning = "This event was changed after it was logged, moved, or was never in the log."
        with examining(event.where, meaning):
            event.require_included(log)
    report.passed(
        f"from each of {len(bundle.events)} events, and of {len(bundle.key_events)} about keys, the"
        " log's entry was computed anew and traced to the fingerprint in the checkpoint.",
        "not one character of these events, their places and times differs from what was logged.",
        "that what was logged is true, or that the log holds no further event of this motion.",
    )


def check_order(bundle: Bundle, report: Report) -> None:
    """Step 5: nothing is missing between the events, and they are in order."""
    report.begin("Is any event missing, doubled or out of order?")
    for expected, event in enumerate(bundle.events, 1):
        with examining(event.where, "An event was left out, added, doubled or moved."):
            require(event.stream_id == bundle.motion_id, "it belongs to another motion")
            require(event.version == expected, f"event {expected} should stand here")
            first = (event.topic == "MOTION_INTRODUCED") == (expected == 1)
            require(first, "a motion begins with its introduction, which happens once")
    versions = 0
    for event in bundle.key_events:
        with examining(event.where, "An event about keys was added, doubled or moved."):
            require(event.stream_id == PIPELINE, "it is not of the pipeline's own stream")
            require(event.version > versions, "it stands after a later one")
            versions = event.version
    both = sorted([*bundle.key_events, *bundle.events], key=lambda event: event.position)
    for events in (bundle.events, bundle.key_events, both):
        for before, event in pairwise(events):
            with examining(event.where, "The events were not logged in the order they have here."):
                require(event.position > before.position, f"it was logged before {before.where}")
                backwards = event.committed_at_us < before.committed_at_us
                require(not backwards, f"its time is before that of {before.where}")
    report.passed(
        "the events are numbered without a gap from 1, all of this motion; later events stand later"
        " in the log, and no time goes back.",
        f"nothing is missing up to event {len(bundle.events)}, and nothing was slipped in.",
        f"that no event {len(bundle.events) + 1} exists; and times are by the operator's clock.",
    )


Adoptions = list[tuple[int, Key]]
"""The Knight's keys, each with the position from which it holds."""


def check_adoptions(bundle: Bundle, report: Report) -> Adoptions:
    """Step 6: whose key held when."""
    report.begin("Which keys did the Knight and the log have, and since when?")
    adopted: dict[str, Adoptions] = {"knight": [], "log": []}
    meaning = "The key was not put in force by whoever held the one before: it may be a forger's."
    for event in bundle.key_events:
        with examining(event.where, meaning):
            require(event.topic == "KEY_ADOPTED", "it is not the adoption of a key")
            role, key = member(event.said, "role", str), Key.parse(member(event.said, "key", str))
            require(role in adopted, f"there is no {plain(role)!r} to have a key")
            before = adopted[role][-1][1] if adopted[role] else None
            require(role == "knight" or not before, "the log's key is replaced, which cannot be")
            others = [other.public for r in adopted if r != role for _, other in adopted[r]]
            require(key.public not in others, "one key serves as the Knight's and as the log's")
            note = Note.parse(member(event.said, "statement", str))
            at = member(event.said, "timestamp", str)
            previous = before.text if before else None
            true = {"key": key.text, "previous": previous, "role": role, "timestamp": at}
            note.require_says(ADOPTION, true)
            note.require_signed(key, "the new key")
            if before:
                note.require_signed(before, "the key before it")
            adopted[role].append((event.position, key))
    with examining("the keys", "The bundle names keys that the log does not know as such."):
        knights = [key.text for _, key in adopted["knight"]]
        require(knights == bundle.knight_keys, "the Knight's keys are not those adopted in the log")
        same = [key for _, key in adopted["log"]] == [bundle.log_key]
        require(same, "the log's key is not the one adopted in the log")
    report.passed(
        f"{len(knights)} of the Knight and one of the log, each adopted in the log, signed with the"
        " key itself and with the Knight's key before it.",
        "for every event it is known which key the Knight had then.",
        "that a key was not stolen, or that a later adoption of a key is not left out here.",
    )
    return adopted["knight"]


class Chain(NamedTuple):
    """What a statement must name: the fingerprints of the one before, and of all events since."""

    previous: str | None
    covers: list[dict[str, Any]]


def check_statements(bundle: Bundle, knights: Adoptions, report: Report) -> None:
    """Step 7: the Knight witnessed every change of state, and all that led to it."""
    report.begin("Did the Knight witness every change of state?")
    known = {bundle.log_key.label: "the log's key"}
    known |= {key.label: f"the Knight's key from position {at} on" for at, key in knights}
    chain, last = Chain(None, []), 0
    meaning = "The Knight did not witness this change of state, or witnessed another one."
    for event in bundle.events:
        if event.topic == "TRANSITION_WITNESSED":
            with examining(event.where, meaning):
                held = [key for at, key in knights if at < event.position]
                check_statement(event, chain, held, known)
            digest, last = sha256(event.said["statement"].encode()).hexdigest(), event.version
            chain = Chain(digest, [])
        chain.covers.append({"sha256": event.sha256, "version": event.version})
    report.passed(
        "each change of state carries a statement, signed with the key that the Knight had then. It"
        " names the motion, the change, who caused it and when, the statement before it, and the"
        " fingerprint of every event since.",
        "the chain of statements is whole, and none was exchanged for another.",
        "that the Knight was right to sign, or that events are what they claim to be.",
    )
    later = [event for event in bundle.events if event.version > last]
    for event in later:
        report.say(f"Not yet covered by a statement, but in the log: {event.where}.", "   ")


def check_statement(event: Event, chain: Chain, held: list[Key], known: Mapping[str, str]) -> None:
    """Require one statement to be the Knight's, and to say what the event says."""
    said, note = event.said, Note.parse(member(event.said, "statement", str))
    require(held, "the Knight had no key yet")
    note.require_signed(held[-1], "the key that the Knight had then", known)
    true = {
        "actor": member(said, "actor", dict),
        "cause": member(said, "cause", dict),
        "covers": chain.covers,
        "from": member(said, "from_state", str),
        "motion_id": event.stream_id,
        "previous_statement": chain.previous,
        "timestamp": member(said, "timestamp", str),
        "to": member(said, "to_state", str),
        "until": said.get("until"),
        "version": event.version,
        "witness": member(read_json(note.text.partition("\n")[2]), "witness", str),
    }
    note.require_says(STATEMENT, true)


def follow(bundle: Bundle, report: Report) -> tuple[str, dict[str, Event]]:
    """Step 8: every change of state is one of the flow. Also tells what was done where."""
    report.begin("Did the motion take the steps it must?")
    state, done = "", dict[str, Event]()
    for event in bundle.events:
        meaning = "The motion did not go the way that the rules lay down."
        with examining(event.where, meaning):
            require(state not in ENDS, f"nothing may follow once a motion is {state}")
            require(event.who, "it says nobody who acted")
            state = taken(event, state, done)
    whole = state == "ACKNOWLEDGED"
    report.passed(
        "each change of state goes on from the one before, and is one that the rules have"
        + ("; all seven steps stand, those done again that were undone." if whole else "."),
        f"the motion is rightly {state}. "
        + (
            ""
            if state in ENDS
            else "It is NOT FINISHED: the"
            " steps that are not in the table below are not shown to have been taken."
        ),
        "that a step was done well, or that different people did them: see who acted, below.",
    )
    return state, done


def taken(event: Event, state: str, done: dict[str, Event]) -> str:
    """Return the state after the event, and note in ``done`` which steps stand then."""
    said, order = event.said, list(STEPS)
    match event.topic:
        case "MOTION_INTRODUCED":
            done["introduce"], state = event, "INTRODUCED"
        case "MOTION_ROUTED":
            # Whoever is asked to do a step again has not done it.
            done.pop(member(said, "purpose", str), None)
        case "BRANCH_COMPLETED":
            step = member(said, "purpose", str)
            if said.get("success") is True and STEPS.get(step, ("", ""))[1] == state:
                done[step] = event
        case "TRANSITION_WITNESSED":
            source, target = member(said, "from_state", str), member(said, "to_state", str)
            kind = member(member(said, "cause", dict), "kind", str)
            require(source == state, f"it leaves {plain(source)}, but the motion is {state}")
            lawful = f"{source}>{target}" in FLOW.get(kind, "").split()
            move = f"{source} to {plain(target)} ({plain(kind)})"
            require(lawful, f"the rules have no change from {move}: a step was skipped")
            missing = [STEPS[step][0] for step in order if step not in done]
            require(target != "ACKNOWLEDGED" or not missing, f"not done: {', '.join(missing)}")
            if kind == "return" or target == "TABLED":
                again = [step for step in order if STEPS[step][1] == target]
                for step in order[order.index(again[0] if again else "deliberate") :]:
                    done.pop(step, None)
            state = target
        case topic:
            require(topic in ASIDES, "a motion has no events of this kind")
    return state


def conclude(bundle: Bundle, size: int, done: Mapping[str, Event], report: Report) -> None:
    """Say who did what, and what no bundle can show."""
    report.say(f"\nWho took which step up to event {len(bundle.events)}, if it was not undone:")
    for step, (words, _) in STEPS.items():
        when, who = (done[step].when, done[step].who) if step in done else ("not shown", "")
        report.say(f"{words:<24} {when:<24} {who}", "   ")
    report.say(
        "\nWhat no bundle can show:\n"
        f"- Events of this motion after the log had {size} entries. Ask for a newer bundle.\n"
        "- That the log has no later event of this motion among those entries. Once a motion has"
        " ended nothing may follow, but only who has the whole log can see that nothing does:"
        " governance-flow audit verify. The same goes for a later change of keys.\n"
        "- That the operator has not written everything anew, with both keys. Only a checkpoint"
        " kept elsewhere shows that."
    )


def verify(text: str, options: argparse.Namespace, report: Report) -> int:
    """Go through all steps; raises Fault at the first fault."""
    bundle = read_bundle(text, report)
    compare_keys(bundle, options.log_key, options.knight_key, report)
    log, incomparable = open_checkpoint(bundle, options.checkpoint, report)
    find_in_log(bundle, log, report)
    check_order(bundle, report)
    check_statements(bundle, check_adoptions(bundle, report), report)
    state, done = follow(bundle, report)
    conclude(bundle, log.size, done, report)
    trust = unheld(options.log_key, options.knight_key)
    shown = f"motion {plain(bundle.motion_id)}, events 1 to {len(bundle.events)}, is {state}"
    report.say("")
    report.verdict(f"SOUND: {shown}. {trust}".rstrip())
    if incomparable:
        report.verdict(
            "NOT COMPARED: the checkpoint you kept is of another size than this one. Whether one"
            " grew out of the other takes a consistency proof: governance-flow audit consistency."
        )
    return 2 if incomparable else 0


# -- The command line ------------------------------------------------------------------------------


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments; leaves with exit code 2 if they are wrong."""
    parser = argparse.ArgumentParser(description="Check a bundle of Governance Flow.")
    parser.add_argument("file", type=readable, help="the bundle")
    parser.add_argument("--log-key", type=public_key, help="the log's public key, as you hold it")
    parser.add_argument("--knight-key", type=public_key, help="a public key the Knight has or had")
    parser.add_argument(
        "--checkpoint", type=readable, help="a checkpoint of this log, kept elsewhere"
    )
    parser.add_argument("--quiet", action="store_true", help="print the verdict only")
    return parser.parse_args(given)


def readable(path: str) -> str:
    """Return what a file says; line ends stay as they are, because they count."""
    try:
        return Path(path).read_bytes().decode()
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"cannot be read: {path}: {error}") from error


def public_key(text: str) -> Key:
    """Return the key of an argument, or of the file that it names with @."""
    try:
        if text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8").strip()
        return Key.parse(text)
    except (OSError, UnicodeDecodeError, Problem) as problem:
        form = "write the key as name+id+base64, one line, as its owner published it, or @FILE"
        raise argparse.ArgumentTypeError(f"{plain(text)!r}: {problem}; {form}") from problem


def main(given: Sequence[str] | None = None) -> int:
    """Check a bundle, explain it, and return the exit code."""
    options = arguments(given)
    report = Report(options.quiet)
    try:
        return verify(options.file, options, report)
    except Fault as fault:
        report.say("")
        report.verdict(
            f"FAULT in step {len(report.steps)} ({report.steps[-1]})\nWhat: {fault}\n"
            f"Where: {fault.where}\nIt means: {fault.meaning}\n"
            "This is the first fault. What comes after it was not looked at."
        )
        return 1


if __name__ == "__main__":
    # Names may hold letters that the screen cannot show.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main())
