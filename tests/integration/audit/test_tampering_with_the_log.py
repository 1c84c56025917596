"""A superuser writes into the audit log's own tables: tiles, their position, checkpoints."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from governance_flow.application.audit.faults import AuditReport, Check
from governance_flow.domain.errors import LogInconsistent
from governance_flow.domain.keys import KeyRole
from governance_flow.transparency.checkpoints import Checkpoint, sign_checkpoint
from governance_flow.transparency.keys import Ed25519Signer
from governance_flow.transparency.merkle import HASH_BYTES
from governance_flow.transparency.notes import Note
from tests.support.tampering import KEPT, Forger

LAST = 135
LATE_SIZE = 134


def said(report: AuditReport, check: Check) -> str:
    """Return what a check said, which is the only one that found something."""
    assert {fault.check for fault in report.faults} == {check}, [str(f) for f in report.faults]
    return " ".join(str(fault) for fault in report.faults)


class TestTiles:
    def tile(self, forger: Forger) -> bytes:
        [(hashes,)] = forger.execute(f"SELECT hashes FROM {forger.table('log')}")
        return bytes(hashes)

    def put(self, forger: Forger, hashes: bytes) -> None:
        forger.execute(f"UPDATE {forger.table('log')} SET hashes = ?", hashes)

    @pytest.mark.parametrize("position", [1, 60, LAST])
    async def test_a_changed_hash_is_found_at_its_event(
        self, forger: Forger, position: int
    ) -> None:
        hashes = bytearray(self.tile(forger))
        hashes[position * HASH_BYTES + 5] ^= 1
        self.put(forger, bytes(hashes))
        report = await forger.verify()
        assert f"position {position}, stream" in said(report, Check.LOG)
        await forger.rebuild("log")
        assert (await forger.verify()).passed

    @pytest.mark.parametrize(
        "change",
        [
            lambda hashes: b"",
            lambda hashes: hashes[:HASH_BYTES],
            lambda hashes: hashes[:-HASH_BYTES],
            lambda hashes: hashes[:-1],
        ],
        ids=["empty", "one", "one less", "a byte less"],
    )
    async def test_a_shortened_one_is_found(
        self, forger: Forger, change: Callable[[bytes], bytes]
    ) -> None:
        self.put(forger, change(self.tile(forger)))
        report = await forger.verify()
        assert "tile 0 of level 0 of the audit log is missing, or not as long" in said(
            report, Check.LOG
        )

    @pytest.mark.parametrize("more", [b"x", bytes(HASH_BYTES), bytes(HASH_BYTES * 200)])
    async def test_a_lengthened_one_is_found(self, forger: Forger, more: bytes) -> None:
        self.put(forger, self.tile(forger) + more)
        report = await forger.verify()
        assert "tile 0 of level 0" in said(report, Check.LOG)

    async def test_a_deleted_one_is_found(self, forger: Forger) -> None:
        forger.execute(f"DELETE FROM {forger.table('log')}")
        report = await forger.verify()
        assert "tile 0 of level 0 of the audit log is missing" in said(report, Check.LOG)

    async def test_their_table_dropped_is_found(self, forger: Forger) -> None:
        forger.execute(f"DROP TABLE {forger.table('log')}")
        report = await forger.verify()
        assert "the tiles of the audit log cannot be read" in said(report, Check.LOG)

    async def test_one_altered_signs_no_checkpoint_but_halts_the_pipeline(
        self, forger: Forger
    ) -> None:
        hashes = bytearray(self.tile(forger))
        hashes[60 * HASH_BYTES] ^= 1
        self.put(forger, bytes(hashes))
        async with forger.opened() as played:
            await played.introduce()
            with pytest.raises(LogInconsistent, match="Nothing was signed, and the pipeline is"):
                await played.idle()
            status = await played.orchestrator.get_pipeline_status()
        assert status.halted
        assert forger.execute("SELECT max(size) FROM log_checkpoints") == [(LATE_SIZE,)]


class TestHowFarItHasCome:
    def put(self, forger: Forger, position: int) -> None:
        forger.execute("UPDATE projections SET position = ? WHERE name = 'log'", position)

    @pytest.mark.parametrize("position", [LAST + 1, LAST + 70_000, 2**62])
    async def test_further_than_the_events_is_found(self, forger: Forger, position: int) -> None:
        self.put(forger, position)
        report = await forger.verify()
        assert any(fault.check is Check.LOG for fault in report.faults)

    async def test_further_than_the_tiles_and_a_gap_to_fill(self, forger: Forger) -> None:
        """Nobody may be made to count to 2**62."""
        self.put(forger, 2**62)
        forger.change(LAST, position=2**61)
        report = await forger.verify()
        assert (Check.POSITIONS, LAST) in [(f.check, f.position) for f in report.faults]

    @pytest.mark.parametrize("position", [0, 60])
    async def test_less_far_is_found(self, forger: Forger, position: int) -> None:
        self.put(forger, position)
        report = await forger.verify()
        assert "holds more than the log has come to" in str(report.first_fault)

    @pytest.mark.parametrize("position", [-1, -2, -(2**62)])
    async def test_before_the_first_is_found(self, forger: Forger, position: int) -> None:
        self.put(forger, position)
        report = await forger.verify()
        assert report.first_fault is not None
        assert report.first_fault.check is Check.LOG


def checkpoint_of(forger: Forger, size: int = LATE_SIZE) -> str:
    [(note,)] = forger.execute("SELECT note FROM log_checkpoints WHERE size = ?", size)
    return str(note)


class TestCheckpoints:
    def put(self, forger: Forger, note: str, size: int = LATE_SIZE) -> None:
        forger.execute("UPDATE log_checkpoints SET note = ? WHERE size = ?", note, size)

    async def test_the_guards_refuse_to_change_or_delete_one(self, forger: Forger) -> None:
        """Unless they are taken away, as they are for all other tests here."""
        if forger.on_postgres:
            forger.execute("ALTER TABLE log_checkpoints ENABLE TRIGGER log_checkpoints_kept")
        else:
            pytest.skip("the triggers of a file are gone for good")
        for sql in ("DELETE FROM log_checkpoints", "UPDATE log_checkpoints SET size = size + 1"):
            with pytest.raises(Exception, match="checkpoints are kept for ever"):
                forger.execute(sql)

    async def test_an_altered_note(self, forger: Forger) -> None:
        self.put(forger, checkpoint_of(forger).replace("\n134\n", "\n133\n"))
        found = said(await forger.verify(), Check.CHECKPOINT)
        assert "the checkpoint of 133 events" in found
        assert "does not fit the text" in found

    @pytest.mark.parametrize("note", ["", "rubbish", "\n\n", "\N{EM DASH} x\n" * 200])
    async def test_no_note_at_all(self, forger: Forger, note: str) -> None:
        self.put(forger, note)
        assert "does not verify" in said(await forger.verify(), Check.CHECKPOINT)

    async def test_the_note_of_another_size(self, forger: Forger) -> None:
        self.put(forger, checkpoint_of(forger, 24))
        found = said(await forger.verify(), Check.CHECKPOINT)
        assert "it is kept as one of another size" in found

    @pytest.mark.parametrize("size", [-5, 0, 100, 2**62])
    async def test_an_altered_size(self, forger: Forger, size: int) -> None:
        forger.execute("UPDATE log_checkpoints SET size = ? WHERE size = ?", size, LATE_SIZE)
        found = said(await forger.verify(), Check.CHECKPOINT)
        assert "it is kept as one of another size" in found

    async def test_an_altered_root(self, forger: Forger) -> None:
        forger.execute(
            "UPDATE log_checkpoints SET root = ? WHERE size = ?", bytes(HASH_BYTES), LATE_SIZE
        )
        found = said(await forger.verify(), Check.CHECKPOINT)
        assert "its root stands in the table otherwise than in its note" in found

    @pytest.mark.parametrize("signed_at_us", [2**63 - 1, -(2**63)])
    async def test_an_absurd_time_is_only_for_people(
        self, forger: Forger, signed_at_us: int
    ) -> None:
        """No signature covers it, and nothing is decided by it."""
        forger.execute("UPDATE log_checkpoints SET signed_at_us = ?", signed_at_us)
        self.put(forger, "rubbish")
        found = said(await forger.verify(), Check.CHECKPOINT)
        assert "which is no time" in found

    async def test_a_note_that_is_no_text(self, forger: Forger) -> None:
        if forger.on_postgres:
            pytest.skip("the server refuses text that is none")
        forger.execute("UPDATE log_checkpoints SET note = CAST(X'FFFE00' AS TEXT)")
        report = await forger.verify()
        assert "cannot be read" in said(report, Check.CHECKPOINT)
        report = await forger.verify_with(forger.original.late)
        assert "cannot be read" in said(report, Check.CHECKPOINT)

    async def test_one_signed_by_another_key_of_the_same_name(self, forger: Forger) -> None:
        own = Ed25519Signer(forger.stolen(KeyRole.LOG).name, b"attacker".ljust(32))
        text = Note.parse(checkpoint_of(forger)).text
        self.put(forger, sign_checkpoint(Checkpoint.parse(text), [own]))
        found = said(await forger.verify(), Check.CHECKPOINT)
        assert "of which no key is known here" in found

    async def test_one_signed_by_the_knight(self, forger: Forger) -> None:
        text = Note.parse(checkpoint_of(forger)).text
        self.put(forger, sign_checkpoint(Checkpoint.parse(text), [forger.stolen(KeyRole.KNIGHT)]))
        assert "does not verify" in said(await forger.verify(), Check.CHECKPOINT)

    async def test_one_of_another_log_signed_by_the_true_key(self, forger: Forger) -> None:
        found = Checkpoint.parse(Note.parse(checkpoint_of(forger)).text)
        other = Checkpoint("another.example/log", found.size, found.root)
        self.put(forger, sign_checkpoint(other, [forger.stolen(KeyRole.LOG)]))
        assert "it is of the log" in said(await forger.verify(), Check.CHECKPOINT)

    async def test_one_that_was_added(self, forger: Forger) -> None:
        forger.execute(
            "INSERT INTO log_checkpoints SELECT 100, root, note, signed_at_us"
            " FROM log_checkpoints WHERE size = ?",
            LATE_SIZE,
        )
        report = await forger.verify()
        assert "it is kept as one of another size" in said(report, Check.CHECKPOINT)

    async def test_their_table_dropped(self, forger: Forger) -> None:
        forger.execute("DROP TABLE log_checkpoints")
        report = await forger.verify_with(forger.original.late)
        assert "cannot be read" in said(report, Check.CHECKPOINT)

    async def test_deleted_they_are_missed_by_nobody_but_whoever_kept_one(
        self, forger: Forger
    ) -> None:
        """By itself that changes nothing of what happened; the note says what is not covered."""
        forger.forget_promises()
        report = await forger.verify()
        assert report.passed
        [note] = report.notes
        assert "no checkpoint is left: were they deleted?" in note


async def test_a_kept_checkpoint_is_named_beside_one_of_the_store(forger: Forger) -> None:
    row = forger.row(60)
    forger.change(60, committed_at_us=row.committed_at_us - 1)
    await forger.rebuild("log")
    report = await forger.verify_with(forger.original.early, forger.original.late)
    messages = [fault.message for fault in report.faults if fault.check is Check.CHECKPOINT]
    assert [message.split(" does not fit")[0].split(",")[0] for message in messages] == [
        "the checkpoint of 133 events",
        KEPT,
    ]
