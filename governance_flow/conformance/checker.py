"""The checker: takes a history event by event, and says where it was not lawful."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from sys import intern

from governance_flow.conformance import pipeline
from governance_flow.conformance.canon import ENDS, PLACED
from governance_flow.conformance.case import Around, Case, Promise
from governance_flow.conformance.deadlines import Watch
from governance_flow.conformance.entries import (
    Entry,
    Unreadable,
    instant,
    position_of,
    read,
)
from governance_flow.conformance.escalations import failed, resolved
from governance_flow.conformance.reports import amended, completed, refused
from governance_flow.conformance.routings import require_place, routed
from governance_flow.conformance.rules import Findings, Offence, Rule
from governance_flow.conformance.transitions import moved


class Conformance:
    """Holds a history to the rules.

    Give it the exported events in order of position, from the first one on: ``take`` each, then
    ``finish``; each returns the offences it found. An offence does not end the check: what the
    event says is believed from then on, so that one forgery is not told a hundred times.

    Memory: one ``Case`` a motion under way, and of every motion that has ended its id and how, so
    that nothing can happen to it unnoticed.
    """

    def __init__(self) -> None:
        self._findings = Findings()
        self._around = Around(self._findings)
        self._watch = Watch(self._around)
        self._breaker = pipeline.Breaker(self._around)
        self._cases: dict[str, Case] = {}
        self._ended: dict[bytes | str, str] = {}
        self._placed = 0
        self._position = 0
        self._pipeline_version = 0
        self._committed_at: datetime | None = None
        self.events = 0
        """How many events were taken."""

    @property
    def checked(self) -> dict[Rule, int]:
        """How often each rule was applied so far."""
        return dict(self._findings.checked)

    @property
    def motions(self) -> int:
        """How many motions there were so far."""
        return len(self._cases) + len(self._ended)

    def take(self, event: object) -> list[Offence]:
        """Check the next event, decoded from a line of the export."""
        self.events += 1
        say = self._findings
        try:
            self._take(read(event))
        except Unreadable as why:
            self._spoilt(event, str(why))
        except OverflowError:
            self._spoilt(event, "its times lie beyond the calendar")
        return say.take()

    def _take(self, entry: Entry) -> None:
        say = self._findings
        say.at(entry.position, entry.motion)
        say.hold(Rule.RECORD_READABLE, True, "")  # noqa: FBT003 - counts that it was looked at
        self._require_order(entry)
        _require_envelope(entry, say)
        self._watch.passed(entry.committed_at)
        self._breaker.look()
        say.at(entry.position, entry.motion)
        if entry.motion is None:
            self._follow_pipeline(entry)
        else:
            self._follow_motion(entry, entry.motion)

    def _spoilt(self, event: object, why: str) -> None:
        """Note an event that cannot be judged; the next one is expected to stand behind it."""
        self._position = position_of(event) or self._position + 1
        self._findings.at(self._position, None)
        text = "this line cannot be read: {}"
        self._findings.hold(Rule.RECORD_READABLE, False, text, why)  # noqa: FBT003 - it does not

    def finish(self) -> list[Offence]:
        """Check what the end of the history must not leave open."""
        for case in self._cases.values():
            self._findings.at(self._position, case.motion)
            if case.promise is not None:
                _require_promise(case.promise, None, self._findings)
            self._judge_admission(case)
        with suppress(OverflowError):  # it was named where it was taken
            self._watch.look()
        return self._findings.take()

    # -- The record as a whole -------------------------------------------------------------------

    def _require_order(self, entry: Entry) -> None:
        say = self._findings
        say.hold(
            Rule.POSITIONS_DENSE,
            entry.position == self._position + 1,
            "after position {} comes {}"
            if self._position
            else "the history begins at position {1}; it must be given from position 1 on",
            self._position,
            entry.position,
        )
        self._position = entry.position
        before = self._committed_at
        say.hold(
            Rule.COMMIT_TIMES_ORDERED,
            before is None or before <= entry.committed_at,
            "it was stored at {}, before what stands in front of it ({})",
            entry.committed_at,
            before,
        )
        if before is None or before < entry.committed_at:
            self._committed_at = entry.committed_at

    # -- Whose event it is -----------------------------------------------------------------------

    def _follow_pipeline(self, entry: Entry) -> None:
        self._require_version(entry, self._pipeline_version)
        self._pipeline_version = entry.version
        pipeline.follow(entry, self._around, self._breaker)

    def _follow_motion(self, entry: Entry, motion: str) -> None:
        say, case = self._findings, self._cases.get(motion)
        ended = self._ended.get(_tombstone(motion)) if case is None else None
        if not say.hold(
            Rule.NOTHING_AFTER_THE_END,
            ended is None,
            "{} came after it had ended in {}",
            entry.words,
            ended,
        ):
            return
        introduced = entry.topic == "MOTION_INTRODUCED"
        begins = say.hold(
            Rule.BEGINS_WITH_INTRODUCTION,
            introduced is (case is None),
            "it was introduced a second time"
            if introduced
            else "it begins with {}, although nobody had introduced it",
            entry.words,
        )
        self._require_version(entry, 0 if case is None else case.version)
        if case is None:
            case = self._cases[motion] = _opened(entry, motion)
        elif begins:
            self._follow_case(case, entry)
            case.previous = entry
        case.version = entry.version
        if case.state in ENDS:
            del self._cases[motion]
            self._watch.forget(motion)
            self._ended[_tombstone(motion)] = intern(case.state)
        else:
            self._watch.follow(case)

    def _require_version(self, entry: Entry, before: int) -> None:
        self._findings.hold(
            Rule.VERSIONS_DENSE,
            entry.version == before + 1,
            "its event number {} is followed by number {}",
            before,
            entry.version,
        )

    # -- One motion ------------------------------------------------------------------------------

    def _follow_case(self, case: Case, entry: Entry) -> None:
        say, around = self._findings, self._around
        say.hold(
            Rule.CORRELATION_KEPT,
            entry.data["correlation_id"] == case.correlation,
            "{} carries the correlation id {}, all before it {}",
            entry.words,
            entry.data["correlation_id"],
            case.correlation,
        )
        promise = case.promise
        if promise is not None:
            _require_promise(promise, entry, say)
        if entry.topic != "MOTION_ROUTED":
            self._judge_admission(case)
        match entry.topic:
            case "TRANSITION_WITNESSED":
                self._move(case, entry)
            case "MOTION_ROUTED":
                routed(case, entry, around)
            case "BRANCH_COMPLETED":
                completed(case, entry, around)
            case "ORCHESTRATOR_ERROR":
                failed(case, entry, around)
                self._breaker.count(entry)
            case "ESCALATION_RESOLVED":
                resolved(case, entry, around)
            case "VIOLATION_WITNESSED":
                refused(case, entry, around)
            case _:
                amended(case, entry, around)
        if case.promise is promise:
            case.promise = None

    def _move(self, case: Case, entry: Entry) -> None:
        held = case.state in PLACED
        moved(case, entry, self._around)
        holds = case.state in PLACED
        self._placed += holds - held
        if holds and not held:
            # The routing that follows names the configuration, and so how many places there are.
            case.admitted = (entry.position, self._placed)

    def _judge_admission(self, case: Case) -> None:
        """Judge an admission that no routing followed on by the configuration in force."""
        if case.admitted is not None:
            (position, holding), case.admitted = case.admitted, None
            require_place(position, holding, self._around.in_force, self._findings)


def check(events: Iterable[object]) -> Iterator[Offence]:
    """Yield every offence of a history: exported events, decoded, in order of position."""
    conformance = Conformance()
    for event in events:
        yield from conformance.take(event)
    yield from conformance.finish()


def _opened(entry: Entry, motion: str) -> Case:
    who = str(entry.data.get("introduced_by", entry.actor))
    return Case(motion, who, entry.data["correlation_id"], entry.at, entry.at, {who: {"king"}})


def _require_promise(promise: Promise, entry: Entry | None, say: Findings) -> None:
    """Require that ``entry``, the motion's next event, is what was promised; None: nothing is."""
    data = entry.data if entry is not None else {}
    kept = entry is not None and entry.topic == promise.topic
    if promise.topic == "TRANSITION_WITNESSED":
        kept = kept and data["cause"]["kind"] == "return"
    else:
        kept = kept and data["purpose"] == promise.purpose
        kept = kept and bool(data.get("findings") or not promise.with_findings)
    say.hold(
        Rule.ESCALATION_CARRIED_OUT,
        kept,
        "its record says {}; but what came next was {}",
        promise.words,
        f"{entry.words} instead" if entry is not None else "nothing",
    )


def _require_envelope(entry: Entry, say: Findings) -> None:
    outside, inside = entry.envelope, entry.data
    differing = [
        name
        for name, field in (
            ("id", "event_id"),
            ("correlationid", "correlation_id"),
            ("causationid", "causation_id"),
        )
        if outside.get(name) != inside.get(field)
    ]
    if outside.get("time") != inside["timestamp"] and _moment(outside.get("time")) != entry.at:
        differing.append("time")
    say.hold(
        Rule.ENVELOPE_AGREES,
        not differing,
        "outside and inside of {} differ in: {}",
        entry.words,
        ", ".join(differing),
    )


def _moment(text: object) -> datetime | None:
    try:
        return instant(text)
    except Unreadable:
        return None


def _tombstone(motion: str) -> bytes | str:
    """Return what is kept of a motion's id: sixteen bytes, if it is an id like all others."""
    try:
        return bytes.fromhex(motion.replace("-", "")) if len(motion) == 36 else motion  # noqa: PLR2004
    except ValueError:
        return motion
