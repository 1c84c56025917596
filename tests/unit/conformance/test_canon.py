"""The flow is stated twice, by two hands, and both say the same."""

from __future__ import annotations

import pytest

from governance_flow.conformance import canon
from governance_flow.conformance.entries import ALWAYS, OF_MOTIONS, OF_THE_PIPELINE, WORDS
from governance_flow.conformance.terms import Terms, digest_of
from governance_flow.domain import states
from governance_flow.domain.branches import PURPOSE_SERVICE, SERVICE_BRANCH, GovernanceBranch
from governance_flow.domain.configuration import FlowConfiguration
from governance_flow.domain.escalation import ERROR_TYPE_MAP, strategy_for
from governance_flow.domain.events import EVENT_TYPES, MotionEvent, PipelineEvent
from governance_flow.domain.states import GovernanceState


def test_the_tables_of_transitions_agree() -> None:
    theirs = {
        (source.value, target.value, kind.value)
        for (source, target), kinds in states.EDGES.items()
        for kind in kinds
    }
    assert theirs == canon.TABLE


def test_the_states_agree() -> None:
    assert {state.value for state in states.TERMINAL_STATES} == canon.ENDS
    assert {state.value for state in states.ADMITTED_STATES} == canon.PLACED
    assert {state.value for state in states.AMENDABLE_STATES} == canon.AMENDABLE
    known = {state for edge in canon.TABLE for state in edge[:2]}
    assert known == {state.value for state in GovernanceState}


def test_whose_work_is_whose_agrees() -> None:
    theirs = {
        purpose.value: (service, SERVICE_BRANCH[service].value)
        for purpose, service in PURPOSE_SERVICE.items()
    }
    assert theirs == {purpose: work[:2] for purpose, work in canon.WORK.items()}
    owners = {state.value: purpose.value for state, purpose in states.OWNER_PURPOSE.items()}
    assert owners == {s: works[0] for s, works in canon.OWNED.items() if s != "INTRODUCED"}


@pytest.mark.parametrize("state", states.RETURN_TO.values())
def test_what_a_return_undoes_agrees(state: GovernanceState) -> None:
    theirs = {purpose.value for purpose in states.steps_undone(state)} - {"revise"}
    assert theirs == canon.undone_by(state.value)


@pytest.mark.parametrize("error_type", [*ERROR_TYPE_MAP, "unheard_of", None])
def test_what_errors_ask_for_agrees(error_type: str | None) -> None:
    assert canon.strategy_of(error_type) == strategy_for(error_type).value


def test_the_kinds_of_events_agree() -> None:
    known = {**OF_MOTIONS, **OF_THE_PIPELINE}
    assert set(EVENT_TYPES) <= set(known) == set(WORDS)
    for topic, event in EVENT_TYPES.items():
        assert {*ALWAYS, *known[topic]} <= set(event.model_fields)
    assert {e.topic for e in MotionEvent.__args__} == set(OF_MOTIONS)
    assert {e.topic for e in PipelineEvent.__args__} <= set(OF_THE_PIPELINE)


@pytest.mark.parametrize(
    "configuration",
    [
        FlowConfiguration(),
        FlowConfiguration.model_validate(
            {
                "max_concurrent_motions": 7,
                "state_timeout_hours": {"PLANNING": 1.5, "JUDGING": None},
                "retry": {"max_attempts": 1, "backoff_seconds": [0.5, 2]},
                "max_returns_per_state": 0,
                "max_review_answers": 9,
                "breaker": {"system_errors": 2, "window_seconds": 7},
                "separation_of_powers": {"excludes": {"king": ["conclave"]}},
                "branches": {
                    "duke_service": {"kind": "external", "attempt_timeout_seconds": 5},
                    "king_service": {"kind": "external"},
                },
            }
        ),
    ],
)
def test_a_configuration_is_read_the_same(configuration: FlowConfiguration) -> None:
    plain = configuration.model_dump(mode="json")
    terms = Terms(plain)
    assert digest_of(plain) == configuration.digest()
    assert terms.places == configuration.max_concurrent_motions
    assert terms.retries_max == configuration.retry.max_attempts
    assert terms.grace_seconds == configuration.retry.overdue_grace_seconds
    assert terms.returns_max == configuration.max_returns_per_state
    assert terms.review_answers_max == configuration.max_review_answers
    assert terms.system_errors_max == configuration.breaker.system_errors
    assert terms.window_seconds == configuration.breaker.window_seconds
    for number in (1, 2, 3, 9):
        assert terms.backoff_of(number) == configuration.retry.delay_seconds(number)
    for state in GovernanceState:
        assert terms.hours(state.value) == configuration.state_timeout_hours.get(state)
    for one in GovernanceBranch:
        for other in GovernanceBranch:
            excluded = configuration.separation_of_powers.excludes(one, other)
            assert terms.keeps_apart(one.value, other.value) == excluded
    assert terms.outside_limit_seconds("king_service") is None
    assert terms.outside_limit_seconds("duke_service") in (None, 5)


def test_a_configuration_that_is_silent_means_the_defaults() -> None:
    silent, default = Terms({}), Terms(FlowConfiguration().model_dump(mode="json"))
    assert {**vars(silent), "_branches": None} == {**vars(default), "_branches": None}


def test_a_configuration_full_of_nonsense_is_still_read() -> None:
    nonsense = dict.fromkeys(FlowConfiguration.model_fields, "?")
    assert Terms(nonsense).places == 100
    assert Terms({"retry": {"backoff_seconds": ["?", None, True]}}).backoff_of(1) == 5
    assert not Terms({"separation_of_powers": {"excludes": {"king": 1}}}).keeps_apart(
        "king", "duke"
    )
