"""The rules a history is held to. Their names are stable: reports and scripts refer to them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self


class Rule(StrEnum):
    """What may not be otherwise in a lawful history; ``meaning`` says it in a sentence."""

    meaning: str

    def __new__(cls, name: str, meaning: str) -> Self:
        """Make a rule from its stable name and what it means."""
        rule = str.__new__(cls, name)
        rule._value_ = name
        rule.meaning = meaning
        return rule

    # -- The record as a whole
    RECORD_READABLE = "record_readable", "every line is an event of a known kind, with all it says"
    ENVELOPE_AGREES = "envelope_agrees", "the outside of each line says the same as the event in it"
    POSITIONS_DENSE = "positions_dense", "positions run 1, 2, 3, ... and none is missing"
    COMMIT_TIMES_ORDERED = "commit_times_ordered", "what stands later was not stored earlier"

    # -- One motion's events
    BEGINS_WITH_INTRODUCTION = (
        "begins_with_introduction",
        "every motion begins with being introduced, once",
    )
    VERSIONS_DENSE = "versions_dense", "the events of a motion are numbered 1, 2, 3, ..."
    CORRELATION_KEPT = "correlation_kept", "all events of a motion carry the same correlation id"
    NOTHING_AFTER_THE_END = (
        "nothing_after_the_end",
        "nothing happens to a motion that was acknowledged, rejected or withdrawn",
    )

    # -- Transitions
    LEAVES_CURRENT_STATE = "leaves_current_state", "a motion moves out of the state it is in"
    TRANSITION_IN_TABLE = "transition_in_table", "every transition is one the flow has"
    STEP_REPORTED_DONE = (
        "step_reported_done",
        "a motion advances only when the work of its state was reported done",
    )
    ALL_SEVEN_STEPS = (
        "all_seven_steps",
        "nothing is acknowledged before all seven steps were taken, none of them undone since",
    )
    TABLED_UNTIL_DUE = (
        "tabled_until_due",
        "a tabled motion rests until its date has come or somebody takes it up",
    )
    RETURN_ORDERED = (
        "return_ordered",
        "a motion is returned for findings, by a review, or by a person who decides so",
    )
    REVIEW_DECIDES = "review_decides", "after a review happens what the Conclave answered"
    WITHDRAWN_BY_INTRODUCER = (
        "withdrawn_by_introducer",
        "only its introducer withdraws a motion, or the King when revising it",
    )
    STATEMENT_AGREES = (
        "statement_agrees",
        "the Knight's statement says the same as the transition that carries it",
    )
    BLOCKED_MOTION_RESTS = (
        "blocked_motion_rests",
        "a blocked motion stays where it is until whoever must decide has decided",
    )

    # -- Routings
    ROUTED_WHERE_IT_STANDS = (
        "routed_where_it_stands",
        "a motion is routed in the state it is in, coming from the state it left",
    )
    ROUTED_TO_OWNER = "routed_to_owner", "work goes to the branch whose work it is"
    REVIEW_CALLED_FOR = "review_called_for", "the Conclave reviews only what is blocked for review"
    ONE_ROUTING_OPEN = "one_routing_open", "nobody is asked while somebody else still is"
    WORK_NEVER_REDONE = "work_never_redone", "work that was reported done is not asked for again"
    CONFIGURATION_KNOWN = (
        "configuration_known",
        "a routing names a configuration that had been adopted",
    )
    DEADLINE_AS_CONFIGURED = (
        "deadline_as_configured",
        "a routing's deadline is the one of the configuration it was made under",
    )
    ATTEMPTS_COUNTED = (
        "attempts_counted",
        "attempts are counted, and begin when they were put off to",
    )

    # -- Reports
    ANSWERS_OPEN_ROUTING = (
        "answers_open_routing",
        "a report answers the routing that is open, and each is answered once",
    )
    ANSWERED_BY_ITS_BRANCH = (
        "answered_by_its_branch",
        "a report comes from the service, the branch and for the purpose that were asked",
    )
    SEPARATION_OF_POWERS = (
        "separation_of_powers",
        "nobody acts for two branches that the configuration keeps apart",
    )
    PROPOSES_NEXT_STEP = (
        "proposes_next_step",
        "a report that proposes to skip a step is refused, and not recorded as work done",
    )
    VIOLATION_GROUNDED = (
        "violation_grounded",
        "an act is recorded as refused only if there was something to refuse",
    )
    VIOLATION_HARMLESS = (
        "violation_harmless",
        "a refused act changes nothing; only the holder's leads to a review",
    )
    AMENDED_BY_INTRODUCER = (
        "amended_by_introducer",
        "only its introducer amends a motion, before it is deliberated or while it is tabled",
    )

    # -- Errors
    FAILURE_ESCALATED = "failure_escalated", "no failure is passed over in silence"
    ERROR_GROUNDED = "error_grounded", "an error is about something that went wrong, and says what"
    STRATEGY_AS_CONFIGURED = (
        "strategy_as_configured",
        "each type of error is answered in the way laid down for it",
    )
    RETRIES_BOUNDED = (
        "retries_bounded",
        "what timed out is tried again as often as configured, then halts",
    )
    RETURNS_BOUNDED = (
        "returns_bounded",
        "a motion is returned out of a state as often as configured, then reviewed",
    )
    REVIEW_ANSWERS_BOUNDED = (
        "review_answers_bounded",
        "an unusable answer to a review is asked for again as often as configured, then halts",
    )
    BACKOFF_AS_CONFIGURED = "backoff_as_configured", "a retry waits as long as configured"
    ESCALATION_CARRIED_OUT = (
        "escalation_carried_out",
        "what was said to be done about an error is done next",
    )
    TIMED_OUT_WHEN_DUE = (
        "timed_out_when_due",
        "nobody's time is up before it is, blocks and halts not counted",
    )
    DEADLINE_ACTED_UPON = (
        "deadline_acted_upon",
        "a missed deadline does not go unnoticed while the pipeline is at work",
    )
    RESOLVED_BY_UNINVOLVED_PERSON = (
        "resolved_by_uninvolved_person",
        "a named person who has not acted on the motion decides about a blocked one",
    )
    RESOLUTION_CALLED_FOR = (
        "resolution_called_for",
        "a person decides only what waits for a person",
    )

    # -- The pipeline
    CONFIGURATION_DIGEST = (
        "configuration_digest",
        "a configuration is adopted under its own digest",
    )
    HALT_RESPECTED = (
        "halt_respected",
        "while the pipeline is halted nothing moves, nobody is asked, no error is dealt with",
    )
    HALTS_PAIRED = "halts_paired", "a running pipeline is halted, and a halted one resumed"
    RESUMED_BY_A_PERSON = "resumed_by_a_person", "a named person resumes a halted pipeline"
    BREAKER_HALTS = (
        "breaker_halts",
        "too many system errors in too short a time halt the pipeline, as configured",
    )
    CAPACITY_KEPT = "capacity_kept", "no motion is admitted when all places are taken"


@dataclass(frozen=True, slots=True)
class Offence:
    """One breach of a rule: where in the log, of which motion (None: of the pipeline), and how."""

    position: int
    motion: str | None
    rule: Rule
    message: str

    def __str__(self) -> str:
        subject = "the pipeline" if self.motion is None else f"motion {self.motion}"
        return f"position {self.position}, {subject}: {self.message} [{self.rule}]"


class Findings:
    """Counts what was checked and keeps the offences until they are taken."""

    def __init__(self) -> None:
        self.checked: dict[Rule, int] = dict.fromkeys(Rule, 0)
        self.position = 0
        self.motion: str | None = None
        self._offences: list[Offence] = []

    def at(self, position: int, motion: str | None) -> None:
        """Say which event is looked at from now on."""
        self.position = position
        self.motion = motion

    def hold(self, rule: Rule, holds: object, text: str, *values: object) -> bool:
        """Count a check, note an offence unless it ``holds``, and return whether it did.

        ``text`` is filled with ``values`` as ``str.format`` does, and only if it is needed.
        """
        self.checked[rule] += 1
        if holds:
            return True
        self._offences.append(
            Offence(self.position, self.motion, rule, text.format(*map(_plain, values)))
        )
        return False

    def take(self) -> list[Offence]:
        """Return the offences found since the last time."""
        offences, self._offences = self._offences, []
        return offences


def _plain(value: object) -> object:
    """Return a value as a sentence can hold it: nothing is ever the size of a document."""
    if value is None:
        return "none"
    if isinstance(value, datetime):
        with suppress(OverflowError):  # at the ends of the calendar it stays as it is
            shown = value.astimezone(UTC).isoformat(sep=" ")
            return f"{shown.removesuffix('+00:00')} UTC"
    if isinstance(value, str) and len(value) > 200:  # noqa: PLR2004 - about three lines
        return f"{value[:199]}…"
    return value
