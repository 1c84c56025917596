"""What was denied, and how often: on record, without secrets, and without end to nobody."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from governance_flow.domain.errors import GovernanceFlowError


class DenialReason(StrEnum):
    """Why somebody was turned away."""

    NO_CREDENTIALS = "no_credentials"
    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED = "revoked"
    NOT_PERMITTED = "not_permitted"
    OTHER_BRANCH = "other_branch"
    FORGED_REQUEST = "forged_request"

    @property
    def is_about_identity(self) -> bool:
        """Whether we do not know who asks, as opposed to knowing that they may not."""
        return self not in (
            DenialReason.NOT_PERMITTED,
            DenialReason.OTHER_BRANCH,
            DenialReason.FORGED_REQUEST,
        )


@dataclass(frozen=True, slots=True)
class Denial:
    """Somebody was turned away. ``token_id`` and ``name`` are empty if we do not know them.

    ``count`` is how often the same happened in the minute that begins at ``minute``.
    """

    minute: datetime
    reason: DenialReason
    token_id: str
    name: str
    client: str
    operation: str
    count: int = 1


class AccessDenied(GovernanceFlowError):
    """The request is refused for who makes it; the message tells what would change that."""

    def __init__(
        self, message: str, reason: DenialReason, *, token_id: str = "", name: str = ""
    ) -> None:
        super().__init__(message, reason=reason, token_id=token_id, name=name)
        self.reason = reason
        self.token_id = token_id
        self.name = name


CLIENTS_MAX = 10_000
"""How many clients are counted at a time; the one that was denied longest ago is forgotten."""


class DenialLimit:
    """Counts what each client was denied in the present minute."""

    def __init__(self, per_minute: int) -> None:
        self._per_minute = per_minute
        self._counts: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def exceeded(self, client: str, now: datetime) -> float | None:
        """Count one more denial; return the seconds to wait if there were too many."""
        minute, seconds = divmod(now.timestamp(), 60)
        counted, count = self._counts.pop(client, (int(minute), 0))
        count = count + 1 if counted == int(minute) else 1
        self._counts[client] = (int(minute), count)
        while len(self._counts) > CLIENTS_MAX:
            self._counts.popitem(last=False)
        return 60 - seconds if count > self._per_minute else None
