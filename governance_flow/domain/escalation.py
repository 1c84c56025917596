"""What happens when something goes wrong: error types, strategies, and the answers to them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from governance_flow.domain.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping


class ErrorEscalationStrategy(Vocabulary):
    """What the orchestrator does about an error."""

    RETURN_TO_PREVIOUS = "return_to_previous"
    CONCLAVE_REVIEW = "conclave_review"
    HALT_AND_ALERT = "halt_and_alert"
    RETRY_WITH_BACKOFF = "retry_with_backoff"


VALIDATION_ERROR = "validation_error"
PERMISSION_ERROR = "permission_error"
COMPLIANCE_ERROR = "compliance_error"
SYSTEM_ERROR = "system_error"
TIMEOUT_ERROR = "timeout_error"

ERROR_TYPE_MAP: Mapping[str, ErrorEscalationStrategy] = MappingProxyType(
    {
        VALIDATION_ERROR: ErrorEscalationStrategy.RETURN_TO_PREVIOUS,
        PERMISSION_ERROR: ErrorEscalationStrategy.CONCLAVE_REVIEW,
        COMPLIANCE_ERROR: ErrorEscalationStrategy.CONCLAVE_REVIEW,
        SYSTEM_ERROR: ErrorEscalationStrategy.HALT_AND_ALERT,
        TIMEOUT_ERROR: ErrorEscalationStrategy.RETRY_WITH_BACKOFF,
    }
)
"""The strategy each listed error type asks for."""


def strategy_for(error_type: str | None) -> ErrorEscalationStrategy:
    """Return the strategy for an error type; one that is unknown or missing halts."""
    return ERROR_TYPE_MAP.get(error_type or "", ErrorEscalationStrategy.HALT_AND_ALERT)


class ReviewDecision(Vocabulary):
    """What the Conclave may answer to a review, in ``output["decision"]``."""

    RESUME = "resume"
    RETURN = "return"
    TABLE = "table"
    REJECT = "reject"


class Resolution(Vocabulary):
    """What a named person may decide about a blocked or resting motion."""

    RETRY = "retry"
    RETURN = "return"
    REVIEW = "review"
    TAKE_UP = "take_up"


class ViolationKind(Vocabulary):
    """Which rule an act would have broken."""

    SKIPPED_STEP = "skipped_step"
    COLLAPSED_ROLE = "collapsed_role"


class Severity(Vocabulary):
    """How a violation weighs: the assignment's holder can harm the motion, a stranger cannot."""

    MAJOR = "major"
    MINOR = "minor"
