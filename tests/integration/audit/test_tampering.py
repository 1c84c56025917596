"""A superuser changes events, and then covers his tracks as far as he can without a key.

What he does is seen by the log's tiles; those he can rebuild. Then it is seen by the checkpoints in
the store, which he cannot sign, but delete. Then statements still give away most of what was done
to the middle of a motion; and a checkpoint that was kept elsewhere gives away everything.
"""

from __future__ import annotations

import re

import pytest

from governance_flow.application.audit.faults import AuditReport, Check, Fault
from tests.support.tampering import KEPT, Forger
from tests.support.tampering_attacks import (
    ATTACKS,
    OTHER_STREAM,
    Attack,
)

LATE = 133
"""The last position under a checkpoint."""

CAREFUL = [attack for attack in ATTACKS if not attack.crude]


def first_fault(report: AuditReport) -> Fault:
    assert report.first_fault is not None
    return report.first_fault


def misfit(report: AuditReport, name: str) -> range:
    """Return the positions among which one is not as that checkpoint says."""
    [said] = [
        found
        for fault in report.faults
        if fault.check is Check.CHECKPOINT and fault.message.startswith(name)
        for found in [re.search(r"at positions (\d+) to (\d+) one was changed", fault.message)]
        if found
    ]
    return range(int(said[1]), int(said[2]) + 1)


async def test_the_untouched_copy_passes(forger: Forger) -> None:
    report = await forger.verify_with(forger.original.early, forger.original.late)
    assert [str(fault) for fault in report.faults] == []
    assert report.checkpoints == 3
    assert report.statements == len(forger.of_topic("TRANSITION_WITNESSED"))


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
async def test_what_was_done_to_events_is_found_where_it_was_done(
    forger: Forger, attack: Attack
) -> None:
    position = attack.do(forger)
    report = await forger.verify()
    fault = first_fault(report)
    assert fault.check is attack.plain, str(fault)
    assert fault.position == position
    if fault.check is Check.LOG:
        row = forger.row(position)
        assert (fault.stream_id, fault.version) == (row.stream_id, row.stream_version)


@pytest.mark.parametrize("attack", CAREFUL, ids=str)
async def test_it_is_found_though_everything_derived_is_rebuilt_and_checkpoints_are_deleted(
    forger: Forger, attack: Attack
) -> None:
    position = attack.do(forger)
    await forger.rebuild()
    report = await forger.verify()
    assert position in misfit(report, "the checkpoint of 133 events")
    assert not any(fault.check is Check.LOG for fault in report.faults)

    forger.forget_promises()
    report = await forger.verify()
    found = report.first_fault.check if report.first_fault else None
    assert found is attack.bare, [str(fault) for fault in report.faults]
    # With the checkpoints gone something is said in any case: a fault, or that they are gone.
    missed = any("no checkpoint is left: were they deleted?" in note for note in report.notes)
    assert missed or report.first_fault is not None

    report = await forger.verify_with(forger.original.early, forger.original.late)
    assert position in misfit(report, KEPT)
    assert position >= misfit(report, KEPT).start > 1
    remembered = (forger.keys / "log.signed").read_text()
    assert position in misfit(await forger.verify_with(remembered), KEPT)


async def test_any_byte_of_any_event_is_found_and_named(forger: Forger) -> None:
    """One event after the other: the event, and nobody else, is named as not the one entered."""
    async with forger.opened() as played:
        for row in forger.rows()[:: 7 if forger.on_postgres else 2]:
            at = row.position * 31 % len(row.state)
            changed = row.state[:at] + bytes([row.state[at] ^ 1]) + row.state[at + 1 :]
            forger.change(row.position, state=changed)
            report = await played.flow.audit.auditor.verify()
            altered = [f for f in report.faults if f.check is Check.LOG]
            assert [(f.position, f.stream_id, f.version) for f in altered] == [
                (row.position, row.stream_id, row.stream_version)
            ]
            # Without its adoption the log has no key to verify a checkpoint with.
            if row.position <= LATE and row.topic != "KEY_ADOPTED":
                assert row.position in misfit(report, "the checkpoint of")
            forger.put(row)
        assert (await played.flow.audit.auditor.verify()).passed


class TestTheEnd:
    """Behind the last checkpoint nothing is promised to anybody yet."""

    async def test_a_cut_off_end_is_missed_by_the_log(self, forger: Forger) -> None:
        rows = forger.stream(forger.original.last)
        forger.delete(*(row.position for row in rows))
        forger.set_head()
        fault = first_fault(await forger.verify())
        assert (fault.check, fault.position) == (Check.LOG, rows[0].position)
        assert "has 2 more events than the store: they were deleted from its end" in fault.message

    async def test_a_cut_off_end_under_a_checkpoint_is_missed_by_that(self, forger: Forger) -> None:
        async with forger.opened() as played:
            latest = (await played.flow.audit.proofs.latest()).checkpoint
        forger.delete(*(row.position for row in forger.stream(forger.original.last)))
        forger.set_head()
        await forger.rebuild()
        fault = first_fault(await forger.verify())
        assert (fault.check, fault.position) == (Check.CHECKPOINT, 134)
        assert "was signed for 135 events, the store has 133" in fault.message
        forger.forget_promises()
        assert (await forger.verify()).passed
        fault = first_fault(await forger.verify_with(latest.note))
        assert fault.check is Check.CHECKPOINT
        assert fault.message.startswith(f"{KEPT} was signed for 135 events, the store has 133")

    async def test_a_cut_off_end_under_no_checkpoint_goes_unseen_once_all_is_rebuilt(
        self, forger: Forger
    ) -> None:
        """That is why one is signed every second."""
        forger.delete(*(row.position for row in forger.stream(forger.original.last)))
        forger.set_head()
        await forger.rebuild()
        assert (await forger.verify_with(forger.original.late)).passed

    async def test_an_added_transition_is_not_signed_by_the_knight(self, forger: Forger) -> None:
        end = forger.row(forger.last)
        for number, row in enumerate(forger.stream(forger.made.withdrawn), 1):
            forger.insert(
                row._replace(
                    position=end.position + number,
                    stream_id=OTHER_STREAM,
                    committed_at_us=end.committed_at_us,
                )
            )
        forger.set_head()
        fault = first_fault(await forger.verify())
        assert (fault.check, fault.stream_id, fault.version) == (Check.WITNESS, OTHER_STREAM, 2)
        assert fault.position == end.position + 2

    async def test_an_added_event_that_the_head_does_not_know_is_found(
        self, forger: Forger
    ) -> None:
        end = forger.row(forger.last)
        forger.insert(end._replace(position=end.position + 1, stream_version=3))
        fault = first_fault(await forger.verify())
        assert (fault.check, fault.position) == (Check.POSITIONS, end.position + 1)
        assert "stands behind the end of the log" in fault.message

    async def test_an_added_introduction_is_not_told_from_a_true_one(self, forger: Forger) -> None:
        """Nobody signs those: whoever may write the table can introduce motions."""
        end = forger.row(forger.last)
        true = forger.stream(forger.made.waiting)[0]
        forger.insert(
            true._replace(
                position=end.position + 1,
                stream_id=OTHER_STREAM,
                committed_at_us=end.committed_at_us,
            )
        )
        forger.set_head()
        report = await forger.verify()
        assert [fault.check for fault in report.faults] == [Check.OPERATIONS]
