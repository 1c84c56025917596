"""The pipeline without signatures and without an audit log, to learn what they cost.

The product has no such option: nobody should be able to turn off what others rely on. Here three
parts are replaced before a pipeline is wired: the statements stay as the Knight made them, the
projection of the log does nothing but stand at its position, and no checkpoint is signed. What is
left is a little more than nothing, so the cost that is measured is a little too low: a row of the
log's position, and one call for each batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

from governance_flow.application.ports.transparency_log import SignedCheckpoint
from governance_flow.application.services.checkpointing import Checkpointing
from governance_flow.application.services.witnessing import Witnessing
from governance_flow.bootstrap import wiring
from governance_flow.domain.witness import WitnessRequest, WitnessStatement
from projections.log import LogProjection

if TYPE_CHECKING:
    from governance_flow.application.ports.database import Transaction
    from governance_flow.application.ports.projection import Batch

_NOTHING = SignedCheckpoint(1, b"", "", 0)


class _Unsigned(Witnessing):
    """Checks what the Knight says, and leaves it as it is."""

    async def _sealed(self, request: WitnessRequest, statement: str) -> WitnessStatement:  # noqa: ARG002
        return WitnessStatement(statement)


class _NoLog(LogProjection):
    """Keeps no tree."""

    def create(self, tx: Transaction, generation: int) -> None:
        """Make no table."""

    def drop(self, tx: Transaction, generation: int) -> None:
        """Drop no table."""

    def apply(self, tx: Transaction, batch: Batch, generation: int) -> None:
        """Hash nothing."""


class _NoCheckpoints(Checkpointing):
    """Signs nothing."""

    async def sign(self) -> SignedCheckpoint:
        """Return a checkpoint of a log without events."""
        return _NOTHING


@contextmanager
def without_log() -> Iterator[None]:
    """Let pipelines that are opened meanwhile have neither signatures nor an audit log."""
    with patch.multiple(
        wiring, Witnessing=_Unsigned, LogProjection=_NoLog, Checkpointing=_NoCheckpoints
    ):
        yield
