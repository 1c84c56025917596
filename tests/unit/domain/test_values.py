"""Copies of frozen values that differ in some fields, and words that hash like their text."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field, fields, replace
from typing import Any

import pytest

from governance_flow.domain.branches import GovernanceBranch, Purpose
from governance_flow.domain.escalation import ErrorEscalationStrategy, Resolution
from governance_flow.domain.frozen import changed
from governance_flow.domain.motion import AnswerStatus
from governance_flow.domain.states import EDGES, EdgeKind, GovernanceState
from governance_flow.domain.vocabulary import Vocabulary
from tests.support.motions import Scenario

WORDS: list[type[Vocabulary]] = [
    GovernanceState,
    GovernanceBranch,
    Purpose,
    EdgeKind,
    ErrorEscalationStrategy,
    Resolution,
    AnswerStatus,
]


# -- Copies ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """A frozen value."""

    x: int
    y: int = 0
    tags: tuple[str, ...] = field(default=(), compare=False)


def test_a_copy_differs_in_what_is_named_and_in_nothing_else() -> None:
    point = Point(1, 2, ("a",))
    moved = changed(point, y=5)
    assert (moved.x, moved.y, moved.tags) == (1, 5, ("a",))
    assert (point.x, point.y, point.tags) == (1, 2, ("a",))
    assert type(moved) is Point
    assert moved == Point(1, 5)
    assert hash(moved) == hash(Point(1, 5))


def test_a_copy_without_changes_is_equal_and_another() -> None:
    point = Point(1)
    assert changed(point) == point
    assert changed(point) is not point


def test_a_copy_is_as_frozen_as_what_it_was_made_of() -> None:
    moved: Any = changed(Point(1), x=2)
    with pytest.raises(FrozenInstanceError):
        moved.x = 3
    assert replace(moved, y=4) == Point(2, 4)


def test_a_copy_of_a_motion_is_what_replace_makes() -> None:
    motion = Scenario().reaching(GovernanceState.EXECUTING).motion
    quick = changed(motion, title="Another", version=99, block=None)
    assert quick == replace(motion, title="Another", version=99, block=None)
    assert {each.name for each in fields(quick)} == set(vars(quick))


# -- Words -------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", WORDS)
def test_a_word_is_found_under_itself_and_under_its_text(words: type[Vocabulary]) -> None:
    by_word = {word: number for number, word in enumerate(words)}
    by_text = {word.value: number for number, word in enumerate(words)}
    for number, word in enumerate(words):
        assert hash(word) == hash(word.value)
        assert by_word[word.value] == by_word[word] == number  # type: ignore[index]
        assert by_text[word] == number
        assert word in {word.value, "another"}


def test_words_are_still_one_of_a_closed_set() -> None:
    assert GovernanceState("PLANNING") is GovernanceState.PLANNING
    with pytest.raises(ValueError, match="SOMEWHERE"):
        GovernanceState("SOMEWHERE")
    assert f"{GovernanceState.PLANNING}" == "PLANNING"
    assert (GovernanceState.PLANNING, GovernanceState.EXECUTING) in EDGES
    assert ("PLANNING", "EXECUTING") in EDGES
