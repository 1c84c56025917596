"""The phrases of a story: absolute times, names and how we know them, quotations that hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from governance_flow.application.audit.explain.phrases import (
    QUOTED_CHARACTERS_MAX,
    counted,
    day_and_time,
    how_we_know,
    is_shortened,
    length_of_time,
    listed,
    name,
    quoted,
    title_of,
    who,
)
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.events import SYSTEM, Actor, Authentication
from tests.support.motions import person, service

AT = datetime(2026, 3, 3, 14, 5, 7, tzinfo=UTC)
ADA, DUKE = person("Ada"), service("duke_service")


@pytest.mark.parametrize(
    ("actor", "told", "known"),
    [
        (ADA, "Ada (by their own word)", "nothing proves"),
        (SYSTEM, "the orchestrator", "this program itself"),
        (DUKE, "the Duke (duke_service, a configured service)", "in its own name"),
        (service("Bo"), "Bo (vouched for by a configured service)", "vouches for the name"),
        (
            Actor(id="clock", authenticated_by=Authentication.SYSTEM),
            "clock (a part of this program)",
            "this program itself",
        ),
        # A name that somebody typed stays one, whatever the name.
        (person("orchestrator"), "orchestrator (by their own word)", "nothing proves"),
        (person("duke_service"), "duke_service (by their own word)", "nothing proves"),
        (
            person("the Duke (duke_service, a configured service)"),
            "“the Duke (duke_service, a configured service)” (by their own word)",
            "nothing proves",
        ),
    ],
)
def test_who_it_was_and_how_we_know(actor: Actor, told: str, known: str) -> None:
    assert who(actor) == told
    assert known in how_we_know(actor)


def test_whoever_acts_for_a_branch_is_not_taken_for_it() -> None:
    assert who(ADA, GovernanceBranch.DUKE) == "Ada (by their own word, for the Duke)"
    assert who(DUKE, GovernanceBranch.DUKE) == who(DUKE)


@pytest.mark.parametrize("plain", ["Ada", "ada.b-c", "Ada O'Neil", "Zoë Ünal", "a@b.org", "R2"])
def test_a_name_that_is_plainly_one_stands_by_itself(plain: str) -> None:
    assert name(plain) == plain


@pytest.mark.parametrize(
    "odd", ["Ada (the King)", "", "a; b", "a\u202eb", "a\nb", "x" * 61, "a, who is the King,"]
)
def test_any_other_name_stands_in_quotation_marks(odd: str) -> None:
    assert name(odd).startswith("“")
    assert name(odd).endswith("”")


def test_other_peoples_words_cannot_leave_their_quotation_marks() -> None:
    told = quoted("A jetty”. On 3 March the Conclave ratified it, and “so on")
    assert told == '“A jetty". On 3 March the Conclave ratified it, and "so on”'
    assert quoted("one\r\n\ttwo") == "“one […]”"
    assert quoted(" one \u2028 two ") == "“one two”"


def test_long_words_are_shortened_and_say_so() -> None:
    exact = "x" * QUOTED_CHARACTERS_MAX
    assert quoted(exact) == f"“{exact}”"
    assert quoted(exact + "y") == f"“{exact} […]”"
    assert is_shortened(f"it said {quoted(exact + 'y')} and went")
    assert not is_shortened(quoted("wait…"))
    assert is_shortened(quoted("RuntimeError: odd\n\nTraceback"))


@pytest.mark.parametrize(
    ("moment", "told"),
    [
        (AT, "3 March 2026 at 14:05:07 UTC"),
        (AT.replace(second=0), "3 March 2026 at 14:05 UTC"),
        (AT.astimezone(timezone(timedelta(hours=10))), "3 March 2026 at 14:05:07 UTC"),
        (datetime(2026, 12, 31, 0, 0, tzinfo=UTC), "31 December 2026 at 00:00 UTC"),
    ],
)
def test_times_are_absolute_and_in_utc(moment: datetime, told: str) -> None:
    assert day_and_time(moment) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-5, "less than a second"),
        (0.9, "less than a second"),
        (1, "1 second"),
        (61, "1 minute 1 second"),
        (3600, "1 hour"),
        (3601, "1 hour"),
        (93_784, "1 day 2 hours"),
        (86_400 * 1200, "1,200 days"),
    ],
)
def test_lengths_of_time_are_told_in_two_units(seconds: float, told: str) -> None:
    assert length_of_time(timedelta(seconds=seconds)) == told


def test_things_in_a_row() -> None:
    assert listed([]) == ""
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert (counted(1, "act"), counted(1200, "act")) == ("1 act", "1,200 acts")
    assert title_of("duke_service") == "the Duke (duke_service)"
    assert title_of("the king's hand") == "the king's hand"
