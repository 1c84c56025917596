"""Keys and checkpoints that an auditor holds, against the keys of the store."""

from __future__ import annotations

import pytest

from governance_flow.application.audit.expected import NOTHING, Expected
from governance_flow.application.audit.faults import Check
from governance_flow.application.audit.key_history import Adoption, KeyHistory
from governance_flow.application.ports.audit import StoredRow
from governance_flow.domain.errors import InvalidInput
from governance_flow.domain.keys import KeyRole
from governance_flow.transparency.checkpoints import Checkpoint, sign_checkpoint
from governance_flow.transparency.keys import Ed25519Signer
from governance_flow.transparency.notes import sign_note
from tests.support.keys import KNIGHT, LOG

OTHER = Ed25519Signer(LOG.name, b"other".ljust(32))
FOREIGN = Ed25519Signer("another.example/log", b"foreign".ljust(32))
ROW = StoredRow(1, "", 1, "KEY_ADOPTED", b"", 0)


def store(*keys: tuple[KeyRole, Ed25519Signer]) -> KeyHistory:
    history = KeyHistory()
    history.adoptions = [Adoption(role, key.verifier, ROW) for role, key in keys]
    return history


HONEST = store((KeyRole.KNIGHT, KNIGHT), (KeyRole.LOG, LOG))
EMPTY = store()


def note(key: Ed25519Signer, origin: str = LOG.name) -> str:
    return sign_checkpoint(Checkpoint(origin, 7, bytes(32)), [key])


def test_who_expects_nothing_finds_nothing() -> None:
    assert list(NOTHING.differing(HONEST)) == []
    assert NOTHING.opened(None) == []


def test_what_is_expected_and_found_is_no_fault() -> None:
    expected = Expected(LOG.verifier, KNIGHT.verifier, [("a", note(LOG))])
    assert list(expected.differing(HONEST)) == []
    assert expected.opened(LOG.verifier) == [("a", Checkpoint(LOG.name, 7, bytes(32)))]


@pytest.mark.parametrize("held", [HONEST, EMPTY])
def test_another_key_is_a_fault_that_names_both(held: KeyHistory) -> None:
    for expected, whose in (
        (Expected(log_key=OTHER.verifier), "log"),
        (Expected(knight_key=OTHER.verifier), "Knight"),
    ):
        [fault] = expected.differing(held)
        assert fault.check is Check.KEYS
        assert f"the {whose}'s key should be {OTHER.vkey}; the store has adopted: " in str(fault)


def test_any_knight_there_was_will_do() -> None:
    held = store((KeyRole.KNIGHT, KNIGHT), (KeyRole.KNIGHT, OTHER))
    assert list(Expected(knight_key=KNIGHT.verifier).differing(held)) == []
    assert list(Expected(knight_key=OTHER.verifier).differing(held)) == []


@pytest.mark.parametrize("key", [OTHER, FOREIGN])
def test_a_checkpoint_that_the_stores_key_has_not_signed_is_a_fault(key: Ed25519Signer) -> None:
    """Perhaps the store's key was replaced: that must not pass for a slip of the auditor's."""
    expected = Expected(checkpoints=[("good", note(LOG)), ("bad", note(key, key.name))])
    [fault] = expected.differing(HONEST)
    assert fault.check is Check.KEYS
    assert str(fault).startswith(f"bad: the log's key in the store, {LOG.vkey}, has not signed it")
    assert [name for name, _ in expected.opened(LOG.verifier)] == ["good"]


def test_so_it_is_if_the_store_has_no_key_for_its_log() -> None:
    expected = Expected(checkpoints=[("a", note(LOG))])
    [fault] = expected.differing(EMPTY)
    assert str(fault).startswith("a: no log's key stands in the store")
    assert expected.opened(None) == []


def test_a_checkpoint_that_the_expected_key_has_not_signed_is_a_slip_of_the_auditors() -> None:
    expected = Expected(log_key=LOG.verifier, checkpoints=[("a", note(OTHER))])
    assert list(expected.differing(HONEST)) == []
    with pytest.raises(InvalidInput, match="a: not signed by the log's key that was given"):
        expected.opened(LOG.verifier)


@pytest.mark.parametrize("held", [HONEST, EMPTY])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "rubbish",
        sign_note("no checkpoint\n", [LOG]),
        sign_note("no checkpoint\n", [OTHER]),
        note(LOG).replace("\n7\n", "\nseven\n"),
    ],
)
def test_what_is_no_checkpoint_at_all_is_refused(held: KeyHistory, text: str) -> None:
    expected = Expected(checkpoints=[("kept.txt", text)])
    with pytest.raises(InvalidInput, match=r"kept.txt: not a checkpoint"):
        list(expected.differing(held))
    with pytest.raises(InvalidInput, match=r"kept.txt: not a checkpoint"):
        expected.opened(held.log_key)


def test_one_that_was_altered_or_is_of_another_log_is_refused() -> None:
    altered = note(LOG).replace("\n7\n", "\n8\n")
    for text in (altered, note(LOG, "another.example/log")):
        with pytest.raises(InvalidInput, match="a: not a checkpoint of this log"):
            Expected(checkpoints=[("a", text)]).opened(LOG.verifier)
