"""The port through which somebody is told that a person is needed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from governance_flow.domain.errors import GovernanceFlowError


class AlertKind(StrEnum):
    """What an alert is about."""

    MOTION_HALTED = "motion_halted"
    PIPELINE_HALTED = "pipeline_halted"
    DOCKET_STARVED = "docket_starved"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. It may be delivered more than once, always under the same ``alert_id``."""

    alert_id: str
    kind: AlertKind
    message: str
    raised_at: datetime
    motion_id: UUID | None = None


class AlertNotDelivered(GovernanceFlowError):
    """A sink did not take an alert; it is tried again."""


class AlertSink(Protocol):
    """Carries alerts to people: a log, a webhook, a pager."""

    @property
    def name(self) -> str:
        """The sink's name in the record of deliveries."""
        ...

    async def deliver(self, alert: Alert) -> None:
        """Deliver the alert or raise; it is tried again until it succeeds."""
        ...
