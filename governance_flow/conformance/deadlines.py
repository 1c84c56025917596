"""Whose time is up, and whether anybody noticed.

From events alone nobody can tell whether a worker was running, so time is counted here only while
the log shows the pipeline at work: between two commits, and of a longer silence no more than
``QUIET_SECONDS``. While the pipeline is halted nothing counts. What is late must have been acted
upon (given up as a timeout, answered, withdrawn) before ``SLACK_SECONDS`` of such time have passed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from governance_flow.conformance.canon import words_of
from governance_flow.conformance.case import PERSON, Around, Case
from governance_flow.conformance.entries import Entry, instant_or_none
from governance_flow.conformance.rules import Findings, Rule
from governance_flow.conformance.standstill import stood_still

QUIET_SECONDS = 300.0
"""So much of a silence counts as time at work."""

SLACK_SECONDS = 3600.0
"""So much time at work may pass before what is late has been acted upon."""

LOOKS_PER_SLACK = 12
"""How often, within that time, one looks whether anything is late."""


def limits_of(asked: Entry, around: Around) -> list[datetime]:
    """Return by when a routing must be answered, time that stands still not counted.

    Besides its deadline, there is a limit to each attempt of those who fetch their work.
    """
    deadline = instant_or_none(asked.data["deadline"])
    limits = [] if deadline is None else [deadline]
    terms = around.terms.get(asked.data["configuration"])
    seconds = terms.outside_limit_seconds(asked.data["service"]) if terms else None
    if seconds is not None:
        begins = instant_or_none(asked.data["not_before"]) or asked.at
        limits.append(begins + timedelta(seconds=seconds))
    return limits


class Watch:
    """Looks now and then whether something is late that nobody has acted upon.

    It knows only the motions that wait for somebody's answer.
    """

    def __init__(self, around: Around) -> None:
        self._around = around
        self._watched: dict[str, Case] = {}
        self._committed_at: datetime | None = None
        self._looked_at_seconds = 0.0

    def passed(self, committed_at: datetime) -> None:
        """Let time pass up to a commit."""
        around = self._around
        if self._committed_at is not None and not around.halted:
            gap = (committed_at - self._committed_at).total_seconds()
            around.working_seconds += min(max(gap, 0.0), QUIET_SECONDS)
        self._committed_at = committed_at
        if around.working_seconds - self._looked_at_seconds >= SLACK_SECONDS / LOOKS_PER_SLACK:
            self._looked_at_seconds = around.working_seconds
            self.look()

    def follow(self, case: Case) -> None:
        """Watch a motion, or stop watching it, as its last event asks for."""
        if case.failure is not None or (
            case.routing is not None and case.routing.data["purpose"] != "review"
        ):
            self._watched[case.motion] = case
        else:
            self._watched.pop(case.motion, None)

    def forget(self, motion: str) -> None:
        """Stop watching a motion that has ended."""
        self._watched.pop(motion, None)

    def look(self) -> None:
        """Note what is late, and name what has been for too long."""
        if self._committed_at is None or self._around.halted:
            return
        for case in self._watched.values():
            late = self._late(case, self._committed_at)
            if late is None:
                case.overdue = None
            elif case.overdue is None or case.overdue[0] != late:
                case.overdue = (late, self._around.working_seconds)
            else:
                self._judge(case, case.overdue)

    def _late(self, case: Case, now: datetime) -> str | None:
        """Return what is late about a motion: the id of a routing, or of a report that failed."""
        if case.blocked_by == PERSON:
            return None
        if case.failure is not None:
            return case.failure.entry.event_id
        asked = case.routing
        if asked is None or case.blocked_by is not None:
            return None
        limits = limits_of(asked, self._around)
        if not limits or min(limits) > now:
            return None
        paused = stood_still(case.stood_since(asked.at, self._around), asked.at, now)
        return asked.event_id if min(limits) + paused <= now else None

    def _judge(self, case: Case, overdue: tuple[str, float]) -> None:
        """Name what is late if it has been for too long; once is enough."""
        what, since = overdue
        too_long = self._around.working_seconds - since > SLACK_SECONDS
        if since == float("inf"):
            return
        say = self._around.findings
        with_motion(say, case.motion)
        if case.failure is not None:
            fine = say.hold(
                Rule.FAILURE_ESCALATED,
                not too_long,
                "{} failed, and the pipeline worked on for more than {:.0f} minutes without "
                "recording an error",
                words_of(case.failure.data["purpose"])
                if "purpose" in case.failure.data
                else "an act that was refused",
                SLACK_SECONDS / 60,
            )
        else:
            fine = say.hold(
                Rule.DEADLINE_ACTED_UPON,
                not too_long,
                "{} was late, and the pipeline worked on for more than {:.0f} minutes without "
                "acting upon that",
                words_of(case.routing.data["purpose"]) if case.routing else "some work",
                SLACK_SECONDS / 60,
            )
        if not fine:
            case.overdue = (what, float("inf"))


def with_motion(say: Findings, motion: str | None) -> None:
    """Speak of another motion than the one whose event is looked at."""
    say.at(say.position, motion)
