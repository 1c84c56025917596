"""Every rule can be broken, and is seen to be: lawful histories corrupted in all ways there are."""

from __future__ import annotations

import pytest

from governance_flow.conformance.rules import Rule
from tests.unit.conformance.exported import offences
from tests.unit.conformance.histories import STORIES, history
from tests.unit.conformance.mutators import Mutator
from tests.unit.conformance.mutators_of_errors import ERRORS
from tests.unit.conformance.mutators_of_reports import REPORTS
from tests.unit.conformance.mutators_of_the_flow import FLOW
from tests.unit.conformance.mutators_of_the_record import RECORD

MUTATORS = (*RECORD.mutators, *FLOW.mutators, *REPORTS.mutators, *ERRORS.mutators)

CORRUPTED = [story for story in STORIES if story != "much happens"]
"""Those in which there is a place to spare, so that one more motion under way breaks nothing."""

every_mutator = pytest.mark.parametrize(
    "mutator", MUTATORS, ids=lambda mutator: f"{mutator.rule}-{mutator.name}"
)


@pytest.mark.parametrize("rule", Rule)
def test_every_rule_has_a_mutator_that_breaks_it(rule: Rule) -> None:
    assert any(mutator.rule is rule for mutator in MUTATORS)


def caught(mutator: Mutator, each: int | None) -> int:
    """Make mutants of every story, see each of them caught by its own rule, and count them."""
    count = 0
    for story in CORRUPTED:
        for number, mutant in enumerate(mutator.mutants(history(story), each)):
            found = offences(mutant)
            where = f"{story}, mutant {number}: {[str(offence) for offence in found]}"
            assert found, where
            assert found[0].rule is mutator.rule, where
            assert {offence.rule for offence in found} <= {mutator.rule, *mutator.also}, where
            count += 1
    return count


@every_mutator
def test_what_it_breaks_is_seen_and_nothing_else(mutator: Mutator) -> None:
    assert caught(mutator, 2)


@pytest.mark.slow
@every_mutator
def test_what_it_breaks_is_seen_wherever_it_breaks_it(mutator: Mutator) -> None:
    assert caught(mutator, None)


@every_mutator
def test_an_offence_says_where_of_which_motion_and_in_plain_words(mutator: Mutator) -> None:
    mutants = (m for story in CORRUPTED for m in mutator.mutants(history(story), 1))
    mutant = next(mutants)
    [offence, *_] = offences(mutant)
    assert 1 <= offence.position <= len(mutant) + 1
    assert str(offence).endswith(f"[{mutator.rule}]")
    assert offence.motion is None or any(e.get("subject") == offence.motion for e in mutant)
    if mutator.rule is Rule.RECORD_READABLE:
        return
    # Whoever reads it need not know how it is stored, nor the language this is written in.
    for code in ("{", "None", "True", "MOTION_", "BRANCH_COMPLETED", "_WITNESSED", "halt_and"):
        assert code not in offence.message
