"""What can be configured, within which bounds, and what holds when nothing is said.

Every class here is frozen and knows no file: reading YAML and the environment is the business
of ``infrastructure.settings``. The defaults stand here and, with an explanation for people, in
``config/flow-orchestrator.yaml``; a test keeps the two equal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator
from pydantic_core import PydanticCustomError

from governance_flow.domain.branch_configuration import (
    BranchConfig,
    BuiltinBranch,
    ConfigurationModel,
    EnvironmentName,
    PositiveSeconds,
    Seconds,
    WebAddress,
)
from governance_flow.domain.branches import SERVICE_BRANCH, GovernanceBranch
from governance_flow.domain.frozen import FrozenMapping
from governance_flow.domain.states import GovernanceState

UNKNOWN_KEY = "unknown_key"
"""Type of the validation error for a mapping's key that is not one of a closed set."""

MAX_HOURS = 10 * 366 * 24.0
MAX_COUNT = 1_000_000
MAX_BYTES = 100_000_000

DEFAULT_STATE_TIMEOUT_HOURS: Mapping[GovernanceState, float | None] = FrozenMapping(
    {
        GovernanceState.DELIBERATING: 168.0,
        GovernanceState.PLANNING: 72.0,
        GovernanceState.EXECUTING: 168.0,
        GovernanceState.JUDGING: 48.0,
        GovernanceState.WITNESSING: 24.0,
    }
)
"""Hours a motion may spend in each state that has a deadline."""

Count = Annotated[int, Field(ge=1, le=MAX_COUNT, strict=True)]
CountOrZero = Annotated[int, Field(ge=0, le=MAX_COUNT, strict=True)]
ByteCount = Annotated[int, Field(ge=1, le=MAX_BYTES, strict=True)]
Hours = Annotated[float, Field(gt=0, le=MAX_HOURS, strict=True)]


def _closed_key(key: object, allowed: tuple[str, ...]) -> str:
    if key not in allowed:
        raise PydanticCustomError(
            UNKNOWN_KEY, "unknown key; allowed are {allowed}", {"allowed": ", ".join(allowed)}
        )
    return str(key)


def _upper_keys(value: Any) -> Any:
    """Accept ``deliberating`` for ``DELIBERATING``, but not both at once."""
    if not isinstance(value, Mapping):
        return value
    upper = {key.upper() if isinstance(key, str) else key: item for key, item in value.items()}
    if len(upper) != len(value):
        raise PydanticCustomError(
            "duplicate_state", "Input should name each state once, in upper or lower case"
        )
    return upper


def _deadline_state(key: object) -> GovernanceState:
    return GovernanceState(_closed_key(key, tuple(DEFAULT_STATE_TIMEOUT_HOURS)))


def _service(key: object) -> str:
    return _closed_key(key, tuple(SERVICE_BRANCH))


def _with_default_hours(
    given: Mapping[GovernanceState, float | None],
) -> FrozenMapping[GovernanceState, float | None]:
    return FrozenMapping({**DEFAULT_STATE_TIMEOUT_HOURS, **given})


def _with_builtin_branches(given: Mapping[str, BranchConfig]) -> FrozenMapping[str, BranchConfig]:
    return FrozenMapping(
        {service: given.get(service, BuiltinBranch()) for service in SERVICE_BRANCH}
    )


Matrix = Mapping[GovernanceBranch, frozenset[GovernanceBranch]]


def _symmetric(given: Matrix) -> FrozenMapping[GovernanceBranch, frozenset[GovernanceBranch]]:
    """Close the relation: whoever is excluded by a branch excludes it as well."""
    closed: dict[GovernanceBranch, set[GovernanceBranch]] = {b: set() for b in GovernanceBranch}
    for branch, excluded in given.items():
        if branch in excluded:
            raise PydanticCustomError(
                "excludes_itself",
                "Input should not make {branch} exclude itself",
                {"branch": branch.value},
            )
        for other in excluded:
            closed[branch].add(other)
            closed[other].add(branch)
    return FrozenMapping({branch: frozenset(others) for branch, others in closed.items()})


def _plain_matrix(matrix: Matrix) -> dict[str, list[str]]:
    return {branch.value: sorted(others) for branch, others in matrix.items()}


def _default_matrix() -> Matrix:
    b = GovernanceBranch
    return _symmetric(
        {
            b.KING: frozenset({b.PRESIDENT, b.DUKE, b.EARL, b.PRINCE}),
            b.PRESIDENT: frozenset({b.DUKE, b.EARL, b.PRINCE}),
            b.PRINCE: frozenset({b.DUKE, b.EARL}),
            b.KNIGHT: frozenset(b) - {b.KNIGHT},
        }
    )


class RetryPolicy(ConfigurationModel):
    """What happens after a timeout, before a person is asked."""

    max_attempts: CountOrZero = 3
    """Retries after the first try; 0 means that a timeout halts the motion at once."""

    backoff_seconds: Annotated[tuple[Seconds, ...], Field(min_length=1, max_length=100)] = (
        5.0,
        30.0,
        300.0,
    )
    """Wait before each retry; the last one serves for all that follow."""

    overdue_grace_seconds: PositiveSeconds = 300.0
    """Time a retry gets when the deadline of its state has already passed."""

    def delay_seconds(self, retry_number: int) -> float:
        """Return the wait before a retry, the first being number 1.

        Raises:
            ValueError: the number is less than 1.
        """
        if retry_number < 1:
            raise ValueError(f"retries are counted from 1, not {retry_number}")
        return self.backoff_seconds[min(retry_number, len(self.backoff_seconds)) - 1]


class ConclavePolicy(ConfigurationModel):
    """How the built-in Conclave counts."""

    quorum: CountOrZero = 0
    """Ballots (abstentions included) that must have been cast for the vote to count."""

    threshold: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.5
    """A motion passes when yes / (yes + no) is greater than this; 0.5: more yes than no."""


class KnightPolicy(ConfigurationModel):
    """How long to wait for a witness statement."""

    witness_timeout_seconds: PositiveSeconds = 5.0


class SeparationPolicy(ConfigurationModel):
    """Which branches one actor may not act for on one motion."""

    matrix: Annotated[
        Matrix, AfterValidator(_symmetric), PlainSerializer(_plain_matrix, return_type=dict)
    ] = Field(default_factory=_default_matrix, alias="excludes")
    """Called ``excludes`` in the file. Symmetric, whichever side named the other."""

    def excludes(self, a: GovernanceBranch, b: GovernanceBranch) -> bool:
        """Return whether having acted for one of the two bars an actor from the other."""
        return b in self.matrix[a]


class BreakerPolicy(ConfigurationModel):
    """When to halt the whole pipeline: this many system errors within the window."""

    system_errors: Count = 5
    window_seconds: PositiveSeconds = 600.0


class AlertPolicy(ConfigurationModel):
    """Who is told when something halts, and when a starved docket counts as such."""

    webhook_url: WebAddress | None = None
    webhook_secret_env: EnvironmentName | None = None
    apprise_urls_env: EnvironmentName | None = None
    """The variable with one or more addresses of apprise's; they hold secrets."""

    retry_seconds: PositiveSeconds = 30.0
    docket_starved_at_blocked_share: Annotated[float, Field(gt=0, le=1, strict=True)] = 0.5
    """Share of the places held by blocked motions at which an alert goes out."""


class WorkerPolicy(ConfigurationModel):
    """How a worker takes, keeps and gives back assignments."""

    max_concurrent_assignments: Count = 64
    lease_seconds: PositiveSeconds = 15.0
    heartbeat_seconds: PositiveSeconds = 5.0
    poll_seconds: PositiveSeconds = 1.0
    max_lease_losses: Count = 5
    drain_seconds: Seconds = 20.0

    @model_validator(mode="after")
    def _heartbeat_before_lease_ends(self) -> Self:
        if self.heartbeat_seconds >= self.lease_seconds:
            raise PydanticCustomError(
                "heartbeat_after_lease",
                "heartbeat_seconds ({heartbeat}) should be less than lease_seconds ({lease}), "
                "or every lease is lost before it is extended",
                {"heartbeat": self.heartbeat_seconds, "lease": self.lease_seconds},
            )
        return self


class LimitPolicy(ConfigurationModel):
    """Bounds on what is taken in, and on how often a lost race is run again."""

    max_motion_bytes: ByteCount = 1_000_000
    max_output_bytes: ByteCount = 1_000_000
    max_append_conflicts: Count = 20


class FlowConfiguration(ConfigurationModel):
    """Everything that can be configured, under ``flow_orchestrator`` in the file."""

    max_concurrent_motions: Count = 100
    """Places between DELIBERATING and WITNESSING; blocked motions keep theirs."""

    state_timeout_hours: Annotated[
        Mapping[Annotated[GovernanceState, BeforeValidator(_deadline_state)], Hours | None],
        BeforeValidator(_upper_keys),
        AfterValidator(_with_default_hours),
        PlainSerializer(dict, return_type=dict[str, Any]),
    ] = DEFAULT_STATE_TIMEOUT_HOURS
    """Hours a motion may spend in a state; ``None``, or a state that is not there: no deadline."""

    retry: RetryPolicy = RetryPolicy()
    max_returns_per_state: CountOrZero = 2
    """Returns out of one state before the next one becomes a review."""

    max_review_answers: Count = 3
    """Answers to one review before an unusable one halts the motion."""

    conclave: ConclavePolicy = ConclavePolicy()
    knight: KnightPolicy = KnightPolicy()
    separation_of_powers: SeparationPolicy = SeparationPolicy()
    breaker: BreakerPolicy = BreakerPolicy()
    alerts: AlertPolicy = AlertPolicy()
    worker: WorkerPolicy = WorkerPolicy()
    limits: LimitPolicy = LimitPolicy()
    branches: Annotated[
        Mapping[Annotated[str, BeforeValidator(_service)], BranchConfig],
        AfterValidator(_with_builtin_branches),
        PlainSerializer(dict, return_type=dict[str, Any]),
    ] = Field(default_factory=lambda: _with_builtin_branches({}))
    """How each service is reached; every service is there."""

    def canonical_json(self) -> bytes:
        """Return the whole configuration as compact JSON with sorted keys, in UTF-8.

        Equal configurations give equal bytes, and ``model_validate_json`` reads them back.
        """
        return _canonical(self.model_dump(mode="json"))

    def digest(self) -> str:
        """Return the SHA-256 of ``canonical_json`` in hexadecimal.

        It is computed anew at each call; who needs it often keeps it.
        """
        return hashlib.sha256(self.canonical_json()).hexdigest()


def digest_of_configuration(plain: Mapping[str, Any]) -> str:
    """Return the digest of a configuration as events hold it, which may be of an older shape."""
    return hashlib.sha256(_canonical(plain)).hexdigest()


def _canonical(plain: Mapping[str, Any]) -> bytes:
    return json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()
