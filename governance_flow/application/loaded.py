"""A motion folded from its stream, with what is needed to append to it."""

from __future__ import annotations

from typing import NamedTuple

from governance_flow.domain.motion import Motion
from governance_flow.domain.witness import WitnessChain


class Loaded(NamedTuple):
    """A motion at a version, with its chain of statements."""

    motion: Motion
    chain: WitnessChain

    @property
    def version(self) -> int:
        """The version of the stream this was folded from."""
        return self.motion.version
