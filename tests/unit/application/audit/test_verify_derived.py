"""What verification does with a read model and operational rows that move, fail, or are lost."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast
from uuid import UUID

import pytest

from governance_flow.application.audit.derived import ListsCheck, ReadModelSide
from governance_flow.application.audit.faults import AuditReport, Check
from governance_flow.application.audit.verify import Auditor
from governance_flow.application.ports.audit import LogEnds
from governance_flow.application.ports.event_store import EventStore, Head
from governance_flow.application.ports.projection import MotionChange
from governance_flow.application.ports.read_model import PipelineCounts, ReadModel
from governance_flow.domain.errors import CorruptStream, StoreReadOnly, StoreUnavailable
from governance_flow.domain.states import GovernanceState
from tests.support.audit import MAPPER, MOTION, MemoryLog, adoption, doctored, log_of
from tests.support.motions import MOTION_ID, Scenario

S = GovernanceState
Failing = Callable[[], None]


@dataclass(frozen=True)
class Difference:
    motion_id: UUID | None
    words: str

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True)
class Snapshot:
    position: int


@dataclass
class FakeReadModel:
    """Fulfils what verification needs of a read model and of the check that knows its tables."""

    position: int
    completions: int = 0
    moves: int = 0
    differences: Sequence[Difference] = ()
    failure: Exception | None = None
    late_failure: Exception | None = None
    seen: list[MotionChange] = field(default_factory=list)

    async def catch_up(self, position: int) -> None:
        if self.failure is not None:
            raise self.failure

    async def counts(self, *, since: object) -> PipelineCounts:
        self.moves -= 1
        position = self.position + (1 if self.moves >= 0 else 0)
        return PipelineCounts(position, 0, 0.0, {}, 0, 0, None, self.completions, 0, 0)

    async def snapshot(self) -> Snapshot:
        return Snapshot(self.position)

    async def verify(
        self, snapshot: Snapshot, replay: AsyncIterable[MotionChange]
    ) -> AsyncIterator[Difference]:
        async for change in replay:
            self.seen.append(change)
            if self.late_failure is not None:
                raise self.late_failure
        for difference in self.differences:
            yield difference


async def verified(log: MemoryLog, read_model: FakeReadModel) -> AuditReport:
    side = ReadModelSide(cast("ReadModel", read_model), read_model)
    return await Auditor(log, MAPPER, read_model=side).verify()


def planning() -> MemoryLog:
    return log_of(Scenario().reaching(S.PLANNING), adoption())


async def test_motions_are_handed_on_as_they_stood_where_the_read_model_stands() -> None:
    log = planning()
    whole, part = FakeReadModel(len(log.rows), 1), FakeReadModel(4)
    assert (await verified(log, whole)).passed
    [change] = whole.seen
    assert (change.motion_id, change.before, change.poison) == (MOTION_ID, None, None)
    assert change.after is not None
    assert change.after.state is S.PLANNING
    theirs = [row.position for row in log.rows if row.stream_id == str(MOTION_ID)]
    assert [item.stored.id for item in change.events] == theirs
    await verified(log, part)
    [change] = part.seen
    assert change.after is not None
    assert change.after.state is S.DELIBERATING
    assert len(change.events) == 3


async def test_a_read_model_that_has_gone_on_is_compared_where_it_stands() -> None:
    """Workers append while the log is read; the head and the index are checked as they were."""
    later = planning()
    earlier = [row for row in later.rows if row.position <= 3]
    ends = LogEnds(
        replace(
            later.head or Head(0, 0, 0, halted=False, admitted=0),
            position=3,
            committed_at_us=earlier[-1].committed_at_us,
        ),
        last_position=3,
    )

    class Growing(MemoryLog):
        async def ends(self) -> LogEnds:
            return ends

    read_model = FakeReadModel(len(later.rows), 1)
    report = await verified(Growing(later.rows, later.head), read_model)
    assert [str(fault) for fault in report.faults] == []
    assert report.position == 3
    assert len(read_model.seen[0].events) == len(later.rows) - 1


async def test_a_motion_that_cannot_be_followed_is_handed_on_with_the_reason() -> None:
    read_model = FakeReadModel(100)
    await verified(doctored(planning(), 4, state=b"{}"), read_model)
    [change] = read_model.seen
    assert change.poison is not None
    assert "cannot be read" in change.poison
    assert len(change.events) == 2


async def test_differences_are_listed_behind_the_faults_of_the_log() -> None:
    log = planning()
    differences = [
        Difference(MOTION_ID, f"motion {MOTION_ID}: title should be A, but is B"),
        Difference(None, "all motions: counter PLANNING should be 1, but is 2"),
    ]
    log = doctored(log, 2, committed_at_us=0)
    report = await verified(log, FakeReadModel(len(log.rows), 1, differences=differences))
    assert [fault.check for fault in report.faults] == [
        Check.POSITIONS,
        Check.READ_MODEL,
        Check.READ_MODEL,
    ]
    assert str(report.faults[1]) == f"stream {MOTION}: title should be A, but is B"
    assert str(report.faults[2]) == "all motions: counter PLANNING should be 1, but is 2"


async def test_counters_are_not_compared_with_what_could_not_be_counted() -> None:
    log = doctored(planning(), 4, state=b"{}")
    differences = [Difference(None, "all motions: counter PLANNING should be 1, but is 2")]
    report = await verified(log, FakeReadModel(len(log.rows), 7, differences=differences))
    assert Check.READ_MODEL not in {fault.check for fault in report.faults}
    assert report.notes == (
        "the read model's counters were not compared: a stream cannot be followed",
    )


async def test_the_counts_of_the_last_day_are_compared() -> None:
    log = planning()
    report = await verified(log, FakeReadModel(len(log.rows), completions=5))
    assert str(report.first_fault) == "the read model: recent completions should be 1, but is 5"


async def test_a_read_model_that_moves_is_looked_at_again() -> None:
    log = planning()
    assert (await verified(log, FakeReadModel(len(log.rows), 1, moves=2))).passed


async def test_a_read_model_that_never_stands_still_is_compared_but_for_the_last_day() -> None:
    log = planning()
    differences = [Difference(None, "all motions: counter PLANNING should be 1, but is 2")]
    read_model = FakeReadModel(len(log.rows), 99, moves=1000, differences=differences)
    report = await verified(log, read_model)
    assert [str(fault) for fault in report.faults] == [str(differences[0])]
    assert report.notes == (
        "the counts of the last day were not compared: the read model never stood still",
    )


async def test_a_read_model_that_may_not_be_written_is_a_note_and_no_fault() -> None:
    report = await verified(planning(), FakeReadModel(0, failure=StoreReadOnly("look, no hands")))
    assert report.passed
    assert report.notes == ("the read model was not compared: look, no hands",)
    assert report.statements > 0


@pytest.mark.parametrize("when", ["failure", "late_failure"])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CorruptStream("the log has no event at 7"), "the log has no event at 7"),
        (KeyError("title"), "KeyError: 'title'"),
    ],
)
async def test_a_read_model_that_fails_is_a_fault(when: str, error: Exception, words: str) -> None:
    log = planning()
    report = await verified(log, FakeReadModel(len(log.rows), **cast("Any", {when: error})))
    assert report.fault_count == 1
    assert words in str(report.first_fault)
    assert report.statements > 0


@pytest.mark.parametrize("when", ["failure", "late_failure"])
async def test_a_store_that_is_gone_is_no_fault_of_its_contents(when: str) -> None:
    log = planning()
    gone = StoreUnavailable("gone")
    with pytest.raises(StoreUnavailable):
        await verified(log, FakeReadModel(len(log.rows), **cast("Any", {when: gone})))


async def test_a_log_that_cannot_be_read_is_not_blamed_on_the_read_model() -> None:
    class Gone(MemoryLog):
        async def by_stream(self, **_: Any) -> Any:
            raise ConnectionError("the log is gone")

    log = Gone(planning().rows, planning().head)
    with pytest.raises(ConnectionError):
        await verified(log, FakeReadModel(len(log.rows), 1))


async def test_without_a_head_row_the_read_model_is_not_compared() -> None:
    report = await verified(MemoryLog(planning().rows, None), FakeReadModel(0))
    assert report.fault_count == 1
    assert report.notes == ("the read model was not compared: the store has no head row",)


@dataclass
class FakeStore:
    """Operational rows that are lost, and a stream in which something may have happened."""

    log: MemoryLog
    lost: list[list[UUID]]
    news: list[bool]

    async def missing(self, motion_ids: Sequence[UUID]) -> list[UUID]:
        return [motion for motion in self.lost.pop(0) if motion in motion_ids]

    async def head(self) -> Any:
        return self.log.head

    async def read_stream(self, stream_id: UUID, *, after_version: int) -> list[Any]:
        return [object()] if self.news.pop(0) else []


async def lost_rows(log: MemoryLog, lost: list[list[UUID]], news: list[bool]) -> AuditReport:
    store = FakeStore(log, lost, news)
    read_model = FakeReadModel(len(log.rows), 1)
    side = ReadModelSide(cast("ReadModel", read_model), read_model)
    lists = ListsCheck(cast("EventStore", store), log, MAPPER, cast("ReadModel", read_model), store)
    return await Auditor(log, MAPPER, read_model=side, lists=lists).verify()


class TestLists:
    async def test_a_motion_on_no_list_is_found(self) -> None:
        report = await lost_rows(planning(), [[MOTION_ID], [MOTION_ID]], [False])
        assert report.fault_count == 1
        fault = report.faults[0]
        assert (fault.check, fault.stream_id) == (Check.OPERATIONS, MOTION)

    async def test_one_that_was_only_on_its_way_is_not(self) -> None:
        assert (await lost_rows(planning(), [[MOTION_ID], []], [])).passed

    async def test_one_that_moved_meanwhile_is_looked_at_again(self) -> None:
        lost = [[MOTION_ID], [MOTION_ID], [MOTION_ID]]
        assert not (await lost_rows(planning(), lost, [True, False])).passed
        lost = [[MOTION_ID], [MOTION_ID], []]
        assert (await lost_rows(planning(), lost, [True])).passed

    async def test_one_that_never_stands_still_is_not_called_lost(self) -> None:
        lost = [[MOTION_ID]] * 20
        assert (await lost_rows(planning(), lost, [True] * 20)).passed

    @pytest.mark.parametrize("state", [S.ACKNOWLEDGED, S.TABLED])
    async def test_one_that_waits_for_nobody_needs_no_list(self, state: S) -> None:
        log = log_of(Scenario().reaching(state), adoption())
        report = await lost_rows(log, [[MOTION_ID], [MOTION_ID]], [False])
        assert Check.OPERATIONS not in {fault.check for fault in report.faults}
