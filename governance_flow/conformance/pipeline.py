"""The pipeline's own events: halts in pairs, configurations under their digests, the breaker."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta

from governance_flow.conformance.canon import STOP, strategy_of
from governance_flow.conformance.case import Around
from governance_flow.conformance.deadlines import SLACK_SECONDS
from governance_flow.conformance.entries import Entry
from governance_flow.conformance.rules import Rule
from governance_flow.conformance.terms import Terms, digest_of

CLOCKS_SECONDS = 60.0
"""By so much the clocks of those who record errors may differ."""

ERRORS_MAX = 10_000
"""So many of the latest system errors are kept; nobody lets a pipeline bear more than that."""


class Breaker:
    """Counts system errors as the configuration in force says, and waits for the halt.

    The halt need not be the next event (whoever recorded the last error may have died), but it
    must come while the pipeline is at work, as a late routing must be acted upon.
    """

    def __init__(self, around: Around) -> None:
        self._around = around
        self._errors: deque[datetime] = deque(maxlen=ERRORS_MAX)
        self._resumed_at: datetime | None = None
        self._tripped_at_seconds: float | None = None

    def count(self, entry: Entry) -> None:
        """Count an error, if it is a system error."""
        if strategy_of(entry.data["error_type"]) != STOP:
            return
        if self._resumed_at is not None and entry.at <= self._resumed_at:
            return
        self._errors.append(entry.at)
        self.judge()

    def judge(self) -> None:
        """Note whether the configuration in force asks for a halt, and since when it does."""
        terms, errors = self._around.in_force, self._errors
        trips = False
        if terms is not None and 0 < terms.system_errors_max <= len(errors):
            window = timedelta(seconds=terms.window_seconds - CLOCKS_SECONDS)
            trips = errors[-int(terms.system_errors_max)] > errors[-1] - window
        if not trips:
            self._tripped_at_seconds = None
        elif self._tripped_at_seconds is None:
            self._tripped_at_seconds = self._around.working_seconds

    def reset(self, at: datetime | None) -> None:
        """Begin anew: the pipeline was halted (None) or resumed."""
        self._errors.clear()
        self._tripped_at_seconds = None
        self._resumed_at = at or self._resumed_at

    def look(self) -> None:
        """Require the halt that is due."""
        if self._tripped_at_seconds is None:
            return
        around = self._around
        fine = around.findings.hold(
            Rule.BREAKER_HALTS,
            around.working_seconds - self._tripped_at_seconds <= SLACK_SECONDS,
            "there were {} system errors within {} seconds, and the pipeline worked on for more "
            "than {:.0f} minutes without being halted",
            around.in_force.system_errors_max if around.in_force else 0,
            around.in_force.window_seconds if around.in_force else 0,
            SLACK_SECONDS / 60,
        )
        if not fine:
            self._tripped_at_seconds = None


def follow(entry: Entry, around: Around, breaker: Breaker) -> None:
    """Judge one of the pipeline's own events."""
    say = around.findings
    match entry.topic:
        case "PIPELINE_HALTED":
            say.hold(
                Rule.HALTS_PAIRED,
                not around.halted,
                "{} halted the pipeline, which was halted already",
                entry.actor,
            )
            around.halts.begin(entry.at)
            breaker.reset(None)
        case "PIPELINE_RESUMED":
            say.hold(
                Rule.HALTS_PAIRED,
                around.halted,
                "{} resumed the pipeline, which was not halted",
                entry.actor,
            )
            say.hold(
                Rule.RESUMED_BY_A_PERSON,
                entry.is_by_a_person,
                "{}, who is no named person, resumed the pipeline",
                entry.actor,
            )
            around.halts.end(entry.at)
            breaker.reset(entry.at)
        case "CONFIGURATION_ADOPTED":
            _adopt(entry, around)
            breaker.judge()
        case _:
            # Alerts that were delivered and keys that were adopted are others' to check.
            return


def _adopt(entry: Entry, around: Around) -> None:
    digest, configuration = entry.data["digest"], entry.data["configuration"]
    right = digest_of(configuration)
    around.findings.hold(
        Rule.CONFIGURATION_DIGEST,
        digest == right,
        "a configuration was adopted under the digest {}; its own is {}",
        digest,
        right,
    )
    around.in_force = around.terms[digest] = Terms(configuration)
