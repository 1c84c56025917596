"""Where settings come from, what overrides what, and how a mistake is reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from governance_flow.domain.branch_configuration import BuiltinBranch, ExternalBranch, HttpBranch
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.configuration import FlowConfiguration
from governance_flow.domain.errors import ConfigurationError
from governance_flow.domain.states import GovernanceState
from governance_flow.infrastructure import settings
from governance_flow.infrastructure.settings import as_configuration, load_configuration

B = GovernanceBranch
Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(content: str | bytes) -> Path:
        path = tmp_path / "flow.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return _write


def complaint(path: Path | None, environ: dict[str, str] | None = None) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(path, environ or {})
    return caught.value


def test_the_packaged_file_says_what_the_code_has_as_defaults() -> None:
    assert load_configuration(None, {}) == FlowConfiguration()


def test_a_file_changes_what_it_names_and_nothing_else(write: Write) -> None:
    path = write("flow_orchestrator:\n  retry:\n    max_attempts: 7\n")
    expected = FlowConfiguration.model_validate({"retry": {"max_attempts": 7}})
    assert load_configuration(path, {}) == expected
    assert expected.retry.backoff_seconds == (5.0, 30.0, 300.0)


def test_the_environment_overrides_the_file(write: Write) -> None:
    path = write(
        "flow_orchestrator:\n  max_concurrent_motions: 3\n"
        "  retry: {max_attempts: 7, backoff_seconds: [1]}\n"
    )
    config = load_configuration(
        path,
        {
            "GOVERNANCE_FLOW__RETRY__MAX_ATTEMPTS": "9",
            "GOVERNANCE_FLOW_STORE": "memory:",
            "HOME": "/nowhere",
        },
    )
    assert config.retry.max_attempts == 9
    assert config.retry.backoff_seconds == (1.0,)
    assert config.max_concurrent_motions == 3


def test_values_in_the_environment_are_read_as_yaml_or_json() -> None:
    config = load_configuration(
        None,
        {
            "GOVERNANCE_FLOW__RETRY__BACKOFF_SECONDS": "[1, 2.5]",
            "GOVERNANCE_FLOW__STATE_TIMEOUT_HOURS__PLANNING": "null",
            "GOVERNANCE_FLOW__STATE_TIMEOUT_HOURS__JUDGING": "",
            "GOVERNANCE_FLOW__BRANCHES__DUKE_SERVICE": '{"kind": "external"}',
            "GOVERNANCE_FLOW__ALERTS__WEBHOOK_URL": "https://alerts.example/hook#a",
        },
    )
    assert config.retry.backoff_seconds == (1.0, 2.5)
    assert config.state_timeout_hours[GovernanceState.PLANNING] is None
    assert config.state_timeout_hours[GovernanceState.JUDGING] is None
    assert config.branches["duke_service"] == ExternalBranch()
    assert config.alerts.webhook_url == "https://alerts.example/hook#a"


def test_a_variable_for_one_key_refines_the_one_for_the_whole() -> None:
    config = load_configuration(
        None,
        {
            "GOVERNANCE_FLOW__RETRY__MAX_ATTEMPTS": "9",
            "GOVERNANCE_FLOW__RETRY": "{max_attempts: 4, backoff_seconds: [1]}",
        },
    )
    assert config.retry.max_attempts == 9
    assert config.retry.backoff_seconds == (1.0,)


def test_states_may_be_written_in_lower_case_in_every_layer(write: Write) -> None:
    path = write("flow_orchestrator:\n  state_timeout_hours: {planning: 1, JUDGING: 2}\n")
    hours = load_configuration(
        path, {"GOVERNANCE_FLOW__STATE_TIMEOUT_HOURS__JUDGING": "3"}
    ).state_timeout_hours
    assert hours[GovernanceState.PLANNING] == 1
    assert hours[GovernanceState.JUDGING] == 3
    assert hours[GovernanceState.EXECUTING] == 168


def test_a_state_in_two_spellings_is_a_mistake(write: Write) -> None:
    path = write("flow_orchestrator:\n  state_timeout_hours: {planning: 1, PLANNING: 2}\n")
    assert "each state once" in str(complaint(path))


def test_a_matrix_of_powers_replaces_the_default_one_whole(write: Write) -> None:
    path = write("flow_orchestrator:\n  separation_of_powers:\n    excludes: {king: [knight]}\n")
    policy = load_configuration(path, {}).separation_of_powers
    assert policy.excludes(B.KNIGHT, B.KING)
    assert not policy.excludes(B.KING, B.DUKE)
    assert not policy.excludes(B.KNIGHT, B.DUKE)


def test_a_branch_of_another_kind_starts_from_that_kinds_defaults(write: Write) -> None:
    path = write("flow_orchestrator:\n  branches:\n    duke_service: {kind: external}\n")
    config = load_configuration(path, {})
    assert config.branches["duke_service"].attempt_timeout_seconds is None
    assert config.branches["king_service"] == BuiltinBranch()


def test_a_branch_of_the_same_kind_is_changed_key_by_key(write: Write) -> None:
    path = write(
        "flow_orchestrator:\n  branches:\n"
        "    duke_service: {kind: http, url: 'http://one.example', secret_env: KEY}\n"
    )
    config = load_configuration(
        path,
        {
            "GOVERNANCE_FLOW__BRANCHES__DUKE_SERVICE__URL": "http://two.example",
            "GOVERNANCE_FLOW__BRANCHES__KING_SERVICE__ATTEMPT_TIMEOUT_SECONDS": "7",
        },
    )
    assert config.branches["duke_service"] == HttpBranch(url="http://two.example", secret_env="KEY")
    assert config.branches["king_service"] == BuiltinBranch(attempt_timeout_seconds=7)


def test_a_byte_order_mark_and_an_empty_top_key_are_no_mistakes(write: Write) -> None:
    assert load_configuration(write(b"\xef\xbb\xbfflow_orchestrator:\n"), {}) == FlowConfiguration()


# What a mistake looks like.


def test_an_unknown_key_names_its_path_place_likely_meaning_and_all_allowed(write: Write) -> None:
    path = write("flow_orchestrator:\n  retry:\n    max_atempts: 5\n")
    error = complaint(path)
    assert str(error) == (
        "flow_orchestrator.retry.max_atempts: unknown key; did you mean max_attempts? "
        f"allowed are max_attempts, backoff_seconds, overdue_grace_seconds ({path}, line 3)"
    )
    assert error.paths == ("flow_orchestrator.retry.max_atempts",)


def test_a_wrong_value_names_its_path_bound_value_and_place(write: Write) -> None:
    path = write("flow_orchestrator:\n\n  max_concurrent_motions: 0\n")
    assert str(complaint(path)) == (
        "flow_orchestrator.max_concurrent_motions: "
        f"should be greater than or equal to 1, not 0 ({path}, line 3)"
    )


def test_a_wrong_value_from_the_environment_names_the_variable(write: Write) -> None:
    path = write("flow_orchestrator:\n  retry: {max_attempts: 5}\n")
    assert str(complaint(path, {"GOVERNANCE_FLOW__RETRY__MAX_ATTEMPTS": "many"})) == (
        "flow_orchestrator.retry.max_attempts: should be a valid integer, not 'many' "
        "(the environment variable GOVERNANCE_FLOW__RETRY__MAX_ATTEMPTS)"
    )


def test_all_mistakes_are_reported_at_once(write: Write) -> None:
    path = write("flow_orchestrator:\n  retry: {x: 1, max_attempts: a}\n  knight: 5\n")
    error = complaint(path)
    assert set(error.paths) == {
        "flow_orchestrator.retry.x",
        "flow_orchestrator.retry.max_attempts",
        "flow_orchestrator.knight",
    }
    assert len(str(error).splitlines()) == 3


@pytest.mark.parametrize(
    "body", ["state_timeout_hours: {TABLED: x}", "branches: {duk_service: {kind: htp, x: 1}}"]
)
def test_nothing_more_is_said_about_what_is_below_an_unknown_key(write: Write, body: str) -> None:
    message = str(complaint(write(f"flow_orchestrator:\n  {body}\n")))
    assert len(message.splitlines()) == 1
    assert "unknown key" in message


def test_a_flood_of_mistakes_is_cut_short(write: Write) -> None:
    keys = "".join(f"  wrong_{number}: 1\n" for number in range(25))
    lines = str(complaint(write("flow_orchestrator:\n" + keys))).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "... and 5 more"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("retri: {}", "flow_orchestrator.retri: unknown key; did you mean retry? allowed are max_"),
        ("state_timeout_hours: {TABLED: 1}", "state_timeout_hours.TABLED: unknown key; allowed"),
        ("state_timeout_hours: {5: 1}", "state_timeout_hours.5: unknown key; allowed are DELIB"),
        ("state_timeout_hours: {planing: 1}", "did you mean PLANNING?"),
        ("branches: {duk_service: {}}", "branches.duk_service: unknown key; did you mean duke_s"),
        ("branches: {duke_service: {kind: htp}}", "duke_service.kind: 'htp' is no kind of branch"),
        ("branches: {duke_service: {kind: http}}", "duke_service.url: missing"),
        (
            "branches: {duke_service: {kind: external, url: x}}",
            "branches.duke_service.url: unknown key; allowed are kind, attempt_timeout_seconds",
        ),
        ("branches: [1]", "flow_orchestrator.branches: expected a mapping"),
        ("branches: {duke_service: 5}", "flow_orchestrator.branches.duke_service"),
        ("branches: {duke_service: null}", "flow_orchestrator.branches.duke_service"),
        ("retry: 5", "flow_orchestrator.retry: expected a mapping, not 5"),
        ("retry: {backoff_seconds: 5}", "backoff_seconds: expected a list, not 5"),
        ("retry: {backoff_seconds: [1, x]}", "backoff_seconds.1: should be a valid number, not"),
        ("retry: {backoff_seconds: []}", "backoff_seconds: expected at least 1 items, not 0"),
        ("retry: {max_attempts: true}", "max_attempts: should be a valid integer, not True"),
        ("retry: {max_attempts: .inf}", "max_attempts: should be a valid integer, not inf"),
        ("5: 1", "flow_orchestrator.5: Keys should be strings"),
        ("separation_of_powers: {excludes: {kin: [duke]}}", "excludes.kin: should be 'king'"),
        ("separation_of_powers: {excludes: {king: [duk]}}", "excludes.king.0: should be 'king'"),
        ("separation_of_powers: {exclude: {}}", "did you mean excludes? allowed are excludes"),
        ("worker: {lease_seconds: 4}", "flow_orchestrator.worker: heartbeat_seconds (5.0) should"),
        ("conclave: {threshold: 1}", "conclave.threshold: should be less than 1, not 1"),
        ("max_concurrent_motions: " + "x" * 500, "not '" + "x" * 59 + "... ("),
    ],
)
def test_a_mistake_in_a_file_says_what_is_allowed_and_where_it_stands(
    write: Write, body: str, expected: str
) -> None:
    path = write(f"flow_orchestrator:\n  {body}\n")
    message = str(complaint(path))
    assert expected in message
    assert f"({path}, line 2)" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "is empty; it should begin with flow_orchestrator:"),
        ("# only a comment\n", "is empty; it should begin with flow_orchestrator:"),
        ("{}", "expected a mapping with the key flow_orchestrator, but found an empty mapping"),
        ("[]", "expected a mapping with the key flow_orchestrator, but found a list"),
        ("5", "expected a mapping with the key flow_orchestrator, but found a single value"),
        ("null", "expected a mapping with the key flow_orchestrator, but found nothing"),
        ("flow_orchestrator: 5", "flow_orchestrator: expected a mapping, but found a single value"),
        ("flow_orchestrator: [5]", "flow_orchestrator: expected a mapping, but found a list"),
        ("retry: {}", "retry: unknown key at the top"),
        ("flow_orchestrator: {}\nretry: {}", "line 2); allowed is flow_orchestrator"),
        ("flow_orchestrator: {a: [}", "is not valid YAML: "),
        ("flow_orchestrator:\n\tretry: 5", "line 2, column 1"),
        ("flow_orchestrator: 2026-99-99", "is not valid YAML: month must be in 1..12"),
        ("flow_orchestrator: {? [a] : 5}", "is not valid YAML: found unhashable key, line 1"),
        ("a: 1\n---\nb: 2", "is not valid YAML: "),
        ("flow_orchestrator: !!python/object:os.system {}", "is not valid YAML: could not deter"),
        ("a: \x00", "is not valid YAML: unacceptable character"),
        ("a: &x 1\nb: *x", "line 1: anchors and aliases"),
        ("a: *x", "line 1: anchors and aliases"),
        ("{a: " * 30, "nested deeper than 20 levels"),
        ("flow_orchestrator:\n  retry: {}\n  retry: {}", "retry: given twice ("),
        (b"flow_orchestrator:\n  \xff", "is not UTF-8 text (line 2)"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(
    write: Write, content: str | bytes, expected: str
) -> None:
    path = write(content)
    message = str(complaint(path))
    assert expected in message
    assert str(path) in message


def test_a_key_given_twice_names_both_lines(write: Write) -> None:
    path = write("flow_orchestrator:\n  retry:\n    max_attempts: 1\n    max_attempts: 2\n")
    assert str(complaint(path)) == (
        f"flow_orchestrator.retry.max_attempts: given twice ({path}, line 3; again {path}, line 4)"
    )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone.yaml"
    assert str(complaint(path)) == f"there is no configuration file {path}"


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    assert f"{tmp_path} cannot be read: " in str(complaint(tmp_path))


def test_a_huge_file_is_not_read(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MAX_FILE_BYTES", 30)
    assert load_configuration(write("flow_orchestrator:".ljust(30)), {}) == FlowConfiguration()
    assert "larger than 30 bytes" in str(complaint(write("flow_orchestrator:".ljust(31))))


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"GOVERNANCE_FLOW__": "1"}, "GOVERNANCE_FLOW__ names no setting"),
        ({"GOVERNANCE_FLOW__RETRY__": "1"}, "GOVERNANCE_FLOW__RETRY__ names no setting"),
        ({"GOVERNANCE_FLOW__" + "__".join("ab" * 15): "1"}, "names no setting"),
        ({"GOVERNANCE_FLOW__RETRY": "[1"}, "GOVERNANCE_FLOW__RETRY is not valid YAML"),
        ({"GOVERNANCE_FLOW__RETRY": "{a: 1, a: 2}"}, "a: given twice"),
        ({"GOVERNANCE_FLOW__RETRI__X": "1"}, "flow_orchestrator.retri: unknown key; did you mean"),
        (
            {"GOVERNANCE_FLOW__RETRY": "4", "GOVERNANCE_FLOW__RETRY__MAX_ATTEMPTS": "9"},
            "RETRY__MAX_ATTEMPTS sets a key below a setting that another variable gives as",
        ),
        (
            {"GOVERNANCE_FLOW__STATE_TIMEOUT_HOURS__TABLED": "4"},
            "(the environment variable GOVERNANCE_FLOW__STATE_TIMEOUT_HOURS__TABLED)",
        ),
    ],
)
def test_a_mistake_in_the_environment_names_the_variable(
    environ: dict[str, str], expected: str
) -> None:
    assert expected in str(complaint(None, environ))


def test_a_rule_between_two_keys_blames_the_source_that_broke_it(write: Write) -> None:
    path = write("flow_orchestrator:\n  worker: {heartbeat_seconds: 6}\n")
    message = str(complaint(path, {"GOVERNANCE_FLOW__WORKER__LEASE_SECONDS": "6"}))
    assert "heartbeat_seconds (6.0) should be less than lease_seconds (6.0)" in message
    assert "GOVERNANCE_FLOW__WORKER__LEASE_SECONDS" in message


def test_a_branch_emptied_by_a_file_needs_its_kind_again(write: Write) -> None:
    path = write("flow_orchestrator:\n  branches: {duke_service: null}\n")
    environ = {"GOVERNANCE_FLOW__BRANCHES__DUKE_SERVICE__URL": "http://x.example"}
    assert str(complaint(path, environ)).startswith(
        "flow_orchestrator.branches.duke_service.kind: missing; allowed are 'builtin', 'python'"
    )


def test_a_strange_key_in_a_file_survives_an_override_beside_it(write: Write) -> None:
    path = write("flow_orchestrator:\n  state_timeout_hours: {5: 1}\n")
    error = complaint(path, {"GOVERNANCE_FLOW__STATE_TIMEOUT_HOURS__PLANNING": "1"})
    assert error.paths == ("flow_orchestrator.state_timeout_hours.5",)


@pytest.mark.parametrize(
    "body",
    [
        "alerts: {webhook_url: 'https://me:hunter2@host'}",
        "alerts: {webhook_url: [hunter2]}",
        "alerts: {webhook_secret_env: 'hunter2 !'}",
        "branches: {duke_service: {kind: http, url: 'hunter2'}}",
        "branches: {duke_service: {kind: python, target: 'a:B', options: {? 5 : hunter2}}}",
    ],
)
def test_what_may_be_a_secret_is_not_repeated_in_the_message(write: Write, body: str) -> None:
    message = str(complaint(write(f"flow_orchestrator:\n  {body}\n")))
    assert "hunter2" not in message


# What may be given in code.


def test_a_configuration_given_in_code_is_taken_as_it_is() -> None:
    config = FlowConfiguration(max_concurrent_motions=3)
    environ = {"GOVERNANCE_FLOW__MAX_CONCURRENT_MOTIONS": "4"}
    assert as_configuration(config, environ) is config


@pytest.mark.parametrize("wrap", [lambda data: data, lambda data: {"flow_orchestrator": data}])
def test_a_mapping_stands_in_the_place_of_a_file(
    wrap: Callable[[dict[str, Any]], dict[str, Any]],
) -> None:
    given = wrap({"max_concurrent_motions": 3, "retry": {"max_attempts": 1}})
    config = as_configuration(given, {"GOVERNANCE_FLOW__MAX_CONCURRENT_MOTIONS": "4"})
    assert config.max_concurrent_motions == 4
    assert config.retry.max_attempts == 1
    assert config.retry.backoff_seconds == (5.0, 30.0, 300.0)


def test_a_mistake_in_a_mapping_is_traced_to_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        as_configuration({"retry": {"max_attempts": "x"}}, {})
    assert str(caught.value).endswith("(the mapping given as configuration)")


def test_a_mapping_with_nothing_usable_below_the_top_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected a mapping"):
        as_configuration({"flow_orchestrator": 5}, {})


@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_may_be_named_by_path_or_text(write: Write, kind: Callable[[Path], Any]) -> None:
    path = write("flow_orchestrator: {max_concurrent_motions: 3}")
    assert as_configuration(kind(path), {}).max_concurrent_motions == 3


def test_the_process_environment_counts_unless_another_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOVERNANCE_FLOW__MAX_CONCURRENT_MOTIONS", "4")
    assert as_configuration(None).max_concurrent_motions == 4
    assert as_configuration(None, {}).max_concurrent_motions == 100
