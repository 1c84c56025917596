"""The phrases a story is made of: times, names, numbers, and other people's words.

Whatever somebody else wrote stands in quotation marks that it cannot close, and is shortened if it
is long. Characters that a terminal would obey are left to whoever prints the story.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import assert_never

from governance_flow.domain.branches import SERVICE_BRANCH, GovernanceBranch, Purpose
from governance_flow.domain.events import SYSTEM, Actor, Authentication, Ballot

QUOTED_CHARACTERS_MAX = 200
SHORTENED = " […]"
"""Ends whatever is not shown whole."""

_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_PLAIN_NAME = re.compile(r"\w[\w.@'\u2019-]*( [\w.@'\u2019-]+){0,4}")
_NAME_CHARACTERS_MAX = 60

BRANCH_TITLES = {
    GovernanceBranch.KING: "the King",
    GovernanceBranch.CONCLAVE: "the Conclave",
    GovernanceBranch.PRESIDENT: "the President",
    GovernanceBranch.DUKE: "the Duke",
    GovernanceBranch.EARL: "the Earls",
    GovernanceBranch.PRINCE: "the Prince",
    GovernanceBranch.KNIGHT: "the Knight",
}

TO_DO = {
    Purpose.REVISE: "revise it",
    Purpose.DELIBERATE: "deliberate and vote on it",
    Purpose.PLAN: "plan it",
    Purpose.EXECUTE: "carry out the plan",
    Purpose.JUDGE: "judge the result",
    Purpose.RECORD: "record the outcome",
    Purpose.ACKNOWLEDGE: "acknowledge the outcome",
    Purpose.REVIEW: "review what went wrong",
}

# -- Times -----------------------------------------------------------------------------------------


def day_and_time(moment: datetime) -> str:
    """Return an absolute time in UTC: ``3 March 2026 at 14:05:07 UTC``."""
    moment = moment.astimezone(UTC)
    clock = f"{moment:%H:%M:%S}" if moment.second else f"{moment:%H:%M}"
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year} at {clock} UTC"


def length_of_time(span: timedelta) -> str:
    """Return a length of time in its two largest units: ``3 days 2 hours``."""
    seconds = int(span.total_seconds())
    if seconds < 1:
        return "less than a second"
    units = []
    for name, size in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        number, seconds = divmod(seconds, size)
        units.append(counted(number, name) if number else "")
    first = next(index for index, unit in enumerate(units) if unit)
    return " ".join(unit for unit in units[first : first + 2] if unit)


# -- Numbers ---------------------------------------------------------------------------------------


def counted(number: int, noun: str) -> str:
    """Return a number of things: ``1 ballot``, ``2 ballots``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def votes(ballots: Iterable[Ballot]) -> str:
    """Return what ballots say together: ``2 yes, 1 no, 0 abstained``."""
    tally = Counter(ballots)
    return f"{tally[Ballot.YES]} yes, {tally[Ballot.NO]} no, {tally[Ballot.ABSTAIN]} abstained"


def listed(words: Sequence[str]) -> str:
    """Return words in a row: ``a, b and c``."""
    if len(words) < 2:  # noqa: PLR2004 - nothing to join
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"


# -- Other people's words --------------------------------------------------------------------------


def quoted(text: str) -> str:
    """Return other people's words in quotation marks, in one line, shortened if they are long.

    Of an error only the first line is told: what follows is a traceback.
    """
    line = " ".join(text.strip().partition("\n")[0].split())
    whole = line == " ".join(text.split())
    if len(line) > QUOTED_CHARACTERS_MAX:
        line, whole = line[:QUOTED_CHARACTERS_MAX].rstrip(), False
    line = line.replace("“", '"').replace("”", '"')
    return f"“{line}{'' if whole else SHORTENED}”"


def is_shortened(sentence: str) -> bool:
    """Return whether a sentence leaves out some of what was quoted."""
    return f"{SHORTENED}”" in sentence


# -- Names -----------------------------------------------------------------------------------------


def name(text: str) -> str:
    """Return a name; in quotation marks unless it is plainly a name and nothing more."""
    if len(text) <= _NAME_CHARACTERS_MAX and _PLAIN_NAME.fullmatch(text):
        return text
    return quoted(text)


def title_of(service: str) -> str:
    """Return a branch service by its branch: ``the Duke (duke_service)``."""
    branch = SERVICE_BRANCH.get(service)
    return name(service) if branch is None else f"{BRANCH_TITLES[branch]} ({service})"


def who(actor: Actor, branch: GovernanceBranch | None = None) -> str:
    """Return who acted, for which branch, and how we know that it was them."""
    if actor == SYSTEM:
        return "the orchestrator"
    known = actor.authenticated_by
    if known is Authentication.SERVICE and actor.id in SERVICE_BRANCH:
        return f"{BRANCH_TITLES[SERVICE_BRANCH[actor.id]]} ({actor.id}, a configured service)"
    acting = "" if branch is None else f", for {BRANCH_TITLES[branch]}"
    return f"{name(actor.id)} ({_in_brackets(known)}{acting})"


def _in_brackets(known: Authentication) -> str:
    match known:
        case Authentication.SYSTEM:
            return "a part of this program"
        case Authentication.SERVICE:
            return "vouched for by a configured service"
        case Authentication.ASSERTED:
            return "by their own word"
        case Authentication.TOKEN:
            return "by access token"
        case _:
            assert_never(known)


def how_we_know(actor: Actor) -> str:
    """Return, in a sentence, what stands behind an actor's name."""
    match actor.authenticated_by:
        case Authentication.SYSTEM:
            return "this program itself acted"
        case Authentication.SERVICE if actor.id in SERVICE_BRANCH:
            return "a branch service that the operator configured acted in its own name"
        case Authentication.SERVICE:
            return "a branch service that the operator configured vouches for the name"
        case Authentication.ASSERTED:
            return "somebody gave this name; nothing proves that it was them"
        case Authentication.TOKEN:
            return "whoever acted held an access token that the operator made out to this name"
        case _:
            assert_never(actor.authenticated_by)
