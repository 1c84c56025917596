"""Which error type an exception stands for, when a branch service or an Earl raises one."""

from __future__ import annotations

from collections.abc import Iterable

from governance_flow.domain.escalation import (
    COMPLIANCE_ERROR,
    PERMISSION_ERROR,
    SYSTEM_ERROR,
    TIMEOUT_ERROR,
    VALIDATION_ERROR,
)

_GRAVITY = (TIMEOUT_ERROR, VALIDATION_ERROR, PERMISSION_ERROR, COMPLIANCE_ERROR, SYSTEM_ERROR)


def classify(error: BaseException) -> str:
    """Return the error type of an exception; of a group, the gravest of its members'.

    pydantic's ValidationError is a ValueError, and so a validation error.
    """
    match error:
        case BaseExceptionGroup():
            return gravest(classify(member) for member in error.exceptions)
        case TimeoutError():
            return TIMEOUT_ERROR
        case PermissionError():
            return PERMISSION_ERROR
        case ValueError():
            return VALIDATION_ERROR
        case _:
            return SYSTEM_ERROR


def gravest(error_types: Iterable[str]) -> str:
    """Return the gravest of some error types; unknown ones, and none at all, are system errors."""
    known = [_GRAVITY.index(t) if t in _GRAVITY else len(_GRAVITY) - 1 for t in error_types]
    return _GRAVITY[max(known, default=-1)]
