"""The port to the Knight, who witnesses every transition before it can exist."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from governance_flow.domain.witness import WitnessRequest, WitnessStatement


@runtime_checkable
class KnightWitnessProtocol(Protocol):
    """Witnesses transitions. A statement that does not bind the request exactly is refused."""

    async def witness(self, request: WitnessRequest) -> WitnessStatement:
        """Return the statement about ``request``; raise if it cannot be witnessed."""
        ...


__all__ = ["KnightWitnessProtocol", "WitnessRequest", "WitnessStatement"]
