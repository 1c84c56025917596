"""The branches of government, the services that act for them, and what they are asked to do."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from governance_flow.domain.vocabulary import Vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping


class GovernanceBranch(Vocabulary):
    """Who may act on a motion. The Earls work under the Duke."""

    KING = "king"
    CONCLAVE = "conclave"
    PRESIDENT = "president"
    DUKE = "duke"
    EARL = "earl"
    PRINCE = "prince"
    KNIGHT = "knight"


class Purpose(Vocabulary):
    """What a routing asks of the service it goes to."""

    REVISE = "revise"
    DELIBERATE = "deliberate"
    PLAN = "plan"
    EXECUTE = "execute"
    JUDGE = "judge"
    RECORD = "record"
    ACKNOWLEDGE = "acknowledge"
    REVIEW = "review"


KING_SERVICE = "king_service"
CONCLAVE_SERVICE = "conclave_service"
PRESIDENT_SERVICE = "president_service"
DUKE_SERVICE = "duke_service"
PRINCE_SERVICE = "prince_service"
KNIGHT_SERVICE = "knight_witness_service"

SERVICE_BRANCH: Mapping[str, GovernanceBranch] = MappingProxyType(
    {
        KING_SERVICE: GovernanceBranch.KING,
        CONCLAVE_SERVICE: GovernanceBranch.CONCLAVE,
        PRESIDENT_SERVICE: GovernanceBranch.PRESIDENT,
        DUKE_SERVICE: GovernanceBranch.DUKE,
        PRINCE_SERVICE: GovernanceBranch.PRINCE,
        KNIGHT_SERVICE: GovernanceBranch.KNIGHT,
    }
)
"""Every service a motion can be routed to, and the branch it acts for."""

PURPOSE_SERVICE: Mapping[Purpose, str] = MappingProxyType(
    {
        Purpose.REVISE: KING_SERVICE,
        Purpose.DELIBERATE: CONCLAVE_SERVICE,
        Purpose.PLAN: PRESIDENT_SERVICE,
        Purpose.EXECUTE: DUKE_SERVICE,
        Purpose.JUDGE: PRINCE_SERVICE,
        Purpose.RECORD: KNIGHT_SERVICE,
        Purpose.ACKNOWLEDGE: CONCLAVE_SERVICE,
        Purpose.REVIEW: CONCLAVE_SERVICE,
    }
)
"""Which service does each kind of work."""
