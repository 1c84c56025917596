"""The Knight's key signs what the Knight says; without its signature nothing moves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from governance_flow.application.ports.flow_orchestrator import Purpose
from governance_flow.application.ports.knight_witness import WitnessRequest, WitnessStatement
from governance_flow.domain.errors import KeyUnavailable
from governance_flow.domain.events import OrchestratorError, TransitionWitnessed
from governance_flow.domain.keys import KeyRole
from governance_flow.domain.states import GovernanceState
from governance_flow.transparency.keys import Ed25519Signer, Ed25519Verifier
from governance_flow.transparency.notes import Note, NoteSignature, open_note, sign_note
from tests.support.flows import ZOE, PlayedFlow, Postbox, ScriptedKnight, opened
from tests.support.keyrings import ToldKeyring
from tests.support.motions import honest_knight

S = GovernanceState

OWN = Ed25519Signer("example.com/own", bytes(range(32)))
SECOND = Ed25519Signer("example.com/second", bytes(range(1, 33)))


async def knights_key(flow: PlayedFlow) -> Ed25519Verifier:
    return (await flow.flow.keys.signing(KeyRole.KNIGHT)).verifier


# -- A key that cannot sign ------------------------------------------------------------------------


async def test_a_knight_that_cannot_sign_moves_nothing_and_loses_nothing(
    store_address: str,
) -> None:
    keys, postbox = ToldKeyring(), Postbox()
    async with opened(store_address, keyring=keys, sinks=[postbox]) as flow:
        motion = await flow.reach(S.EXECUTING)
        before = await flow.length(motion)

        async def at_sea() -> None:
            raise KeyUnavailable("the signer went to sea; call him back")

        keys.after_signing.append(at_sea)
        outcome = await flow.succeeds(motion, {"built": True})
        assert (outcome.accepted, outcome.status, outcome.state) == (True, "escalated", S.EXECUTING)
        assert await flow.story(motion, before) == [
            "completed: execute by duke_service",
            "error: system_error, halt_and_alert",
        ]
        error = await flow.last(motion, OrchestratorError)
        assert error.message == (
            "the statement cannot be signed: the signer went to sea; call him back"
        )
        assert error.branch == "knight"
        await flow.idle()
        assert [alert.kind for alert in postbox.alerts] == ["motion_halted"]
        assert await flow.state(motion) is S.EXECUTING

        await flow.orchestrator.resolve_escalation(motion, ZOE, "retry")
        assert await flow.state(motion) is S.JUDGING
        assert (await flow.motion(motion)).outputs[Purpose.EXECUTE] == {"built": True}
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED
        assert (await flow.flow.audit.auditor.verify()).passed


async def test_a_key_that_was_never_there_leaves_motions_in_the_docket_and_adopts_nothing() -> None:
    keys = ToldKeyring(lost={KeyRole.KNIGHT})
    async with opened(keyring=keys) as flow:
        stuck = await flow.introduce()
        await flow.idle()
        assert await flow.story(stuck) == [
            "introduced by ada",
            "error: system_error, halt_and_alert",
        ]
        assert (
            "at the bottom of the sea; dive for it"
            in (await flow.last(stuck, OrchestratorError)).message
        )
        adopted = (await flow.flow.pipelines.refresh()).keys
        assert set(adopted) == {KeyRole.LOG}
        keys.lost.clear()
        await flow.orchestrator.retry_motion(stuck, ZOE)
        await flow.idle()
        assert await flow.state(stuck) is S.ACKNOWLEDGED


async def test_being_cancelled_while_it_is_signed_records_nothing() -> None:
    keys = ToldKeyring()
    async with opened(keyring=keys) as flow:
        motion = await flow.reach(S.EXECUTING)
        before = await flow.length(motion)
        signing, never = asyncio.Event(), asyncio.Event()

        async def slow() -> None:
            signing.set()
            await never.wait()

        keys.after_signing.append(slow)
        completing = asyncio.create_task(flow.succeeds(motion))
        await signing.wait()
        completing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await completing
        assert await flow.length(motion) == before
        assert (await flow.succeeds(motion)).state is S.JUDGING


# -- A Knight who signs himself --------------------------------------------------------------------


def text_of(request: WitnessRequest) -> str:
    return honest_knight(request).text


async def test_a_knights_own_signatures_stay_above_that_of_the_adopted_key() -> None:
    knight = ScriptedKnight()
    async with opened(knight=knight) as flow:
        motion = await flow.introduce()
        knight.then(lambda r: WitnessStatement(sign_note(text_of(r), [OWN, SECOND])))
        await flow.orchestrator.process_motion(motion)
        moved = await flow.last(motion, TransitionWitnessed)
        key = await knights_key(flow)
        note = open_note(moved.statement, [OWN.verifier, SECOND.verifier, key])
        assert [line.name for line in note.signatures] == [OWN.name, SECOND.name, key.name]
        assert note.text == text_of(knight.requests[0])
        assert (await flow.flow.audit.auditor.verify()).passed


def in_its_name(request: WitnessRequest, key: Ed25519Verifier) -> str:
    """Return a note with a line in the name of the adopted key that its key never made."""
    text = text_of(request)
    line = NoteSignature(key.name, key.key_id, bytes(64))
    return str(Note(text, (line,)))


def too_many(request: WitnessRequest, key: Ed25519Verifier) -> str:
    signers = [Ed25519Signer(f"example.com/{number}", bytes(32)) for number in range(100)]
    return sign_note(text_of(request), signers)


UNREADABLE: dict[str, tuple[Any, str]] = {
    "signed, with more text": (
        lambda r, _: sign_note(text_of(r) + "and one thing more\n", [OWN]),
        "goes on below its content",
    ),
    "unsigned, with more text": (lambda r, _: text_of(r) + "more\n", "no empty line"),
    "an empty line and nothing": (lambda r, _: text_of(r) + "\n", "no signature"),
    "no end of the line": (lambda r, _: text_of(r)[:-1], "no empty line"),
    "a signature that is none": (lambda r, _: text_of(r) + "\n— x y\n", "not base64"),
    "its last line unfinished": (lambda r, _: sign_note(text_of(r), [OWN])[:-1], "does not end"),
    "a hundred signatures": (too_many, "101 signatures"),
    "a forged line of the adopted key": (in_its_name, "does not fit the text"),
}


@pytest.mark.parametrize(("made", "said"), UNREADABLE.values(), ids=UNREADABLE)
async def test_what_no_auditor_could_verify_is_not_recorded(made: Any, said: str) -> None:
    knight = ScriptedKnight()
    async with opened(knight=knight) as flow:
        motion = await flow.reach(S.EXECUTING)
        before = await flow.length(motion)
        key = await knights_key(flow)
        knight.then(lambda r: WitnessStatement(made(r, key)))
        await flow.succeeds(motion)
        assert await flow.story(motion, before) == [
            "completed: execute by duke_service",
            "error: system_error, halt_and_alert",
        ]
        message = (await flow.last(motion, OrchestratorError)).message
        assert said in message
        await flow.orchestrator.resolve_escalation(motion, ZOE, "retry")
        assert await flow.state(motion) is S.JUDGING
        assert (await flow.flow.audit.auditor.verify()).passed
