"""The id that a request came with, for what it begins and for the log lines about it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

correlation: ContextVar[UUID | None] = ContextVar("governance_flow_correlation", default=None)
"""Set for as long as a request is being answered; None: whatever begins is its own beginning.

A motion keeps the correlation id that it was introduced under, whoever acts on it later.
"""
