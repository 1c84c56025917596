"""Where the trouble begins: motions in every state, to which something has happened already."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.properties.motion_play import OUTSIDER, Play
from tests.properties.motion_tables import HOUR, INTRODUCER, WORK

LIVE = ["INTRODUCED", "DELIBERATING", "RATIFIED", "PLANNING", "EXECUTING", "JUDGING", "WITNESSING"]


def fail(play: Play, error_type: str) -> None:
    play.holder(success=False, error_type=error_type)


def nothing(play: Play) -> None:
    pass


def halted_for_an_hour(play: Play) -> None:
    play.halt()
    play.time_passes(HOUR)
    play.resume()


def blocked(play: Play) -> None:
    fail(play, "system_error")


def blocked_for_an_hour(play: Play) -> None:
    blocked(play)
    play.time_passes(HOUR)
    play.resolve("retry", OUTSIDER)


def blocked_and_halted(play: Play) -> None:
    blocked(play)
    play.halt()


def reviewed(play: Play) -> None:
    """Put it under review, by a person's decision where the Conclave is not asked at once."""
    fail(play, "compliance_error")
    if play.model.blocked_by == "person":
        play.resolve("review", OUTSIDER)


def reviewed_twice(play: Play) -> None:
    reviewed(play)
    for _ in range(2):
        play.holder(output={"decision": "what?"})
    play.holder()
    reviewed(play)
    play.holder(output={"decision": "what?"})


def returned_too_often(play: Play) -> None:
    play.return_and_come_back(2)
    fail(play, "validation_error")


def forgiven_and_returned_again(play: Play) -> None:
    returned_too_often(play)
    if play.model.blocked_by == "person":
        play.resolve("review", OUTSIDER)
    play.holder()
    fail(play, "validation_error")


def returned_by_review(play: Play) -> None:
    reviewed(play)
    play.holder(output={"decision": "return"})
    for _ in range(2):
        play.holder()
        play.process()
    play.return_and_come_back(2)


def tabled_and_taken_up(play: Play) -> None:
    reviewed(play)
    play.holder(output={"decision": "table"})
    play.resolve("take_up", OUTSIDER)
    play.process()


def revised(play: Play) -> None:
    fail(play, "validation_error")


def retried(play: Play) -> None:
    for _ in range(2):
        fail(play, "timeout_error")


def not_withdrawn(play: Play) -> None:
    """Its introducer withdrew it, and the Knight did not witness it."""
    play.let_knight_falter_after(0)
    play.withdraw(INTRODUCER)


def not_withdrawn_for_weeks(play: Play) -> None:
    not_withdrawn(play)
    play.time_passes(400 * HOUR)
    play.process()


def not_withdrawn_under_review(play: Play) -> None:
    reviewed(play)
    not_withdrawn(play)


Trouble = Callable[[Play], None]

_AT_WORK: tuple[Trouble, ...] = (
    halted_for_an_hour,
    blocked,
    blocked_for_an_hour,
    blocked_and_halted,
    reviewed,
    reviewed_twice,
    returned_too_often,
    forgiven_and_returned_again,
    returned_by_review,
    tabled_and_taken_up,
    revised,
    retried,
)
_SCENES: tuple[tuple[str, Trouble], ...] = (
    *((state, nothing) for state in (*LIVE, "TABLED")),
    *((state, Play.halt) for state in (*LIVE, "TABLED")),
    *((state, trouble) for state in WORK for trouble in _AT_WORK),
    ("INTRODUCED", not_withdrawn),
    ("TABLED", not_withdrawn),
    ("DELIBERATING", not_withdrawn),
    ("DELIBERATING", not_withdrawn_for_weeks),
    ("DELIBERATING", not_withdrawn_under_review),
)
SCENES: Mapping[str, tuple[str, Trouble]] = {
    f"{trouble.__name__} in {state}": (state, trouble) for state, trouble in _SCENES
}
"""A state to lead a motion to, and what is to happen to it there."""
