"""A superuser forges statements, and which key the store believes."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import pytest

from governance_flow.application.audit.expected import Expected
from governance_flow.application.audit.faults import Check, Fault
from governance_flow.domain.events import PIPELINE_ID
from governance_flow.domain.keys import KeyRole, adoption_text
from governance_flow.infrastructure.mapper import JsonEventMapper
from governance_flow.transparency.keys import Ed25519Signer, Ed25519Verifier
from governance_flow.transparency.notes import Note, sign_note
from tests.support.flows import ZOE
from tests.support.motions import INTRODUCER, person
from tests.support.tampering import KEPT, Forger, Row

MAPPER = JsonEventMapper()


def transition(forger: Forger, motion_id: UUID, number: int = 0) -> Row:
    """Return one of the transitions of a motion."""
    rows = [r for r in forger.stream(motion_id) if r.topic == "TRANSITION_WITNESSED"]
    return rows[number]


def namesake(forger: Forger, role: KeyRole) -> Ed25519Signer:
    """Return the attacker's own key, which bears the name of the true one."""
    return Ed25519Signer(forger.stolen(role).name, b"attacker".ljust(32))


async def first_fault(forger: Forger, expected: Expected | None = None) -> Fault:
    report = await forger.verify(expected or Expected())
    assert report.first_fault is not None
    return report.first_fault


async def first_fault_when_all_is_rebuilt(forger: Forger) -> Fault:
    """Return what is found without the help of tiles and checkpoints."""
    await forger.rebuild()
    forger.forget_promises()
    return await first_fault(forger)


class TestStatements:
    async def in_place_of(self, forger: Forger, row: Row, statement: str) -> None:
        """Replace a statement, and expect it to be found, whatever is rebuilt."""
        assert statement != row.event["statement"]
        forger.put(row.saying(statement=statement))
        fault = await first_fault(forger)
        assert (fault.check, fault.position) == (Check.LOG, row.position)
        fault = await first_fault_when_all_is_rebuilt(forger)
        assert (fault.check, fault.position) == (Check.WITNESS, row.position), str(fault)
        assert (fault.stream_id, fault.version) == (row.stream_id, row.stream_version)

    async def test_one_of_another_motion(self, forger: Forger) -> None:
        row = transition(forger, forger.made.acknowledged, 1)
        other = transition(forger, forger.original.first, 1)
        await self.in_place_of(forger, row, other.event["statement"])

    async def test_an_older_one_of_the_same_motion(self, forger: Forger) -> None:
        row = transition(forger, forger.made.acknowledged, 2)
        older = transition(forger, forger.made.acknowledged, 1)
        await self.in_place_of(forger, row, older.event["statement"])

    async def test_the_last_one_by_an_older_one(self, forger: Forger) -> None:
        row = transition(forger, forger.made.acknowledged, -1)
        older = transition(forger, forger.made.acknowledged, -2)
        await self.in_place_of(forger, row, older.event["statement"])

    @pytest.mark.parametrize("number", [0, 3, -1])
    async def test_one_that_the_knight_signed_and_whose_append_lost_a_race(
        self, forger: Forger, number: int
    ) -> None:
        """The same transition of the same motion at the same version, decided a second earlier."""
        row = transition(forger, forger.made.acknowledged, number)
        lost = lost_race(forger, row)
        await self.in_place_of(forger, row, lost.event["statement"])

    async def test_one_that_lost_a_race_with_all_of_its_event(self, forger: Forger) -> None:
        """What follows was witnessed over the one that won."""
        row = transition(forger, forger.made.acknowledged, 3)
        forger.put(lost_race(forger, row))
        assert (await first_fault(forger)).position == row.position
        fault = await first_fault_when_all_is_rebuilt(forger)
        assert (fault.check, fault.position) == (Check.WITNESS, row.position)

    async def test_one_that_lost_a_race_at_the_end_of_a_motion_stands_under_a_checkpoint_only(
        self, forger: Forger
    ) -> None:
        """It is signed, it binds, and nothing follows on it: only the log knows which one won."""
        row = transition(forger, forger.made.withdrawn, -1)
        forger.put(lost_race(forger, row))
        fault = await first_fault(forger)
        assert (fault.check, fault.position) == (Check.LOG, row.position)
        await forger.rebuild()
        assert (await first_fault(forger)).check is Check.CHECKPOINT
        forger.forget_promises()
        assert (await forger.verify()).passed
        report = await forger.verify_with(forger.original.late)
        assert [fault.message.startswith(KEPT) for fault in report.faults] == [True]


def lost_race(forger: Forger, row: Row) -> Row:
    """Return a transition as it would stand there had it been decided a second earlier."""

    def earlier(other: Row) -> Row:
        if other.position != row.position:
            return other
        event = MAPPER.to_event(other.stored)
        before = event.timestamp.replace(year=event.timestamp.year - 1)
        return other.saying(timestamp=before.isoformat().replace("+00:00", "Z"))

    rows = forger.witnessed_again(UUID(row.stream_id), earlier)
    [lost] = [other for other in rows if other.position == row.position]
    return lost


class TestSignatures:
    """Of the last statement of a motion, which no other covers."""

    async def unsigned(self, forger: Forger, statement: str) -> Fault:
        row = transition(forger, forger.made.rejected, -1)
        forger.put(row.saying(statement=statement))
        assert (await first_fault(forger)).check is Check.LOG
        fault = await first_fault_when_all_is_rebuilt(forger)
        assert (fault.check, fault.position) == (Check.SIGNATURE, row.position)
        assert (fault.stream_id, fault.version) == (row.stream_id, row.stream_version)
        assert "is not signed by the Knight's key of that time" in fault.message
        return fault

    async def test_one_taken_away(self, forger: Forger) -> None:
        note = transition(forger, forger.made.rejected, -1).event["statement"]
        fault = await self.unsigned(forger, Note.parse(note).text)
        assert "no empty line" in fault.message

    async def test_one_by_another_key_of_the_same_name(self, forger: Forger) -> None:
        note = transition(forger, forger.made.rejected, -1).event["statement"]
        text = Note.parse(note).text
        fault = await self.unsigned(forger, sign_note(text, [namesake(forger, KeyRole.KNIGHT)]))
        assert "of which no key is known here" in fault.message

    async def test_one_by_the_log(self, forger: Forger) -> None:
        note = transition(forger, forger.made.rejected, -1).event["statement"]
        await self.unsigned(forger, sign_note(Note.parse(note).text, [forger.stolen(KeyRole.LOG)]))

    async def test_one_over_another_text(self, forger: Forger) -> None:
        note = Note.parse(transition(forger, forger.made.rejected, -1).event["statement"])
        other = Note.parse(transition(forger, forger.made.rejected, 0).event["statement"])
        fault = await self.unsigned(forger, str(replace(note, signatures=other.signatures)))
        assert "does not fit the text" in fault.message


def adoption(forger: Forger, role: KeyRole) -> Row:
    [row] = [r for r in forger.of_topic("KEY_ADOPTED") if r.event["role"] == role]
    return row


def adopting(forger: Forger, row: Row, key: Ed25519Signer, previous: str | None = None) -> Row:
    """Return the event with which the attacker's key is adopted, signed by itself alone."""
    event = MAPPER.to_event(row.stored)
    text = adoption_text(KeyRole(row.event["role"]), key.vkey, previous, event.timestamp)
    return row.saying(key=key.vkey, statement=sign_note(text, [key]))


class TestAdoptions:
    async def test_the_knights_removed(self, forger: Forger) -> None:
        row = adoption(forger, KeyRole.KNIGHT)
        forger.delete(row.position)
        forger.close_versions(row.stream_id)
        forger.close_up()
        fault = await first_fault(forger)
        assert (fault.check, fault.position) == (Check.LOG, row.position)
        fault = await first_fault_when_all_is_rebuilt(forger)
        assert fault.check is Check.SIGNATURE
        assert "no key of the Knight was in force" in fault.message

    async def test_the_logs_removed(self, forger: Forger) -> None:
        row = adoption(forger, KeyRole.LOG)
        forger.delete(row.position)
        forger.close_versions(row.stream_id)
        forger.close_up()
        await forger.rebuild()
        fault = await first_fault(forger)
        assert fault.check is Check.CHECKPOINT
        assert "no key of the log is known that could have signed it" in fault.message
        forger.forget_promises()
        report = await forger.verify_with(forger.original.late)
        assert [fault.check for fault in report.faults] == [Check.KEYS]
        assert "no log's key stands in the store" in str(report.first_fault)
        key = forger.stolen(KeyRole.LOG).verifier
        kept = Expected(log_key=key, checkpoints=[(KEPT, forger.original.late)])
        found = {fault.check for fault in (await forger.verify(kept)).faults}
        assert found == {Check.KEYS, Check.CHECKPOINT}

    @pytest.mark.parametrize("role", KeyRole)
    async def test_one_altered_adopts_nothing(self, forger: Forger, role: KeyRole) -> None:
        row = adoption(forger, role)
        own = namesake(forger, role)
        forger.put(row.saying(key=own.vkey))
        fault = await first_fault(forger)
        assert (fault.check, fault.position) == (Check.KEYS, row.position)
        assert (fault.stream_id, fault.version) == (row.stream_id, row.stream_version)
        assert f"the adoption of a key for the {role} does not hold" in fault.message

    async def test_one_whose_time_was_altered_adopts_nothing(self, forger: Forger) -> None:
        row = adoption(forger, KeyRole.KNIGHT)
        forger.put(row.saying(timestamp="2025-01-01T12:00:00Z"))
        fault = await first_fault(forger)
        assert (fault.check, fault.position) == (Check.KEYS, row.position)
        assert "its statement says something else than the event" in fault.message

    async def test_the_attackers_knight_in_place_of_the_true_one(self, forger: Forger) -> None:
        row = adoption(forger, KeyRole.KNIGHT)
        own = namesake(forger, KeyRole.KNIGHT)
        forger.put(adopting(forger, row, own))
        assert (await first_fault(forger)).check is Check.LOG
        fault = await first_fault_when_all_is_rebuilt(forger)
        assert fault.check is Check.SIGNATURE
        true = Expected(knight_key=forger.stolen(KeyRole.KNIGHT).verifier)
        fault = await first_fault(forger, true)
        assert fault.check is Check.KEYS
        assert f"the store has adopted: {own.vkey}" in fault.message

    async def test_the_attackers_log_key_in_place_of_the_true_one(self, forger: Forger) -> None:
        row = adoption(forger, KeyRole.LOG)
        forger.put(adopting(forger, row, namesake(forger, KeyRole.LOG)))
        await forger.rebuild()
        fault = await first_fault(forger)
        assert fault.check is Check.CHECKPOINT
        assert "does not verify" in fault.message

    @pytest.mark.parametrize("role", KeyRole)
    @pytest.mark.parametrize("knows_the_one_before", [False, True])
    async def test_the_attackers_added(
        self, forger: Forger, role: KeyRole, *, knows_the_one_before: bool
    ) -> None:
        """It follows in the pipeline's stream, and is signed by itself alone."""
        end = forger.stream(PIPELINE_ID)[-1]
        row = adoption(forger, role)
        previous = row.event["key"] if knows_the_one_before else None
        added = adopting(forger, row, namesake(forger, role), previous)._replace(
            position=forger.last + 1,
            stream_version=end.stream_version + 1,
            committed_at_us=forger.row(forger.last).committed_at_us,
        )
        forger.insert(added.saying(event_id=str(UUID(int=2**100))))
        forger.set_head()
        fault = await first_fault(forger)
        assert (fault.check, fault.position) == (Check.KEYS, added.position)
        says = {
            KeyRole.KNIGHT: "not signed by both the new key and the one before it",
            KeyRole.LOG: "the log has a key already, which is never replaced",
        }
        assert says[role] in fault.message


class TestARotation:
    """Statements are believed by the key that was in force at their position, and no other."""

    async def test_an_old_key_signs_nothing_any_more(self, forger: Forger) -> None:
        old = forger.stolen(KeyRole.KNIGHT)
        async with forger.opened() as played:
            await played.flow.keys.rotate(KeyRole.KNIGHT, person(ZOE))
            motion = await played.introduce("A new one")
            await played.orchestrator.withdraw_motion(motion, INTRODUCER)
            assert (await played.flow.audit.auditor.verify()).passed
        row = transition(forger, motion, -1)
        forger.put(
            row.saying(
                statement=sign_note(Note.parse(row.event["statement"]).text, [old]),
            )
        )
        fault = await first_fault_when_all_is_rebuilt(forger)
        assert (fault.check, fault.position) == (Check.SIGNATURE, row.position)

    async def test_an_expected_knight_may_have_been_replaced_since(self, forger: Forger) -> None:
        async with forger.opened() as played:
            await played.flow.keys.rotate(KeyRole.KNIGHT, person(ZOE))
        for key in forger.of_topic("KEY_ADOPTED"):
            if key.event["role"] == KeyRole.KNIGHT:
                verifier = Ed25519Verifier.parse(key.event["key"])
                assert (await forger.verify(Expected(knight_key=verifier))).passed
