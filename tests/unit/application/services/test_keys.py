"""The keys in force: adopted at first use by an event, replaced only by one, never given away."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import rfc8785
from structlog.testing import capture_logs

from governance_flow.domain.errors import ConcurrencyConflict, KeyUnavailable, Refused
from governance_flow.domain.events import (
    PIPELINE_ID,
    SYSTEM,
    KeyAdopted,
    OrchestratorError,
    TransitionWitnessed,
)
from governance_flow.domain.keys import KeyRole
from governance_flow.domain.states import GovernanceState
from governance_flow.transparency.errors import NoTrustedSignature
from governance_flow.transparency.keys import Ed25519Signer, Ed25519Verifier
from governance_flow.transparency.notes import Note, open_note
from tests.support.clock import ManualClock
from tests.support.flows import ZOE, PlayedFlow, cast, failing, opened, tabling
from tests.support.keyrings import ToldKeyring, folder_keyring, meeting, memory_keyring
from tests.support.keys import secret_of
from tests.support.motions import INTRODUCER, person

S = GovernanceState
KNIGHT, LOG = KeyRole.KNIGHT, KeyRole.LOG

on_shared_stores = pytest.mark.parametrize(
    "store_address",
    ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)],
    indirect=True,
)


async def adoptions(flow: PlayedFlow, role: KeyRole = KNIGHT) -> list[KeyAdopted]:
    events = [flow.flow.mapper.to_event(stored) for stored in await flow.stored(PIPELINE_ID)]
    return [event for event in events if isinstance(event, KeyAdopted) and event.role is role]


async def moves(flow: PlayedFlow, motion: UUID) -> list[TransitionWitnessed]:
    return [e for e in await flow.events(motion) if isinstance(e, TransitionWitnessed)]


def signers_of(note: str, *vkeys: str) -> list[bool]:
    """Return of each key whether its signature is on the note, and verifies."""
    found = []
    for vkey in vkeys:
        try:
            open_note(note, [Ed25519Verifier.parse(vkey)])
            found.append(True)
        except NoTrustedSignature:
            found.append(False)
    return found


@asynccontextmanager
async def elsewhere(
    flow: PlayedFlow, store_address: str, folder: Path
) -> AsyncIterator[PlayedFlow]:
    """Open the same store as another process would; what is in memory is only there once."""
    if store_address == "memory:":
        yield flow
        return
    async with opened(store_address, clock=flow.clock, keyring=folder_keyring(folder)) as other:
        yield other


# -- First use -------------------------------------------------------------------------------------


async def test_nothing_is_adopted_until_something_is_signed(store_address: str) -> None:
    async with opened(store_address) as flow:
        await flow.introduce()
        assert await adoptions(flow) == []
        await flow.reach(S.DELIBERATING)
        assert len(await adoptions(flow)) == 1
        assert await adoptions(flow, LOG) == []
        await flow.flow.audit.proofs.latest()
        assert len(await adoptions(flow, LOG)) == 1


@pytest.mark.parametrize("role", KeyRole)
async def test_the_first_use_adopts_the_key_in_its_own_words(role: KeyRole) -> None:
    async with opened() as flow:
        key = await flow.flow.keys.signing(role)
        [event] = await adoptions(flow, role)
        assert (event.key, event.actor) == (key.verifier.vkey, SYSTEM)
        body = {
            "key": key.verifier.vkey,
            "previous": None,
            "role": role.value,
            "timestamp": "2026-01-01T12:00:00+00:00",
        }
        text = f"governance-flow/key-adoption/v1\n{rfc8785.dumps(body).decode()}\n"
        signed = open_note(event.statement, [key.verifier])
        assert signed.text == text
        assert len(Note.parse(event.statement).signatures) == 1
        assert (await flow.flow.store.head()).halt_epoch == 0


@pytest.mark.parametrize("role", KeyRole)
async def test_a_key_is_adopted_once_however_often_and_wherever_it_signs(
    store_address: str, role: KeyRole, tmp_path: Path
) -> None:
    folder = tmp_path / "keys"
    async with (
        opened(store_address, keyring=folder_keyring(folder)) as flow,
        elsewhere(flow, store_address, folder) as other,
    ):
        flows = [flow, other, flow, other, flow, other]
        found = await asyncio.gather(*(f.flow.keys.signing(role) for f in flows))
        assert len({key.verifier.vkey for key in found}) == 1
        assert len(await adoptions(flow, role)) == 1


async def test_every_statement_of_every_kind_is_a_note_of_the_adopted_key(
    store_address: str, clock: ManualClock
) -> None:
    branches = cast(
        conclave=[tabling(until="2026-01-02T12:00:00+00:00")],
        president=[failing("timeout_error")],
        duke=[failing("validation_error")],
        prince=[failing("permission_error")],
    )
    async with opened(store_address, clock=clock, branches=branches) as flow:
        motions = [await flow.introduce(f"motion {number} é😀") for number in range(2)]
        withdrawn = await flow.introduce()
        await flow.orchestrator.withdraw_motion(withdrawn, INTRODUCER, reason="tab\t \x7f é")
        await flow.idle()
        clock.advance(hours=24)
        await flow.idle()
        clock.advance(5)
        await flow.idle()
        assert await flow.state(motions[0]) is S.ACKNOWLEDGED
        [adopted] = await adoptions(flow)
        adopted_at = next(
            s.id for s in await flow.stored(PIPELINE_ID) if adopted.key.encode() in s.state
        )
        verifier = Ed25519Verifier.parse(adopted.key)
        kinds = set()
        for motion in (*motions, withdrawn):
            for stored, event in zip(
                await flow.stored(motion), await flow.events(motion), strict=True
            ):
                if not isinstance(event, TransitionWitnessed):
                    continue
                assert stored.id > adopted_at
                kinds.add(event.cause.kind.value)
                note = open_note(event.statement, [verifier])
                assert (len(note.signatures), note.unknown) == (1, ())
                header, line, end = note.text.split("\n")
                assert (header, end) == ("governance-flow/witness-statement/v1", "")
                assert rfc8785.dumps(json.loads(line)).decode() == line
        assert kinds == {"advance", "return", "withdraw"}


@on_shared_stores
async def test_of_two_processes_that_adopt_at_once_one_wins_and_the_other_says_what_to_do(
    store_address: str, clock: ManualClock, tmp_path: Path
) -> None:
    both_here = meeting(2)
    rings = [ToldKeyring(memory_keyring(name)) for name in ("one", "two")]
    for ring in rings:
        ring.before_key.append(both_here)
    async with (
        opened(store_address, clock=clock, keyring=rings[0]) as one,
        opened(store_address, clock=clock, keyring=rings[1]) as two,
    ):
        flows = [one, two]
        found: list[Any] = await asyncio.gather(
            *(flow.flow.keys.signing(KNIGHT) for flow in flows), return_exceptions=True
        )
        loser = next(n for n, key in enumerate(found) if isinstance(key, KeyUnavailable))
        winner = 1 - loser
        [event] = await adoptions(one)
        assert event.key == found[winner].verifier.vkey
        said = str(found[loser])
        assert f"the store goes by {event.key}" in said
        assert "set GOVERNANCE_FLOW_KNIGHT_KEY" in said
        # Nothing half done: the loser still cannot sign, the winner can, and nothing was added.
        with pytest.raises(KeyUnavailable):
            await flows[loser].flow.keys.signing(KNIGHT)
        head = await one.flow.store.head()
        assert head.position == 1
        motion = await flows[winner].reach(S.PLANNING)
        assert all(signers_of(m.statement, event.key) == [True] for m in await moves(one, motion))
        assert (await one.flow.audit.auditor.verify()).passed


# -- Rotation --------------------------------------------------------------------------------------


async def test_a_rotation_is_signed_by_both_keys_and_what_was_said_before_stays_good(
    store_address: str,
) -> None:
    async with opened(store_address, keyring=memory_keyring()) as flow:
        motion = await flow.reach(S.EXECUTING)
        before = len(await moves(flow, motion))
        vkey = await flow.flow.keys.rotate(KNIGHT, person(ZOE))
        first, second = await adoptions(flow)
        assert (second.key, second.actor) == (vkey, person(ZOE))
        body = {
            "key": vkey,
            "previous": first.key,
            "role": "knight",
            "timestamp": "2026-01-01T12:00:00+00:00",
        }
        text = f"governance-flow/key-adoption/v1\n{rfc8785.dumps(body).decode()}\n"
        keys = [Ed25519Verifier.parse(key) for key in (vkey, first.key)]
        note = open_note(second.statement, keys)
        assert (note.text, len(note.signatures), note.unknown) == (text, 2, ())
        head = await flow.flow.store.head()
        assert (head.halt_epoch, head.halted) == (1, False)
        assert (flow.flow.pipelines.known.halt_epoch, flow.flow.pipelines.known.halted) == (1, 0)
        await flow.idle()
        signed = [signers_of(m.statement, first.key, vkey) for m in await moves(flow, motion)]
        assert signed[:before] == [[True, False]] * before
        assert signed[before:] == [[False, True]] * 3
        report = await flow.flow.audit.auditor.verify()
        assert [str(fault) for fault in report.faults] == []
        assert report.statements == before + 3


async def test_a_rotated_key_is_found_again_after_a_restart(
    sqlite_address: str, tmp_path: Path
) -> None:
    folder = tmp_path / "keys"
    async with opened(sqlite_address, keyring=folder_keyring(folder)) as flow:
        await flow.reach(S.PLANNING)
        vkey = await flow.flow.keys.rotate(KNIGHT, person(ZOE))
    async with opened(sqlite_address, clock=flow.clock, keyring=folder_keyring(folder)) as flow:
        assert (await flow.flow.keys.signing(KNIGHT)).verifier.vkey == vkey
        assert len(await adoptions(flow)) == 2


async def test_a_key_of_ones_own_can_be_given(tmp_path: Path) -> None:
    given = Ed25519Signer("example.com/knight", bytes(range(32)))
    path = tmp_path / "new.key"
    path.touch(0o600)
    path.write_text(f"{given.private_key()}\n")
    async with opened(keyring=memory_keyring()) as flow:
        vkey = await flow.flow.keys.rotate(KNIGHT, person(ZOE), str(path))
        assert vkey == given.vkey
        with pytest.raises(KeyUnavailable, match="is the present key"):
            await flow.flow.keys.rotate(KNIGHT, person(ZOE), str(path))
        assert len(await adoptions(flow)) == 2


async def test_the_logs_key_is_never_replaced() -> None:
    async with opened() as flow:
        await flow.flow.keys.signing(LOG)
        position = (await flow.flow.store.head()).position
        with pytest.raises(Refused, match="never replaced"):
            await flow.flow.keys.rotate(LOG, person(ZOE))
        assert (await flow.flow.store.head()).position == position


async def test_a_decision_under_way_is_made_again_and_signed_by_the_new_key(
    store_address: str, tmp_path: Path
) -> None:
    """The old key has signed, the statement is not in the store yet, and the key is replaced."""
    folder = tmp_path / "keys"
    async with opened(store_address, keyring=folder_keyring(folder)) as flow:
        motion = await flow.reach(S.EXECUTING)
        old = (await flow.flow.keys.signing(KNIGHT)).verifier.vkey
        told = ToldKeyring(flow.flow.keys._keyring)
        flow.flow.keys._keyring, flow.flow.keys._held = told, {}
        async with elsewhere(flow, store_address, folder) as other:

            async def rotate() -> None:
                await other.flow.keys.rotate(KNIGHT, person(ZOE))

            told.after_signing.append(rotate)
            asked = len(flow.knight.requests)
            outcome = await flow.succeeds(motion)
        assert (outcome.status, outcome.state) == ("applied", S.JUDGING)
        new = (await adoptions(flow))[1].key
        last = (await moves(flow, motion))[-1]
        assert signers_of(last.statement, old, new) == [False, True]
        # Asked anew for the same thing, because what was signed before counts for nothing.
        first, second = flow.knight.requests[asked:]
        assert (first.version, second.version) == (last_version(first), first.version)
        assert [e for e in await flow.events(motion) if isinstance(e, OrchestratorError)] == []
        report = await flow.flow.audit.auditor.verify()
        assert [str(fault) for fault in report.faults] == []


def last_version(request: Any) -> int:
    return int(request.covered[-1].version) + 1


@on_shared_stores
async def test_a_worker_without_the_new_key_cannot_witness_and_says_so_until_it_has_it(
    store_address: str, clock: ManualClock, tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    async with opened(store_address, clock=clock, keyring=folder_keyring(here)) as flow:
        motion = await flow.reach(S.EXECUTING)
        shutil.copytree(here, there)
        async with opened(store_address, clock=clock, keyring=folder_keyring(there)) as other:
            await other.reach(S.PLANNING)
            vkey = await flow.flow.keys.rotate(KNIGHT, person(ZOE))
            before = await other.length(motion)
            outcome = await other.succeeds(motion, {"built": True})
            assert (outcome.accepted, outcome.state) == (True, S.EXECUTING)
            assert await other.story(motion, before) == [
                "completed: execute by duke_service",
                "error: system_error, halt_and_alert",
            ]
            error = await other.last(motion, OrchestratorError)
            assert f"the store goes by {vkey}" in error.message
            assert str(there) in error.message
            # Once it has the key, what was reported is applied.
            for name in ("knight.key", "knight.pub"):
                shutil.copy(here / name, there / name)
            await other.orchestrator.resolve_escalation(motion, ZOE, "retry")
            assert await other.state(motion) is S.JUDGING
            assert signers_of((await moves(other, motion))[-1].statement, vkey) == [True]
            assert (await other.flow.audit.auditor.verify()).passed


@on_shared_stores
async def test_of_two_rotations_at_once_one_wins_and_the_other_is_told(
    store_address: str, clock: ManualClock, tmp_path: Path
) -> None:
    folder = tmp_path / "keys"
    async with (
        opened(store_address, clock=clock, keyring=folder_keyring(folder)) as one,
        opened(store_address, clock=clock, keyring=folder_keyring(folder)) as two,
    ):
        await one.flow.keys.signing(KNIGHT)
        both_here = meeting(2)
        for flow in (one, two):
            told = ToldKeyring(flow.flow.keys._keyring)
            await flow.flow.keys.signing(KNIGHT)
            flow.flow.keys._keyring = told
            original = told.successor

            async def successor(
                role: KeyRole, given: str | None = None, taken: Any = (), *, o: Any = original
            ) -> Any:
                key = await o(role, given, taken)
                await both_here()
                return key

            told.successor = successor  # type: ignore[method-assign]
        found = await asyncio.gather(
            *(flow.flow.keys.rotate(KNIGHT, person(ZOE)) for flow in (one, two)),
            return_exceptions=True,
        )
        [lost] = [item for item in found if isinstance(item, BaseException)]
        assert isinstance(lost, ConcurrencyConflict)
        assert "another process replaced the key" in str(lost)
        _, second = await adoptions(one)
        assert second.key in found
        for flow in (one, two):
            assert (await flow.flow.keys.signing(KNIGHT)).verifier.vkey == second.key


# -- Secrecy ---------------------------------------------------------------------------------------


async def test_no_private_key_shows_in_events_errors_logs_or_representations(
    tmp_path: Path, sqlite_address: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    folder = tmp_path / "keys"
    said: list[str] = []
    with capture_logs() as logs:
        async with opened(sqlite_address, keyring=folder_keyring(folder)) as flow:
            motion = await flow.reach(S.EXECUTING)
            await flow.idle()
            await flow.flow.keys.rotate(KNIGHT, person(ZOE))
            await flow.reach(S.PLANNING)
            secrets = [path.read_text().strip() for path in folder.rglob("*.key*")]
            assert len(secrets) >= 2
            for role in KeyRole:
                key = await flow.flow.keys.signing(role)
                said += [repr(key), str(key), repr(flow.flow.keys._held)]
            said += [repr(flow.flow.keys), repr(flow.flow.keys._keyring), repr(flow.flow)]
            (folder / "knight.key").write_text(secrets[0].replace("PRIVATE", "PIRATE"))
            flow.flow.keys._held = {}
            flow.flow.keys._keyring._loaded = {}  # type: ignore[attr-defined]
            with pytest.raises(KeyUnavailable) as caught:
                await flow.flow.keys.signing(KNIGHT)
            said += [str(caught.value), repr(caught.value), repr(vars(caught.value))]
            stuck = await flow.introduce()
            await flow.idle()
            assert await flow.state(stuck) is S.INTRODUCED
            for stream in (PIPELINE_ID, motion, stuck):
                said += [item.state.decode() for item in await flow.stored(stream)]
    said += [repr(logs), caplog.text]
    for secret in secrets:
        signer = Ed25519Signer.parse(secret)
        seed = signer._key.private_bytes_raw()
        spellings = (
            secret_of(secret),
            seed.hex(),
            b64encode(seed).decode(),
            repr(seed)[2:-1],
        )
        for text in said:
            assert [spelling for spelling in spellings if spelling in text] == []
