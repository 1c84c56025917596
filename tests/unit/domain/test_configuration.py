"""The configuration's bounds, defaults, and the rules it works out itself."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from governance_flow.domain.branch_configuration import (
    BuiltinBranch,
    ExternalBranch,
    HttpBranch,
    PythonBranch,
)
from governance_flow.domain.branches import SERVICE_BRANCH, GovernanceBranch
from governance_flow.domain.configuration import (
    DEFAULT_STATE_TIMEOUT_HOURS,
    FlowConfiguration,
    RetryPolicy,
    SeparationPolicy,
)
from governance_flow.domain.frozen import FrozenMapping
from governance_flow.domain.states import GovernanceState

B = GovernanceBranch
S = GovernanceState


def configured(**settings: Any) -> FlowConfiguration:
    return FlowConfiguration.model_validate(settings)


def first_error(settings: Mapping[str, Any]) -> tuple[tuple[str | int, ...], str]:
    with pytest.raises(ValidationError) as caught:
        FlowConfiguration.model_validate(settings)
    error = caught.value.errors()[0]
    return error["loc"], error["msg"]


def test_nothing_said_gives_the_documented_defaults() -> None:
    config = FlowConfiguration()
    assert config.max_concurrent_motions == 100
    assert config.state_timeout_hours == {
        S.DELIBERATING: 168,
        S.PLANNING: 72,
        S.EXECUTING: 168,
        S.JUDGING: 48,
        S.WITNESSING: 24,
    }
    assert config.retry.max_attempts == 3
    assert config.retry.backoff_seconds == (5.0, 30.0, 300.0)
    assert config.max_returns_per_state == 2
    assert config.max_review_answers == 3
    assert config.conclave.quorum == 0
    assert config.conclave.threshold == 0.5
    assert config.knight.witness_timeout_seconds == 5
    assert (config.breaker.system_errors, config.breaker.window_seconds) == (5, 600)
    assert config.alerts.webhook_url is None
    assert config.worker.lease_seconds == 15
    assert config.branches == {service: BuiltinBranch() for service in SERVICE_BRANCH}
    assert config.branches["duke_service"].attempt_timeout_seconds == 300


@pytest.mark.parametrize(
    ("retry_number", "delay_seconds"), [(1, 5), (2, 30), (3, 300), (4, 300), (1000, 300)]
)
def test_the_last_backoff_serves_for_all_further_retries(
    retry_number: int, delay_seconds: float
) -> None:
    assert RetryPolicy().delay_seconds(retry_number) == delay_seconds


@pytest.mark.parametrize("retry_number", [0, -1])
def test_retries_are_counted_from_one(retry_number: int) -> None:
    with pytest.raises(ValueError, match="counted from 1"):
        RetryPolicy().delay_seconds(retry_number)


def test_deadlines_not_named_keep_their_default() -> None:
    hours = configured(state_timeout_hours={"planning": 1, "JUDGING": None}).state_timeout_hours
    assert hours == {**DEFAULT_STATE_TIMEOUT_HOURS, S.PLANNING: 1, S.JUDGING: None}


@pytest.mark.parametrize("state", [*sorted(set(S) - set(DEFAULT_STATE_TIMEOUT_HOURS)), "X"])
def test_states_without_a_deadline_cannot_be_given_one(state: str) -> None:
    location, message = first_error({"state_timeout_hours": {state: 1}})
    assert location[:2] == ("state_timeout_hours", state)
    assert "DELIBERATING, PLANNING, EXECUTING, JUDGING, WITNESSING" in message


def test_a_state_given_in_both_spellings_is_refused() -> None:
    location, message = first_error({"state_timeout_hours": {"PLANNING": 1, "planning": 2}})
    assert location == ("state_timeout_hours",)
    assert "once" in message


@pytest.mark.parametrize("branch", list(B))
def test_separation_by_default_follows_the_constitution(branch: B) -> None:
    policy = SeparationPolicy()
    exclusive = [{B.KING}, {B.PRESIDENT}, {B.DUKE, B.EARL}, {B.PRINCE}]
    for other in B:
        own = next((group for group in exclusive if branch in group), None)
        others = next((group for group in exclusive if other in group), None)
        if branch is other:
            expected = False
        elif B.KNIGHT in (branch, other):
            expected = True
        else:
            expected = own is not None and others is not None and own is not others
        assert policy.excludes(branch, other) is expected, other


@given(
    st.dictionaries(st.sampled_from(list(B)), st.frozensets(st.sampled_from(list(B)))).map(
        lambda matrix: {branch: others - {branch} for branch, others in matrix.items()}
    )
)
def test_separation_is_symmetric_and_no_wider_than_said(matrix: dict[B, frozenset[B]]) -> None:
    policy = SeparationPolicy.model_validate({"excludes": matrix})
    for a, b in itertools.product(B, repeat=2):
        said = b in matrix.get(a, ()) or a in matrix.get(b, ())
        assert policy.excludes(a, b) is said


def test_an_empty_matrix_lets_anyone_act_for_every_branch() -> None:
    policy = configured(separation_of_powers={"excludes": {}}).separation_of_powers
    assert not any(policy.excludes(a, b) for a, b in itertools.product(B, repeat=2))


def test_a_branch_cannot_exclude_itself() -> None:
    location, message = first_error({"separation_of_powers": {"excludes": {"duke": ["duke"]}}})
    assert location == ("separation_of_powers", "excludes")
    assert "duke exclude itself" in message


def test_every_service_is_there_whichever_are_named() -> None:
    config = configured(
        branches={
            "duke_service": {"kind": "python", "target": "acme.duke:Duke", "options": {"n": 1}},
            "prince_service": {
                "kind": "http",
                "url": "https://x.example:8443/p",
                "secret_env": "K",
            },
            "king_service": {"kind": "external"},
        }
    )
    assert config.branches == {
        "king_service": ExternalBranch(attempt_timeout_seconds=None),
        "conclave_service": BuiltinBranch(),
        "president_service": BuiltinBranch(),
        "duke_service": PythonBranch(target="acme.duke:Duke", options={"n": 1}),
        "prince_service": HttpBranch(url="https://x.example:8443/p", secret_env="K"),
        "knight_witness_service": BuiltinBranch(),
    }


@pytest.mark.parametrize(
    ("settings", "location"),
    [
        ({"max_concurrent_motions": 0}, ("max_concurrent_motions",)),
        ({"max_concurrent_motions": True}, ("max_concurrent_motions",)),
        ({"max_concurrent_motions": "7"}, ("max_concurrent_motions",)),
        ({"max_concurrent_motions": 1.0}, ("max_concurrent_motions",)),
        ({"state_timeout_hours": {"PLANNING": 0}}, ("state_timeout_hours", "PLANNING")),
        ({"state_timeout_hours": {"PLANNING": -1}}, ("state_timeout_hours", "PLANNING")),
        ({"state_timeout_hours": {"PLANNING": 1e9}}, ("state_timeout_hours", "PLANNING")),
        ({"state_timeout_hours": {"PLANNING": "1"}}, ("state_timeout_hours", "PLANNING")),
        ({"state_timeout_hours": 5}, ("state_timeout_hours",)),
        ({"retry": {"max_attempts": -1}}, ("retry", "max_attempts")),
        ({"retry": {"backoff_seconds": []}}, ("retry", "backoff_seconds")),
        ({"retry": {"backoff_seconds": [1, -1]}}, ("retry", "backoff_seconds", 1)),
        ({"retry": {"backoff_seconds": [float("nan")]}}, ("retry", "backoff_seconds", 0)),
        ({"retry": {"backoff_seconds": [1] * 101}}, ("retry", "backoff_seconds")),
        ({"retry": {"surprise": 1}}, ("retry", "surprise")),
        ({"max_returns_per_state": -1}, ("max_returns_per_state",)),
        ({"max_review_answers": 0}, ("max_review_answers",)),
        ({"conclave": {"quorum": -1}}, ("conclave", "quorum")),
        ({"conclave": {"threshold": 1}}, ("conclave", "threshold")),
        ({"conclave": {"threshold": -0.1}}, ("conclave", "threshold")),
        ({"knight": {"witness_timeout_seconds": 0}}, ("knight", "witness_timeout_seconds")),
        ({"breaker": {"system_errors": 0}}, ("breaker", "system_errors")),
        ({"alerts": {"webhook_url": "ftp://x"}}, ("alerts", "webhook_url")),
        ({"alerts": {"webhook_secret_env": "not a name"}}, ("alerts", "webhook_secret_env")),
        (
            {"alerts": {"docket_starved_at_blocked_share": 1.1}},
            ("alerts", "docket_starved_at_blocked_share"),
        ),
        ({"worker": {"poll_seconds": 0}}, ("worker", "poll_seconds")),
        ({"worker": {"heartbeat_seconds": 15}}, ("worker",)),
        ({"limits": {"max_motion_bytes": 0}}, ("limits", "max_motion_bytes")),
        ({"branches": {"duke": {"kind": "builtin"}}}, ("branches", "duke", "[key]")),
        ({"branches": {"duke_service": {"kind": "htp"}}}, ("branches", "duke_service")),
        ({"branches": {"duke_service": {}}}, ("branches", "duke_service")),
        (
            {"branches": {"duke_service": {"kind": "builtin", "attempt_timeout_seconds": None}}},
            ("branches", "duke_service", "builtin", "attempt_timeout_seconds"),
        ),
        (
            {"separation_of_powers": {"excludes": {"duke": ["queen"]}}},
            ("separation_of_powers", "excludes", "duke", 0),
        ),
    ],
)
def test_what_is_out_of_bounds_is_refused_at_its_place(
    settings: dict[str, Any], location: tuple[str | int, ...]
) -> None:
    assert first_error(settings)[0] == location


@pytest.mark.parametrize(
    "url",
    [
        "duke.example",
        "http://",
        "http:///path",
        "https://host:port/",
        "https://host:0/",
        "https://[::1/",
        "file:///etc/passwd",
        "https://a b/",
        "https://host/\n",
        "https://" + "x" * 2000,
    ],
)
def test_only_web_addresses_can_be_called(url: str) -> None:
    assert first_error({"alerts": {"webhook_url": url}})[0] == ("alerts", "webhook_url")


@pytest.mark.parametrize("url", ["https://me@host/", "https://me:secret@host/"])
def test_an_address_holds_no_secret(url: str) -> None:
    _, message = first_error({"alerts": {"webhook_url": url}})
    assert "environment variable" in message


@pytest.mark.parametrize(
    "target",
    ["acme", "acme.duke", "acme:", ":Duke", "acme:Du ke", "acme..x:Duke", "a/b:C", "a:b:c"],
)
def test_a_python_branch_names_a_module_and_an_object(target: str) -> None:
    location, message = first_error(
        {"branches": {"duke_service": {"kind": "python", "target": target}}}
    )
    assert location == ("branches", "duke_service", "python", "target")
    assert "package.module:Name" in message


def test_equal_configurations_have_equal_digests_however_they_were_written() -> None:
    a = configured(
        state_timeout_hours={"planning": 5},
        separation_of_powers={"excludes": {"king": ["duke", "prince"]}},
    )
    b = configured(
        separation_of_powers={"excludes": {"prince": ["king"], "duke": ["king"]}},
        state_timeout_hours={"PLANNING": 5.0, "JUDGING": 48},
    )
    assert a == b
    assert a.digest() == b.digest()


@pytest.mark.parametrize(
    "settings",
    [
        {"max_concurrent_motions": 99},
        {"state_timeout_hours": {"PLANNING": None}},
        {"separation_of_powers": {"excludes": {}}},
        {"branches": {"duke_service": {"kind": "external"}}},
        {"retry": {"backoff_seconds": [5, 30]}},
    ],
)
def test_a_different_configuration_has_a_different_digest(settings: dict[str, Any]) -> None:
    assert configured(**settings).digest() != FlowConfiguration().digest()


def test_the_digest_is_over_compact_sorted_json_that_reads_back() -> None:
    config = configured(
        branches={"duke_service": {"kind": "python", "target": "a:B", "options": {"é": [1, None]}}}
    )
    encoded = config.canonical_json()
    assert config.digest() == hashlib.sha256(encoded).hexdigest()
    assert (
        encoded == json.dumps(json.loads(encoded), sort_keys=True, separators=(",", ":")).encode()
    )
    assert FlowConfiguration.model_validate_json(encoded) == config


def test_a_configuration_cannot_be_changed() -> None:
    config: Any = FlowConfiguration()
    with pytest.raises(ValidationError, match="frozen"):
        config.max_concurrent_motions = 5
    with pytest.raises(TypeError, match="item assignment"):
        config.branches["duke_service"] = ExternalBranch()
    with pytest.raises(TypeError, match="item assignment"):
        config.state_timeout_hours[S.PLANNING] = 5


def test_a_configuration_survives_copying_and_pickling() -> None:
    config = configured(
        branches={"duke_service": {"kind": "python", "target": "a:B", "options": {"x": 1}}}
    )
    assert copy.deepcopy(config) == config
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301 - our own bytes


def test_a_frozen_mapping_is_a_copy_equal_to_what_it_copied() -> None:
    source = {"a": 1}
    frozen = FrozenMapping(source)
    source["b"] = 2
    assert frozen == {"a": 1}
    assert list(frozen) == ["a"]
    assert len(frozen) == 1
    assert repr(frozen) == "FrozenMapping({'a': 1})"
    assert FrozenMapping[str, int]() == {}
