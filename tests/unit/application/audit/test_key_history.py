"""Which key is in force where, and which adoptions adopt nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from governance_flow.application.audit.faults import Check
from governance_flow.application.audit.key_history import KeyHistory
from governance_flow.application.ports.audit import StoredRow
from governance_flow.domain.events import SYSTEM, KeyAdopted
from governance_flow.domain.keys import KeyRole, adoption_text
from governance_flow.transparency.keys import Ed25519Signer
from governance_flow.transparency.notes import sign_note
from tests.support.audit import MAPPER, PIPELINE, MemoryLog

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KNIGHT, LOG = KeyRole.KNIGHT, KeyRole.LOG


def key(number: int, name: str = "example.org/knight") -> Ed25519Signer:
    return Ed25519Signer(name, bytes([number]) * 32)


def adopted(
    new: Ed25519Signer,
    before: Ed25519Signer | None = None,
    signers: list[Ed25519Signer] | None = None,
    role: KeyRole = KNIGHT,
) -> KeyAdopted:
    text = adoption_text(role, new.vkey, before.vkey if before else None, NOON)
    signers = signers or [new, *([before] if before else [])]
    return KeyAdopted(
        event_id=UUID(int=1),
        correlation_id=UUID(int=2),
        causation_id=None,
        actor=SYSTEM,
        timestamp=NOON,
        role=role,
        key=new.vkey,
        statement=sign_note(text, signers),
    )


def stored(position: int, version: int, event: KeyAdopted) -> StoredRow:
    state = MAPPER.to_stored(UUID(PIPELINE), version, event).state
    return StoredRow(position, PIPELINE, version, event.topic, state, position)


async def history(*rows: StoredRow) -> KeyHistory:
    return await KeyHistory.read(MemoryLog(rows, None), MAPPER, up_to_position=1000)


async def test_a_key_is_in_force_behind_its_adoption_until_the_next() -> None:
    keys = await history(
        stored(5, 1, adopted(key(1))),
        stored(7, 2, adopted(key(9, "example.org/log"), role=LOG)),
        stored(10, 3, adopted(key(2), key(1))),
    )
    assert keys.faults == []
    for position, holder in ((5, None), (6, key(1)), (10, key(1)), (11, key(2)), (999, key(2))):
        assert keys.at(KNIGHT, position) == (holder.verifier if holder else None)
    assert keys.at(LOG, 7) is None
    assert keys.at(LOG, 8) == keys.log_key == key(9, "example.org/log").verifier


@pytest.mark.parametrize(
    ("event", "problem"),
    [
        (adopted(key(2), key(1), [key(2)]), "not signed by both the new key and the one before"),
        (adopted(key(2), key(1), [key(1)]), "not signed by both the new key and the one before"),
        (adopted(key(2), None, [key(2), key(1)]), "says something else than the event"),
        (adopted(key(2), key(3), [key(2), key(1)]), "says something else than the event"),
        (adopted(key(2), key(1), [key(3)]), "of which no key is known here"),
        (adopted(key(2), key(1)).model_copy(update={"key": "rubbish"}), "no verifier key"),
        (adopted(key(2), key(1)).model_copy(update={"key": key(3).vkey}), "not signed by both"),
        (adopted(key(2), key(1)).model_copy(update={"statement": "rubbish"}), "no empty line"),
        (adopted(key(1), key(1), [key(1)]), "not signed by both"),
    ],
)
async def test_one_that_does_not_prove_itself_adopts_nothing(
    event: KeyAdopted, problem: str
) -> None:
    keys = await history(stored(5, 1, adopted(key(1))), stored(10, 2, event))
    [fault] = keys.faults
    assert (fault.check, fault.position, fault.stream_id, fault.version) == (
        Check.KEYS,
        10,
        PIPELINE,
        2,
    )
    assert "the adoption of a key for the knight does not hold: " in fault.message
    assert problem in fault.message
    assert keys.at(KNIGHT, 999) == key(1).verifier


async def test_the_key_of_a_log_is_never_replaced() -> None:
    first, second = key(1, "example.org/log"), key(2, "example.org/log")
    keys = await history(
        stored(5, 1, adopted(first, role=LOG)),
        stored(10, 2, adopted(second, first, role=LOG)),
    )
    assert "which is never replaced" in keys.faults[0].message
    assert keys.log_key == first.verifier


@pytest.mark.parametrize(
    "state", [b"", b"[]", b"[" * 100_000, b'{"schema_version":[]}', b"\xff", b'{"role":"king"}']
)
async def test_one_that_cannot_be_read_is_a_fault_and_adopts_nothing(state: bytes) -> None:
    unreadable = stored(5, 1, adopted(key(1)))._replace(state=state)
    keys = await history(unreadable, stored(10, 2, adopted(key(2))))
    [fault] = keys.faults
    assert (fault.check, fault.position, fault.version) == (Check.KEYS, 5, 1)
    assert keys.at(KNIGHT, 11) == key(2).verifier
