"""Every way of tampering with a log, found by reading the log alone, and named where it is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from governance_flow.application.audit.faults import FAULTS_LISTED_MAX, Check
from governance_flow.application.audit.verify import Auditor
from governance_flow.application.ports.audit import StoredRow
from governance_flow.application.ports.event_store import Head
from governance_flow.domain.configuration import FlowConfiguration
from governance_flow.domain.events import (
    ConfigurationAdopted,
    PipelineHalted,
    PipelineResumed,
)
from governance_flow.domain.states import GovernanceState
from governance_flow.domain.witness import STATEMENT_HEADER, WitnessStatement
from governance_flow.transparency.notes import sign_note
from tests.support.audit import (
    MAPPER,
    MOTION,
    NOON_US,
    PIPELINE,
    MemoryLog,
    adoption,
    closed_up,
    doctored,
    log_of,
    verified,
    without,
)
from tests.support.keys import KNIGHT
from tests.support.motions import NOON, Scenario, person

S = GovernanceState


def envelope(number: int) -> dict[str, Any]:
    event_id = UUID(int=1_000_000 + number)
    return {
        "event_id": event_id,
        "correlation_id": event_id,
        "actor": person("the chair"),
        "timestamp": NOON,
    }


HALTED = PipelineHalted(**envelope(1), reason="a storm")
RESUMED = PipelineResumed(**envelope(2), reason="it is over")
RULES = FlowConfiguration()
ADOPTED = ConfigurationAdopted(
    **envelope(3), digest=RULES.digest(), configuration=RULES.model_dump(mode="json")
)


def whole() -> MemoryLog:
    """Return a log of a motion that went all the way, after some trouble."""
    motion = Scenario().reaching(S.EXECUTING)
    motion.fails("validation_error", "the plan does not hold")
    motion.succeeds()
    motion.fails("permission_error")
    motion.review("resume")
    while not motion.motion.terminal:
        motion.wait(minutes=1)
        motion.succeeds()
    return log_of(motion, adoption(), ADOPTED, HALTED, RESUMED)


BAD_STATEMENTS = ("", "trust me", f"{STATEMENT_HEADER}\n[]\n", f"{STATEMENT_HEADER}\n\ud800\n")

WHOLE = whole()
LAST = len(WHOLE.rows)
COVERED = st.sampled_from([row for row in WHOLE.rows if row.stream_id == MOTION][:-1])


def row_at(position: int) -> Any:
    return next(row for row in WHOLE.rows if row.position == position)


def transitions() -> list[int]:
    return [row.position for row in WHOLE.rows if row.topic == "TRANSITION_WITNESSED"]


def edited(state: bytes, **fields: Any) -> bytes:
    """Return an event's bytes with some fields changed, encoded as the mapper would."""
    return json.dumps({**json.loads(state), **fields}, separators=(",", ":")).encode()


async def test_an_honest_log_passes() -> None:
    report = await verified(WHOLE)
    assert report.passed
    assert report.first_fault is None
    assert (report.position, report.events, report.motions) == (LAST, LAST, 1)
    assert report.statements == len(transitions())


async def test_an_empty_log_passes() -> None:
    report = await verified(MemoryLog([], Head(0, 0, 0, halted=False, admitted=0)))
    assert report.passed
    assert report.events == 0


@given(row=COVERED, data=st.data())
async def test_any_changed_byte_of_a_covered_event_is_found_and_named(
    row: StoredRow, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(row.state) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != row.state[index]))
    state = row.state[:index] + bytes([byte]) + row.state[index + 1 :]
    fault = (await verified(doctored(WHOLE, row.position, state=state))).first_fault
    assert fault is not None
    assert (fault.stream_id, fault.position, fault.version) == (MOTION, row.position, row.version)


async def test_what_was_altered_is_named_before_what_came_of_it() -> None:
    """A routing under another id leaves the completion behind it without one."""
    row = next(row for row in WHOLE.rows if row.topic == "MOTION_ROUTED")
    log = doctored(WHOLE, row.position, state=edited(row.state, event_id=str(UUID(int=77))))
    report = await verified(log)
    assert [fault.version for fault in report.faults[:2]] == [row.version, row.version + 1]
    assert report.faults[0].check is Check.WITNESS
    assert "which is not open" in report.faults[1].message


@given(row=COVERED)
async def test_bytes_that_mean_the_same_are_not_the_same(row: StoredRow) -> None:
    report = await verified(doctored(WHOLE, row.position, state=row.state + b" "))
    assert [fault.check for fault in report.faults] == [Check.WITNESS]
    assert report.first_fault is not None
    assert report.first_fault.position == row.position
    assert "its stored bytes are not those that the statement at version" in str(report.first_fault)


@pytest.mark.parametrize("position", [1, LAST // 2, LAST])
async def test_a_deleted_event_is_missing_from_the_log(position: int) -> None:
    fault = (await verified(without(WHOLE, position))).first_fault
    assert fault is not None
    assert fault.check is Check.POSITIONS
    assert fault.position == position
    assert f"position {position} is missing" in fault.message


async def test_several_deleted_events_are_one_fault() -> None:
    report = await verified(without(WHOLE, 7, 8, 9))
    assert str(report.first_fault) == "position 7: positions 7 to 9 are missing from the log"


async def test_an_end_that_was_cut_off_is_missing() -> None:
    report = await verified(without(WHOLE, LAST - 1, LAST))
    assert f"positions {LAST - 1} to {LAST} are missing from the end" in str(report.first_fault)


@given(row=st.sampled_from([row for row in WHOLE.rows if row.stream_id == MOTION][:-1]))
async def test_a_deleted_event_is_missed_by_its_stream_when_positions_are_closed_up(
    row: StoredRow,
) -> None:
    fault = (await verified(closed_up(without(WHOLE, row.position)))).first_fault
    assert fault is not None
    assert fault.check is Check.STREAM
    assert fault.stream_id == MOTION
    assert f"version {row.version} is missing from the stream" in fault.message


async def test_a_motion_whose_end_was_cut_off_still_holds_a_place() -> None:
    """The log alone tells it by the number of places taken; its read model tells more."""
    fault = (await verified(closed_up(without(WHOLE, LAST)))).first_fault
    assert fault is not None
    assert fault.check is Check.HEAD
    assert fault.message == "the head row's number of admitted motions is 0, the events say 1"


@given(data=st.data())
async def test_two_swapped_events_are_found(data: st.DataObject) -> None:
    first, second = data.draw(
        st.lists(
            st.sampled_from([row for row in WHOLE.rows if row.stream_id == MOTION]),
            min_size=2,
            max_size=2,
            unique=True,
        )
    )
    swapped = doctored(WHOLE, first.position, topic=second.topic, state=second.state)
    swapped = doctored(swapped, second.position, topic=first.topic, state=first.state)
    fault = (await verified(swapped)).first_fault
    assert fault is not None
    assert fault.version is not None
    assert min(first.version, second.version) <= fault.version
    assert fault.stream_id == MOTION


async def test_two_swapped_positions_are_found() -> None:
    rows = [
        row._replace(position={10: 11, 11: 10}.get(row.position, row.position), committed_at_us=0)
        for row in WHOLE.rows
    ]
    head = WHOLE.head and replace(WHOLE.head, committed_at_us=0)
    fault = (await verified(MemoryLog(rows, head))).first_fault
    assert fault is not None
    assert "stands before its predecessor" in fault.message


async def test_an_inserted_event_is_found() -> None:
    extra = row_at(LAST)._replace(position=LAST + 1, version=row_at(LAST).version + 1)
    log = MemoryLog([*WHOLE.rows, extra], WHOLE.head)
    report = await verified(log)
    assert f"stands behind the end of the log: the head says {LAST}" in str(report.first_fault)
    assert any("MOTION_ROUTED" in str(f) or "after it ended" in str(f) for f in report.faults)


@pytest.mark.parametrize("position", [-3, 0])
async def test_a_position_no_store_gives_is_found(position: int) -> None:
    log = MemoryLog([row_at(5)._replace(position=position), *WHOLE.rows], WHOLE.head)
    fault = (await verified(log)).first_fault
    assert fault is not None
    assert fault.position == position
    assert "no event of ours has such a position" in fault.message


async def test_a_commit_time_that_goes_back_is_found() -> None:
    report = await verified(doctored(WHOLE, 9, committed_at_us=NOON_US))
    assert report.first_fault is not None
    assert report.first_fault.position == 9
    assert "before the event in front of it" in report.first_fault.message


async def test_a_commit_time_that_is_no_time_is_found() -> None:
    report = await verified(doctored(WHOLE, LAST, committed_at_us=2**63 - 1))
    assert "which is no time" in str(report.first_fault)


@pytest.mark.parametrize("version", [-1, 0, 2, 99])
async def test_a_changed_version_is_found(version: int) -> None:
    report = await verified(doctored(WHOLE, row_at(8).position, version=version))
    assert report.first_fault is not None
    assert report.first_fault.stream_id == MOTION


@pytest.mark.parametrize(
    "stream_id",
    ["", MOTION[:-1], MOTION.upper(), "no id at all", "\udcff\udcfe", str(UUID(int=7)), PIPELINE],
)
async def test_a_changed_stream_id_is_found(stream_id: str) -> None:
    report = await verified(doctored(WHOLE, 8, stream_id=stream_id))
    assert not report.passed
    assert report.first_fault is not None
    str(report.first_fault).encode()


@given(
    position=st.sampled_from([1, *range(3, LAST + 1)]),
    topic=st.sampled_from(sorted({r.topic for r in WHOLE.rows})),
)
async def test_a_changed_topic_is_found(position: int, topic: str) -> None:
    # Position 2 adopts the Knight's key: without that, no statement verifies either.
    if row_at(position).topic == topic:
        return
    report = await verified(doctored(WHOLE, position, topic=topic))
    assert report.first_fault is not None
    assert report.first_fault.position == position


async def test_an_unknown_topic_is_a_fault_that_can_be_printed() -> None:
    report = await verified(doctored(WHOLE, 8, topic="os.system\udcff"))
    assert "unknown topic" in str(report.first_fault)
    str(report.first_fault).encode()


def rewitnessed(position: int, **changes: Any) -> MemoryLog:
    """Return the log with a statement replaced by a well-formed one that says something else."""
    row = row_at(position)
    event = json.loads(row.state)
    body = {**WitnessStatement(event["statement"]).body(), **changes}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    statement = sign_note(f"{STATEMENT_HEADER}\n{text}\n", [KNIGHT])
    return doctored(WHOLE, position, state=edited(row.state, statement=statement))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("motion_id", str(UUID(int=7))),
        ("version", 4),
        ("from", "PLANNING"),
        ("to", "REJECTED"),
        ("cause", {"kind": "advance", "reason": "because", "event_id": None}),
        ("actor", {"id": "mallory", "authenticated_by": "system"}),
        ("timestamp", "2026-03-01T12:00:01+00:00"),
        ("until", "2026-03-01T12:00:01+00:00"),
        ("previous_statement", "0" * 64),
        ("covers", []),
        ("covers", "everything"),
        ("covers", [{"version": 1, "sha256": "0" * 64}]),
        ("more", "than was asked"),
    ],
)
@pytest.mark.parametrize("position", [transitions()[-1]])
async def test_a_statement_that_binds_something_else_is_found(
    position: int, field: str, value: object
) -> None:
    fault = (await verified(rewitnessed(position, **{field: value}))).first_fault
    assert fault is not None
    assert fault.check is Check.WITNESS
    assert fault.position == position
    assert field in fault.message


async def test_a_statement_of_another_transition_is_found() -> None:
    """A valid statement, but not the one that was made for this event."""
    first, second = transitions()[0], transitions()[1]
    statement = json.loads(row_at(second).state)["statement"]
    log = doctored(WHOLE, first, state=edited(row_at(first).state, statement=statement))
    fault = (await verified(log)).first_fault
    assert fault is not None
    assert fault.position == first
    assert "does not bind the transition" in fault.message


async def test_a_statement_whose_digest_was_altered_is_blamed_and_not_what_it_covers() -> None:
    first = transitions()[0]
    event = json.loads(row_at(first).state)
    covers = WitnessStatement(event["statement"]).body()["covers"]
    report = await verified(rewitnessed(first, covers=[{**covers[0], "sha256": "0" * 64}]))
    assert {fault.position for fault in report.faults} == {first}
    messages = " ".join(fault.message for fault in report.faults)
    assert "its statement covers other bytes of version 1" in messages
    assert "its stored bytes are not those" in messages


@pytest.mark.parametrize("statement", BAD_STATEMENTS)
async def test_words_that_are_no_statement_are_found(statement: str) -> None:
    position = transitions()[-1]
    state = edited(row_at(position).state, statement=statement)
    fault = (await verified(doctored(WHOLE, position, state=state))).first_fault
    assert fault is not None
    assert fault.position == position


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("event_id", str(UUID(int=1)), "is that of an earlier event"),
        ("correlation_id", str(UUID(int=9)), "is not the motion's"),
        ("causation_id", str(UUID(int=99)), "which is no earlier event of this motion"),
    ],
)
async def test_ids_that_do_not_fit_are_found_even_where_no_statement_follows(
    field: str, value: str, words: str
) -> None:
    state = edited(row_at(LAST).state, **{field: value})
    fault = (await verified(doctored(WHOLE, LAST, state=state))).first_fault
    assert fault is not None
    assert fault.position == LAST
    assert words in fault.message


async def test_a_cause_that_is_no_earlier_event_is_found() -> None:
    position = transitions()[-1]
    event = json.loads(row_at(position).state)
    cause = {**event["cause"], "event_id": str(UUID(int=99))}
    log = doctored(WHOLE, position, state=edited(row_at(position).state, cause=cause))
    report = await verified(log)
    assert any("which is no earlier event" in fault.message for fault in report.faults)


async def test_an_event_that_breaks_the_rules_in_an_unforeseen_way_is_a_fault() -> None:
    class Broken:
        def to_stored(self, *_: Any) -> Any:
            raise AssertionError

        def to_event(self, stored: Any) -> Any:
            raise ZeroDivisionError("one by none")

    report = await Auditor(WHOLE, Broken()).verify()
    said = [str(fault) for fault in report.faults]
    assert any("cannot be applied: ZeroDivisionError: one by none" in fault for fault in said)
    assert "an adoption of a key cannot be read: one by none" in said[0]


class TestPipelineStream:
    async def test_a_halt_turned_into_a_resumption_is_found(self) -> None:
        position = next(row.position for row in WHOLE.rows if row.topic == "PIPELINE_HALTED")
        fault = (await verified(doctored(WHOLE, position, topic="PIPELINE_RESUMED"))).first_fault
        assert fault is not None
        assert fault.check is Check.PIPELINE
        assert fault.position == position

    async def test_a_changed_configuration_is_found(self) -> None:
        row = next(row for row in WHOLE.rows if row.topic == "CONFIGURATION_ADOPTED")
        configuration = {**json.loads(row.state)["configuration"], "max_concurrent_motions": 7}
        state = edited(row.state, configuration=configuration)
        fault = (await verified(doctored(WHOLE, row.position, state=state))).first_fault
        assert fault is not None
        assert fault.check is Check.PIPELINE
        assert "digest" in fault.message

    async def test_a_motions_event_in_it_is_found(self) -> None:
        row = next(row for row in WHOLE.rows if row.topic == "CONFIGURATION_ADOPTED")
        introduced = row_at(1)
        log = doctored(WHOLE, row.position, topic=introduced.topic, state=introduced.state)
        fault = (await verified(log)).first_fault
        assert fault is not None
        assert "does not belong into the pipeline's stream" in fault.message

    async def test_one_of_its_events_in_a_motion_is_found(self) -> None:
        log = doctored(WHOLE, LAST, topic=HALTED.topic, state=HALTED.model_dump_json().encode())
        fault = (await verified(log)).first_fault
        assert fault is not None
        assert "does not belong into a motion's stream" in fault.message


class TestHead:
    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("position", LAST - 1, f"the head says {LAST - 1}"),
            ("position", LAST + 1, f"position {LAST + 1} is missing from the end"),
            ("committed_at_us", NOON_US, "the head says the last commit was at"),
            ("halt_epoch", 7, "the head row's halt epoch is 7, the events say 2"),
            ("halted", True, "the head row's halted is True, the events say False"),
            ("admitted", 5, "the head row's number of admitted motions is 5, the events say 0"),
        ],
    )
    async def test_a_changed_field_is_found(self, field: str, value: Any, words: str) -> None:
        assert WHOLE.head is not None
        head = replace(WHOLE.head, **{field: value})
        report = await verified(MemoryLog(WHOLE.rows, head))
        assert report.fault_count == 1
        assert words in str(report.first_fault)

    async def test_a_missing_one_is_found(self) -> None:
        report = await verified(MemoryLog(WHOLE.rows, None))
        assert report.fault_count == 1
        assert "the head row is missing" in str(report.first_fault)

    async def test_it_is_not_blamed_for_a_stream_that_cannot_be_read(self) -> None:
        report = await verified(doctored(WHOLE, transitions()[0], state=b"{}"))
        assert {fault.check for fault in report.faults} == {Check.STREAM, Check.WITNESS}
        planning = log_of(Scenario().reaching(S.PLANNING), adoption())
        report = await verified(doctored(planning, 2, state=b"{}"))
        assert Check.HEAD not in {fault.check for fault in report.faults}
        halted = next(row.position for row in WHOLE.rows if row.topic == "PIPELINE_HALTED")
        report = await verified(doctored(WHOLE, halted, state=b"{}"))
        assert [fault.check for fault in report.faults] == [Check.PIPELINE]

    async def test_what_came_after_the_audit_began_does_not_count(self) -> None:
        """Workers append while it reads: the head it saw first is the end for it."""
        early = closed_up(without(WHOLE, *range(LAST - 3, LAST + 1)))
        assert early.head is not None
        early.head = replace(early.head, admitted=1)
        ends = await early.ends()

        class Growing(MemoryLog):
            async def ends(self) -> Any:
                return ends

        report = await verified(Growing(WHOLE.rows, WHOLE.head))
        assert report.passed, [str(fault) for fault in report.faults]
        assert report.position == LAST - 4


async def test_rows_that_differ_by_index_are_found() -> None:
    class Indexed(MemoryLog):
        async def by_stream(self, **kwargs: Any) -> Any:
            page = await super().by_stream(**kwargs)
            return [r._replace(committed_at_us=1) if r.position == 9 else r for r in page]

    report = await verified(Indexed(WHOLE.rows, WHOLE.head))
    assert report.fault_count == 1
    assert "its index is damaged" in str(report.first_fault)


async def test_more_faults_than_anybody_reads_are_counted_and_not_listed() -> None:
    rows = [
        WHOLE.rows[0]._replace(position=n, stream_id=str(UUID(int=n)), version=3)
        for n in range(1, 251)
    ]
    report = await verified(MemoryLog(rows, WHOLE.head))
    assert len(report.faults) == FAULTS_LISTED_MAX
    assert report.fault_count >= 250


async def test_progress_counts_both_readings_and_ends_at_the_total() -> None:
    seen: list[tuple[int, int]] = []
    await Auditor(WHOLE, MAPPER).verify(lambda done, total: seen.append((done, total)))
    assert seen[-1] == (2 * LAST, 2 * LAST)
    assert seen == sorted(seen)
