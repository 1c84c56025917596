"""How far a generation of a projection is behind the head of the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from governance_flow.application.ports.flow_orchestrator import Lag
from projections.registry import queries

if TYPE_CHECKING:
    from governance_flow.application.ports.database import Transaction
    from projections.registry import Generation

_MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class LogEnds:
    """The head of the log as a transaction sees it, and when its first event was committed."""

    position: int
    committed_at_us: int
    halt_epoch: int
    began_at_us: int | None

    @classmethod
    def read(cls, tx: Transaction) -> LogEnds:
        """Read it."""
        [row] = tx.execute(queries(tx).log_ends)
        return cls(*row)

    def lag_of(self, generation: Generation) -> Lag:
        """Return the lag in events, and in seconds of commit time from its position to the head.

        It grows with the store while nobody applies anything. A generation that has applied
        nothing is as far behind as the first event.
        """
        events = self.position - generation.position
        if events <= 0:
            return Lag(0, 0.0)
        since_us = generation.committed_at_us
        if generation.position == 0 and self.began_at_us is not None:
            since_us = self.began_at_us
        return Lag(events, (self.committed_at_us - since_us) / _MICROSECONDS)
