"""Exceptions stand for error types, and the gravest counts."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from governance_flow.application.classification import classify, gravest


def _validation_error() -> ValidationError:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(int).validate_python("x")
    return caught.value


@pytest.mark.parametrize(
    ("error", "error_type"),
    [
        (TimeoutError(), "timeout_error"),
        (PermissionError(), "permission_error"),
        (ValueError(), "validation_error"),
        (_validation_error(), "validation_error"),
        (OSError(), "system_error"),
        (KeyError(), "system_error"),
        (RuntimeError(), "system_error"),
        (ExceptionGroup("g", [TimeoutError(), ValueError()]), "validation_error"),
        (ExceptionGroup("g", [TimeoutError(), ExceptionGroup("h", [KeyError()])]), "system_error"),
    ],
)
def test_an_exception_has_an_error_type(error: Exception, error_type: str) -> None:
    assert classify(error) == error_type


def test_error_types_are_ordered_by_gravity() -> None:
    order = [
        "timeout_error",
        "validation_error",
        "permission_error",
        "compliance_error",
        "system_error",
    ]
    for number, error_type in enumerate(order):
        assert gravest(order[: number + 1]) == error_type
        assert gravest(reversed(order[: number + 1])) == error_type


def test_an_unknown_error_type_and_none_at_all_are_grave() -> None:
    assert gravest(["timeout_error", "cosmic_ray"]) == "system_error"
    assert gravest([]) == "system_error"
