"""Motions loaded from their streams, and drafts of what is to be appended to them."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, cast

import structlog

from governance_flow.application.loaded import Loaded
from governance_flow.application.ports.event_store import Append, Made
from governance_flow.application.ports.snapshots import SNAPSHOT_EVERY
from governance_flow.application.services.input_fields import id_field
from governance_flow.domain.errors import (
    CorruptStream,
    GovernanceFlowError,
    StoreError,
    UnknownMotion,
    WitnessFailed,
)
from governance_flow.domain.events import (
    PIPELINE_ID,
    MotionEvent,
    MotionIntroduced,
    ProposedTransition,
    TransitionWitnessed,
)
from governance_flow.domain.evolve import evolve
from governance_flow.domain.motion import Motion
from governance_flow.domain.states import admitted_delta
from governance_flow.domain.witness import WitnessChain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from uuid import UUID

    from governance_flow.application.ports.assignments import WorkChange
    from governance_flow.application.ports.event_store import (
        CommittedEvent,
        EventStore,
        Fence,
        StoredEvent,
    )
    from governance_flow.application.ports.mapper import EventMapper
    from governance_flow.application.ports.snapshots import Snapshots
    from governance_flow.application.services.witnessing import Witnessing
    from governance_flow.domain.events import OrchestratorError, Proposal

log = structlog.get_logger(__name__)


class Draft(NamedTuple):
    """Events to append to one stream, already folded and encoded."""

    base_version: int
    loaded: Loaded
    stored: tuple[StoredEvent, ...] = ()
    made: tuple[Made, ...] = ()
    admitted_delta: int = 0

    @property
    def events(self) -> tuple[MotionEvent, ...]:
        """The events themselves."""
        return tuple([made.event for made in self.made])


class Motions:
    """Loads motions, drafts what happens to them, and appends it.

    A bounded number of motions is kept in memory: appending checks the version, so one that
    has become stale costs a reload and nothing else.
    """

    def __init__(
        self,
        store: EventStore,
        mapper: EventMapper,
        witnessing: Witnessing,
        snapshots: Snapshots,
        *,
        keep: int = 2000,
    ) -> None:
        self._store = store
        self._mapper = mapper
        self._witnessing = witnessing
        self._snapshots = snapshots
        self._keep = keep
        self._kept: OrderedDict[UUID, Loaded] = OrderedDict()

    async def load(self, motion_id: UUID, *, fresh: bool = False) -> Loaded:
        """Return the motion; ``fresh`` makes sure that it is as the store has it now.

        Raises UnknownMotion, InvalidInput for what is no id, or CorruptStream if its events cannot
        be folded.
        """
        motion_id = id_field("motion_id", motion_id)
        kept = self._kept.get(motion_id)
        if kept is not None and not fresh:
            self._kept.move_to_end(motion_id)
            return kept
        # The pipeline has a stream too, and it is none of a motion.
        loaded = None if motion_id == PIPELINE_ID else await self._read(motion_id, kept)
        if loaded is None:
            msg = f"there is no motion {motion_id} in this store"
            raise UnknownMotion(msg, motion_id=motion_id)
        self._remember(loaded)
        return loaded

    async def _read(self, motion_id: UUID, known: Loaded | None) -> Loaded | None:
        """Fold what follows on ``known``; a long stream goes on from its snapshot."""
        if known is None:
            first = await self._store.read_stream(motion_id, up_to_version=SNAPSHOT_EVERY)
            if len(first) < SNAPSHOT_EVERY:
                return self.fold(None, first)
            known = await self._snapshots.latest(motion_id) or self.fold(None, first)
        after = known.version if known else 0
        rest = await self._store.read_stream(motion_id, after_version=after)
        return self.fold(known, rest)

    async def prefetch(self, motion_ids: Sequence[UUID]) -> None:
        """Read, in one go, those of the motions that are not kept; what cannot be read is left.

        Loading one of them says what is wrong with it.
        """
        missing = [motion_id for motion_id in motion_ids if motion_id not in self._kept]
        if len(missing) < 2:  # noqa: PLR2004 - one can as well be read when it is needed
            return
        streams: dict[UUID, list[CommittedEvent]] = {}
        for stored in await self._store.read_streams(missing):
            streams.setdefault(cast("UUID", stored.originator_id), []).append(stored)
        for events in streams.values():
            with suppress(CorruptStream):
                if loaded := self.fold(None, events):
                    self._remember(loaded)

    def forget(self, motion_id: UUID) -> None:
        """Drop what is kept of a motion, because it has proved stale."""
        self._kept.pop(motion_id, None)

    def fold(self, loaded: Loaded | None, stored: Iterable[CommittedEvent]) -> Loaded | None:
        """Fold stored events onto ``loaded``."""
        for item in stored:
            event = cast("MotionEvent", self._mapper.to_event(item))
            motion_id = cast("UUID", item.originator_id)
            motion = evolve(loaded.motion if loaded else None, event, motion_id)
            chain = extend_chain(loaded.chain if loaded else WitnessChain(), event, item)
            loaded = Loaded(motion, chain)
        return loaded

    def start(self, motion_id: UUID, introduced: MotionIntroduced) -> Draft:
        """Draft a new stream."""
        stored = self._mapper.to_stored(motion_id, 1, introduced)
        motion = evolve(None, introduced, motion_id)
        chain = extend_chain(WitnessChain(), introduced, stored)
        made = Made(introduced, chain.covered[-1].sha256)
        return Draft(0, Loaded(motion, chain), (stored,), (made,))

    def draft(self, loaded: Loaded, record: Sequence[MotionEvent] = ()) -> Draft:
        """Draft what was reported or decided, which needs no witness."""
        draft = Draft(loaded.version, loaded)
        for event in record:
            draft = self._plus(draft, event)
        return draft

    async def follow(
        self,
        draft: Draft,
        proposals: Sequence[Proposal],
        on_witness_failure: Callable[[Motion, str], OrchestratorError],
    ) -> Draft:
        """Extend a draft by what follows, each transition witnessed.

        If the Knight fails, what was recorded and witnessed so far stays, everything after it
        is dropped, and the failure is recorded instead: nothing follows an unmade transition.
        """
        kept = draft
        for proposal in proposals:
            if isinstance(proposal, ProposedTransition):
                version = draft.loaded.version + 1
                motion_id = draft.loaded.motion.id
                request = draft.loaded.chain.request(motion_id, version, proposal)
                try:
                    statement = await self._witnessing.statement(request)
                except WitnessFailed as failure:
                    return self._plus(kept, on_witness_failure(kept.loaded.motion, str(failure)))
                draft = self._plus(draft, proposal.witnessed(statement.text))
                kept = draft
            else:
                draft = self._plus(draft, proposal)
        return draft

    async def append(
        self,
        draft: Draft,
        work: WorkChange,
        *,
        halt_epoch: int | None,
        capacity: int | None = None,
        in_turn: bool = False,
        fence: Fence | None = None,
    ) -> Loaded:
        """Commit a draft and what changes with it in the operational rows.

        Returns the motion as it stands then; raises as EventStore.append.
        """
        motion = draft.loaded.motion
        *before, last = draft.made
        append = Append(
            stream_id=motion.id,
            expected_version=draft.base_version,
            events=draft.stored,
            halt_epoch=halt_epoch,
            admitted_delta=draft.admitted_delta,
            capacity=capacity,
            in_turn=in_turn,
            fence=fence,
            work=work,
            made=(*before, Made(last.event, last.sha256, motion)),
        )
        try:
            await self._store.append(append)
        except GovernanceFlowError:
            self.forget(append.stream_id)
            raise
        self._remember(draft.loaded)
        if draft.loaded.version // SNAPSHOT_EVERY > draft.base_version // SNAPSHOT_EVERY:
            await self._keep_snapshot(draft.loaded)
        return draft.loaded

    async def _keep_snapshot(self, loaded: Loaded) -> None:
        try:
            await self._snapshots.keep(loaded)
        except StoreError as error:
            # The events are committed; without the snapshot the next load takes longer.
            log.warning("snapshot not kept", motion_id=str(loaded.motion.id), why=str(error))

    def _plus(self, draft: Draft, event: MotionEvent) -> Draft:
        base_version, (before, chain), events, made, delta = draft
        stored = self._mapper.to_stored(before.id, before.version + 1, event)
        motion = evolve(before, event, before.id)
        chain = extend_chain(chain, event, stored)
        if isinstance(event, TransitionWitnessed):
            delta += admitted_delta(event.from_state, event.to_state)
        return Draft(
            base_version,
            Loaded(motion, chain),
            (*events, stored),
            (*made, Made(event, chain.covered[-1].sha256)),
            delta,
        )

    def _remember(self, loaded: Loaded) -> None:
        motion_id = loaded.motion.id
        known = self._kept.get(motion_id)
        if known is not None and known.version > loaded.version:
            return
        if loaded.motion.terminal:
            self._kept.pop(motion_id, None)
            return
        self._kept[motion_id] = loaded
        self._kept.move_to_end(motion_id)
        if len(self._kept) > self._keep:
            self._kept.popitem(last=False)


def extend_chain(chain: WitnessChain, event: MotionEvent, stored: StoredEvent) -> WitnessChain:
    """Return the chain of statements after ``event``."""
    version, state = stored.originator_version, stored.state
    if isinstance(event, TransitionWitnessed):
        return chain.with_statement(version, state, event.statement)
    return chain.with_event(version, state)
