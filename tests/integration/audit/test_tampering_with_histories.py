"""A superuser puts another history in the place of the true one: an older one, a second, a forged.

Each of them is whole and well signed. Only what somebody kept elsewhere can contradict it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from governance_flow.application.audit.expected import Expected
from governance_flow.application.audit.faults import Check
from governance_flow.domain.errors import LogInconsistent
from governance_flow.domain.events import PIPELINE_ID
from governance_flow.domain.keys import KeyRole, adoption_text
from governance_flow.infrastructure.mapper import JsonEventMapper
from governance_flow.transparency.keys import Ed25519Signer
from governance_flow.transparency.notes import sign_note
from tests.support.flows import Postbox
from tests.support.tampering import KEPT, Forger, Original, Row, signed_now

SYSTEM_HALT = "no checkpoint can be signed"


@pytest.fixture
def other(original: Original, tmp_path: Path) -> Iterator[Forger]:
    """Return a second copy of the same store."""
    with original.copied(tmp_path / "other") as copy:
        yield copy


async def gone_on(forger: Forger, *titles: str) -> str:
    """Let the store go on honestly; return the checkpoint that was signed then."""
    async with forger.opened() as played:
        for title in titles:
            await played.introduce(title)
        return await signed_now(played)


async def worked_on(forger: Forger) -> tuple[bool, list[str]]:
    """Let a worker go on; return whether the pipeline is halted, and what alerts say.

    Alerts count whether they have arrived or are still on their way.
    """
    postbox = Postbox()
    async with forger.opened(sinks=[postbox]) as played:
        await played.introduce("One more")
        with suppress(LogInconsistent):
            await played.idle()
        halted = (await played.orchestrator.get_pipeline_status()).halted
    waiting = [str(body) for (body,) in forger.execute("SELECT body FROM alerts_outbox")]
    return halted, [*waiting, *map(str, postbox.alerts)]


class TestAnOlderBackup:
    async def test_it_is_told_by_a_checkpoint_that_was_kept(
        self, forger: Forger, other: Forger
    ) -> None:
        note = await gone_on(forger, "one", "two")
        assert (await other.verify_with(other.original.late)).passed
        report = await other.verify_with(note)
        assert report.first_fault is not None
        assert report.first_fault.check is Check.CHECKPOINT
        assert report.first_fault.message.startswith(f"{KEPT} was signed for 137 events")
        assert "or an older backup was restored" in report.first_fault.message
        assert report.first_fault.position == 136

    async def test_nothing_in_the_store_itself_tells_it(
        self, forger: Forger, other: Forger
    ) -> None:
        await gone_on(forger, "one", "two")
        assert (await other.verify()).passed

    async def test_the_worker_that_signed_more_before_halts_it(
        self, forger: Forger, original: Original, tmp_path: Path
    ) -> None:
        note = await gone_on(forger, "one", "two", "three", "four")
        with original.copied(tmp_path / "backup", keys=forger.keys) as restored:
            halted, alerts = await worked_on(restored)
            assert halted
            assert any(SYSTEM_HALT in alert for alert in alerts)
            assert restored.execute("SELECT max(size) FROM log_checkpoints") == [(134,)]
            assert (restored.keys / "log.signed").read_text() == note

    async def test_events_alone_put_back_are_told_by_the_stores_own_checkpoints(
        self, forger: Forger, other: Forger
    ) -> None:
        await gone_on(forger, "one", "two")
        rows = other.rows()
        forger.execute("DELETE FROM events")
        for row in rows:
            forger.insert(row)
        forger.set_head()
        await forger.rebuild()
        report = await forger.verify()
        assert report.first_fault is not None
        assert report.first_fault.check is Check.CHECKPOINT
        assert "was signed for 137 events, the store has 135" in report.first_fault.message


class TestAFork:
    async def test_each_copy_passes_and_neither_with_the_checkpoint_of_the_other(
        self, forger: Forger, other: Forger
    ) -> None:
        mine = await gone_on(forger, "one")
        theirs = await gone_on(other, "another")
        for copy, own, foreign in ((forger, mine, theirs), (other, theirs, mine)):
            assert (await copy.verify_with(own)).passed
            report = await copy.verify_with(foreign)
            assert [fault.check for fault in report.faults] == [Check.CHECKPOINT]
            assert str(report.first_fault).startswith(f"position 136: {KEPT} does not fit")
            assert "at positions 1 to 136" in str(report.first_fault)
            report = await copy.verify_with(copy.original.late, foreign)
            assert "at positions 134 to 136" in str(report.first_fault)
            report = await copy.verify_with(own, foreign)
            assert "the log's key has signed two histories" in str(report.first_fault)

    async def test_a_checkpoint_of_the_longer_one_does_not_fit_the_shorter(
        self, forger: Forger, other: Forger
    ) -> None:
        mine = await gone_on(forger, "one", "two")
        theirs = await gone_on(other, "another")
        report = await other.verify_with(mine)
        assert "was signed for 137 events, the store has 136" in str(report.first_fault)
        report = await forger.verify_with(theirs)
        assert "does not fit the store" in str(report.first_fault)

    async def test_one_key_signs_only_one_of_them(
        self, forger: Forger, original: Original, tmp_path: Path
    ) -> None:
        await gone_on(forger, "one")
        with original.copied(tmp_path / "fork", keys=forger.keys) as fork:
            with pytest.raises(LogInconsistent, match="the pipeline is halted"):
                await gone_on(fork, "another")
            async with fork.opened() as played:
                assert (await played.orchestrator.get_pipeline_status()).halted


async def rewritten(forger: Forger) -> None:
    """Let a motion have said something else from the beginning, and sign everything anew."""
    motion = forger.made.acknowledged

    def altered(row: Row) -> Row:
        return row.saying(title="Another bridge") if row.stream_version == 1 else row

    for row in forger.witnessed_again(motion, altered):
        forger.put(row)
    await forger.rebuild()
    forger.forget_promises()


class TestAFullRewrite:
    async def test_with_both_stolen_keys_it_passes_unless_a_checkpoint_was_kept(
        self, forger: Forger
    ) -> None:
        await rewritten(forger)
        forger.forget_what_was_signed()
        forged = await gone_on(forger)
        report = await forger.verify_with(forged)
        assert [str(fault) for fault in report.faults] == []
        assert report.notes == ()
        log, knight = (forger.stolen(role).verifier for role in (KeyRole.LOG, KeyRole.KNIGHT))
        assert (await forger.verify(Expected(log_key=log, knight_key=knight))).passed

        report = await forger.verify_with(forger.original.late)
        assert [fault.check for fault in report.faults] == [Check.CHECKPOINT]
        assert str(report.first_fault).startswith(f"position 133: {KEPT} does not fit")
        assert (await forger.verify_with(forger.original.early)).passed, "it is older than the lie"

    async def test_with_the_knights_key_alone_nothing_signs_the_log(self, forger: Forger) -> None:
        """Where the true log's key is, what it signed before is remembered."""
        await rewritten(forger)
        with pytest.raises(LogInconsistent, match="events were changed"):
            await gone_on(forger)
        assert forger.execute("SELECT count(*) FROM log_checkpoints") == [(0,)]

    async def test_with_keys_of_his_own_it_passes_unless_a_key_or_a_checkpoint_was_kept(
        self, forger: Forger
    ) -> None:
        true = {role: forger.stolen(role).verifier for role in KeyRole}
        late = forger.original.late
        own = adopt_own_keys(forger)
        for motion in forger.motions():
            for row in forger.witnessed_again(motion, lambda row: row, own):
                forger.put(row)
        await forger.rebuild()
        forger.forget_promises()
        forger.forget_what_was_signed()
        await gone_on(forger)
        assert (await forger.verify()).passed

        for expected in (
            Expected(log_key=true[KeyRole.LOG]),
            Expected(knight_key=true[KeyRole.KNIGHT]),
            Expected(checkpoints=[(KEPT, late)]),
            Expected(log_key=true[KeyRole.LOG], checkpoints=[(KEPT, late)]),
        ):
            report = await forger.verify(expected)
            assert report.first_fault is not None
            assert report.first_fault.check is Check.KEYS
        report = await forger.verify(Expected(checkpoints=[(KEPT, late)]))
        assert "or the store's key was replaced" in str(report.first_fault)


def adopt_own_keys(forger: Forger) -> Ed25519Signer:
    """Put keys of the forger's in the place of the true ones; return the one of his Knight."""
    own = {}
    for row in forger.stream(PIPELINE_ID):
        if row.topic != "KEY_ADOPTED":
            continue
        role = KeyRole(row.event["role"])
        key = own[role] = Ed25519Signer(forger.stolen(role).name, f"own {role}".encode().ljust(32))
        event = JsonEventMapper().to_event(row.stored)
        text = adoption_text(role, key.vkey, None, event.timestamp)
        forger.put(row.saying(key=key.vkey, statement=sign_note(text, [key])))
        (forger.keys / f"{role}.key").write_text(f"{key.private_key()}\n")
    return own[KeyRole.KNIGHT]


class TestTheWorker:
    async def test_it_signs_nothing_over_altered_events_though_no_checkpoint_is_left(
        self, forger: Forger
    ) -> None:
        """What is remembered beside the log's key is out of the superuser's reach."""
        row = forger.stream(forger.made.waiting)[0]
        forger.put(row.saying(title="Mend my own bridge"))
        await forger.rebuild()
        forger.forget_promises()
        assert (await forger.verify()).passed, "nothing else would have told"
        halted, alerts = await worked_on(forger)
        assert halted
        assert any(SYSTEM_HALT in alert for alert in alerts)
        assert forger.execute("SELECT count(*) FROM log_checkpoints") == [(0,)]
        assert (forger.keys / "log.signed").read_text() == forger.original.late

    async def test_it_goes_on_where_nothing_was_altered(self, forger: Forger) -> None:
        halted, alerts = await worked_on(forger)
        assert not halted
        assert not any(SYSTEM_HALT in alert for alert in alerts)
        [(size,)] = forger.execute("SELECT max(size) FROM log_checkpoints")
        assert size > 136
