"""Everything an auditor can do with a store, wired together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from governance_flow.application.audit.bundle import Bundler
from governance_flow.application.audit.diff import Differ
from governance_flow.application.audit.explain.story import StoryTeller
from governance_flow.application.audit.export import Exporter
from governance_flow.application.audit.replay import Replayer
from governance_flow.application.audit.verify import Auditor
from governance_flow.application.services.log_proofs import LogProofs

if TYPE_CHECKING:
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
    last_signed: LastSigned
    auditor: Auditor
    replayer: Replayer
    differ: Differ
    storyteller: StoryTeller
    exporter: Exporter
    bundler: Bundler
    proofs: LogProofs

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
