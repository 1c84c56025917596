"""Everything an auditor can do with a store, wired together."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from governance_flow.application.audit.bundle import Bundler
from governance_flow.application.audit.diff import Differ
from governance_flow.application.audit.explain.story import StoryTeller
from governance_flow.application.audit.export import Exporter
from governance_flow.application.audit.key_history import KeyHistory
from governance_flow.application.audit.replay import Replayer
from governance_flow.application.audit.verify import Auditor
from governance_flow.application.services.log_proofs import LogProofs
from governance_flow.domain.errors import NotInLog

if TYPE_CHECKING:
    from uuid import UUID

    from governance_flow.application.audit.derived import ListsCheck, ReadModelSide
    from governance_flow.application.ports.audit import AuditLog
    from governance_flow.application.ports.clock import Clock
    from governance_flow.application.ports.event_store import EventStore
    from governance_flow.application.ports.keys import LastSigned
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.application.ports.projection import Follower
    from governance_flow.application.ports.transparency_log import LogCheckpoints, LogTree
    from governance_flow.application.services.checkpointing import Checkpointing
    from governance_flow.application.services.transparency import TreeReader
    from governance_flow.transparency.keys import Ed25519Verifier


SIGNED_AGAIN_MAX = 3
"""How often a checkpoint is signed for a motion that moves on while its bundle is made."""


@dataclass(frozen=True, slots=True)
class AuditLogParts:
    """The audit log: its tree as rows and as proofs, its checkpoints, and who signs them."""

    tree: LogTree
    reader: TreeReader
    checkpoints: LogCheckpoints
    checkpointing: Checkpointing
    last_signed: LastSigned


@dataclass(frozen=True, slots=True)
class AuditTools:
    """What verifies, replays, compares, explains, exports and proves.

    ``events`` reads the log; ``last_signed`` is what this machine remembers of having promised.
    """

    events: AuditLog
    mapper: EventMapper
    last_signed: LastSigned
    auditor: Auditor
    replayer: Replayer
    differ: Differ
    storyteller: StoryTeller
    exporter: Exporter
    bundler: Bundler
    proofs: LogProofs

    async def prove(self, motion_id: UUID) -> tuple[dict[str, Any], str | None]:
        """Return a motion's bundle under a checkpoint of this moment.

        If none can be signed, the bundle is under the latest there is; the second value says why.
        Raises UnknownMotion, and NotInLog if no checkpoint covers the motion.
        """
        for _ in range(SIGNED_AGAIN_MAX):
            latest = await self.proofs.latest()
            if latest.unsigned is not None:
                return await self.bundler.bundle(motion_id), latest.unsigned
            with suppress(NotInLog):
                return await self.bundler.bundle(motion_id), None
        return await self.bundler.bundle(motion_id), None

    async def log_key(self) -> Ed25519Verifier:
        """Return the key that the log signs with; raises NotInLog if it never signed anything."""
        last = (await self.events.ends()).last_position
        keys = await KeyHistory.read(self.events, self.mapper, up_to_position=last)
        if keys.log_key is None:
            raise NotInLog("this store has no log key yet: nothing was ever signed")
        return keys.log_key

    @classmethod
    def over(
        cls,
        events: AuditLog,
        mapper: EventMapper,
        *,
        clock: Clock,
        places: int,
        read_model: ReadModelSide,
        lists: ListsCheck,
        log: AuditLogParts,
        store: EventStore,
        follower: Follower,
    ) -> Self:
        """Return the tools over one store; ``places`` is how many motions may be admitted."""
        return cls(
            events=events,
            mapper=mapper,
            last_signed=log.last_signed,
            auditor=Auditor(
                events,
                mapper,
                read_model=read_model,
                lists=lists,
                tree=log.tree,
                checkpoints=log.checkpoints,
            ),
            replayer=Replayer(events, mapper, clock, places),
            differ=Differ(events, mapper),
            storyteller=StoryTeller(events, mapper),
            exporter=Exporter(events, mapper),
            bundler=Bundler(events, mapper, log.reader, log.checkpoints),
            proofs=LogProofs(store, follower, log.reader, log.checkpoints, log.checkpointing),
        )
