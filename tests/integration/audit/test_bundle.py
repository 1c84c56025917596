"""Bundles of real motions, from every store, as somebody checks them who has only the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from governance_flow.domain.errors import (
    LogInconsistent,
    NotInLog,
    UnknownMotion,
)
from governance_flow.domain.events import PIPELINE_ID
from governance_flow.domain.keys import KeyRole
from governance_flow.domain.states import GovernanceState
from tests.support.clock import ManualClock
from tests.support.flows import CHAIR, ZOE, PlayedFlow, cast, failing, opened, tabling
from tests.support.keyrings import ToldKeyring, memory_keyring
from tests.support.motions import INTRODUCER, person

S = GovernanceState
SCRIPT = Path(__file__).parents[3] / "scripts" / "verify_bundle.py"


async def bundle_of(flow: PlayedFlow, motion: UUID) -> dict[str, Any]:
    await flow.flow.audit.proofs.latest()
    return await flow.flow.audit.bundler.bundle(motion)


def checked(bundle: dict[str, Any], folder: Path, *options: str, code: int = 0) -> str:
    """Run the script on the bundle, as a stranger would; return what it said."""
    path = folder / "bundle.json"
    path.write_text(json.dumps(bundle, ensure_ascii=False))
    line = [sys.executable, "-I", str(SCRIPT), str(path), *options]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == code, (done.stdout, done.stderr)
    return " ".join((done.stdout + done.stderr).split())


def with_keys(bundle: dict[str, Any]) -> list[str]:
    return ["--log-key", bundle["keys"]["log"], "--knight-key", bundle["keys"]["knight"][0]]


async def test_a_motion_that_went_its_whole_way_is_proved(
    store_address: str, tmp_path: Path
) -> None:
    async with opened(store_address) as flow:
        motions = [await flow.introduce(f"motion {number} é😀") for number in range(14)]
        await flow.idle()
        assert (await flow.flow.store.head()).position > 256
        for motion in (motions[0], motions[7], motions[-1]):
            bundle = await bundle_of(flow, motion)
            said = checked(bundle, tmp_path, *with_keys(bundle))
            assert f"{motion}" in said
            assert "is ACKNOWLEDGED" in said
            stored = await flow.stored(motion)
            assert [(e["position"], e["state"].encode()) for e in bundle["events"]] == [
                (item.id, item.state) for item in stored
            ]


async def test_every_way_a_motion_may_go_is_proved(
    store_address: str, clock: ManualClock, tmp_path: Path
) -> None:
    branches = cast(
        conclave=[tabling(until="2026-01-02T12:00:00+00:00")],
        president=[failing("timeout_error")],
        duke=[failing("validation_error")],
        prince=[failing("permission_error")],
    )
    async with opened(store_address, clock=clock, branches=branches) as flow:
        winding = await flow.introduce()
        withdrawn = await flow.introduce()
        await flow.orchestrator.withdraw_motion(withdrawn, INTRODUCER, "tab\t \x7f é \u2028")
        await flow.idle()
        await flow.orchestrator.halt_pipeline(CHAIR, "a storm")
        await flow.orchestrator.resume_pipeline(CHAIR, "it is over")
        clock.advance(hours=24)
        await flow.idle()
        clock.advance(5)
        await flow.idle()
        for motion, state in ((winding, S.ACKNOWLEDGED), (withdrawn, S.WITHDRAWN)):
            bundle = await bundle_of(flow, motion)
            assert f"is {state}" in checked(bundle, tmp_path, *with_keys(bundle))


@pytest.mark.parametrize("state", [S.INTRODUCED, S.DELIBERATING, S.EXECUTING, S.WITNESSING])
async def test_a_motion_still_on_its_way_is_proved_as_far_as_it_came(
    state: GovernanceState, tmp_path: Path
) -> None:
    async with opened() as flow:
        await flow.reach(S.ACKNOWLEDGED)
        motion = await flow.reach(state)
        bundle = await bundle_of(flow, motion)
        assert f"is {state}" in checked(bundle, tmp_path, *with_keys(bundle))
        # The file stays good when the motion goes on.
        await flow.idle()
        assert f"is {state}" in checked(bundle, tmp_path, *with_keys(bundle))
        later = await bundle_of(flow, motion)
        assert len(later["events"]) > len(bundle["events"])
        assert "is ACKNOWLEDGED" in checked(later, tmp_path, *with_keys(later))


async def test_a_key_replaced_in_the_middle_of_a_motion_is_proved(
    store_address: str, tmp_path: Path
) -> None:
    async with opened(store_address, keyring=memory_keyring()) as flow:
        motion = await flow.reach(S.EXECUTING)
        first = (await flow.flow.keys.signing(KeyRole.KNIGHT)).verifier.vkey
        second = await flow.flow.keys.rotate(KeyRole.KNIGHT, person(ZOE))
        await flow.succeeds(motion)
        third = await flow.flow.keys.rotate(KeyRole.KNIGHT, person(ZOE))
        await flow.idle()
        bundle = await bundle_of(flow, motion)
        assert bundle["keys"]["knight"] == [first, second, third]
        assert len(bundle["key_events"]) == 4
        said = checked(bundle, tmp_path, *with_keys(bundle))
        assert "is ACKNOWLEDGED" in said
        # Without the event that replaced it, nothing of the new key counts.
        bundle["key_events"].pop(1)
        assert "FAULT" in checked(bundle, tmp_path, code=1)


async def test_only_keys_that_were_adopted_by_the_checkpoint_are_in_a_bundle(
    tmp_path: Path,
) -> None:
    async with opened(keyring=memory_keyring()) as flow:
        motion = await flow.reach(S.PLANNING)
        await flow.flow.audit.proofs.latest()
        await flow.flow.keys.rotate(KeyRole.KNIGHT, person(ZOE))
        bundle = await flow.flow.audit.bundler.bundle(motion)
        assert len(bundle["keys"]["knight"]) == 1
        assert "is PLANNING" in checked(bundle, tmp_path, *with_keys(bundle))


async def test_a_bundle_of_other_keys_is_told_from_that_of_ours(tmp_path: Path) -> None:
    bundles = []
    for name in ("ours", "theirs"):
        async with opened(keyring=memory_keyring(name)) as flow:
            bundles.append(await bundle_of(flow, await flow.reach(S.PLANNING)))
    ours, theirs = bundles
    assert "FAULT" in checked(ours, tmp_path, *with_keys(theirs), code=1)


async def test_a_motion_that_is_not_there_has_none(store_address: str) -> None:
    async with opened(store_address) as flow:
        await flow.introduce()
        for unknown in (uuid4(), PIPELINE_ID):
            with pytest.raises(UnknownMotion, match=str(unknown)):
                await bundle_of(flow, unknown)


async def test_before_anything_was_signed_there_is_none() -> None:
    async with opened() as flow:
        motion = await flow.introduce()
        with pytest.raises(NotInLog, match="audit checkpoint"):
            await flow.flow.audit.bundler.bundle(motion)


async def test_the_very_first_checkpoint_does_not_cover_the_key_that_signed_it() -> None:
    async with opened() as flow:
        motion = await flow.introduce()
        await flow.flow.runner.catch_up(1)
        first = await flow.flow.audit.proofs._checkpointing.sign()
        assert first.size == 2
        with pytest.raises(NotInLog, match="not on record yet"):
            await flow.flow.audit.bundler.bundle(motion)
        assert len((await bundle_of(flow, motion))["events"]) == 1


async def test_without_the_logs_key_only_what_was_signed_before_can_be_proved(
    store_address: str, tmp_path: Path
) -> None:
    keys = ToldKeyring()
    async with opened(store_address, keyring=keys) as flow:
        old = await flow.reach(S.PLANNING)
        await flow.flow.audit.proofs.latest()
        keys.lost.add(KeyRole.LOG)
        flow.flow.keys._held.pop(KeyRole.LOG)
        new = await flow.introduce()
        with pytest.raises(NotInLog) as caught:
            await bundle_of(flow, new)
        position = (await flow.flow.store.head()).position
        said = str(caught.value)
        assert f"last written at position {position}" in said
        assert f"covers {position - 1}" in said
        assert "where the log's key is" in said
        bundle = await bundle_of(flow, old)
        assert "is PLANNING" in checked(bundle, tmp_path, *with_keys(bundle))
        # A motion that has gone on since is not told as if it had not.
        await flow.succeeds(old)
        with pytest.raises(NotInLog):
            await bundle_of(flow, old)


async def test_an_event_that_is_no_text_cannot_be_put_into_a_bundle() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.PLANNING)
        await flow.flow.audit.proofs.latest()
        database = flow.flow.database
        await database.write(lambda tx: tx.execute("DROP TRIGGER events_append_only_update"))
        await database.write(
            lambda tx: tx.execute("UPDATE events SET state = X'FFFE' WHERE position = 1")
        )
        with pytest.raises(LogInconsistent, match="position 1 is not the one that was promised"):
            await flow.flow.audit.bundler.bundle(motion)


async def test_an_altered_event_is_not_put_into_a_bundle() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.PLANNING)
        await flow.flow.audit.proofs.latest()
        database = flow.flow.database
        await database.write(lambda tx: tx.execute("DROP TRIGGER events_append_only_update"))
        await database.write(
            lambda tx: tx.execute(
                "UPDATE events SET state = CAST(replace(CAST(state AS TEXT), 'bridge', 'castle')"
                " AS BLOB) WHERE position = 1"
            )
        )
        with pytest.raises(LogInconsistent, match="position 1 is not the one that was promised"):
            await flow.flow.audit.bundler.bundle(motion)


async def test_tiles_that_are_missing_are_said_to_be() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.PLANNING)
        await flow.flow.audit.proofs.latest()
        await flow.flow.database.write(lambda tx: tx.execute("DELETE FROM log_tiles_1"))
        with pytest.raises(LogInconsistent, match=r"missing.*rebuild log"):
            await flow.flow.audit.bundler.bundle(motion)


async def test_a_checkpoint_that_was_made_illegible_proves_nothing() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.PLANNING)
        await flow.flow.audit.proofs.latest()
        for statement in (
            "DROP TRIGGER log_checkpoints_kept_update",
            "UPDATE log_checkpoints SET note = 'rubbish'",
        ):
            await flow.flow.database.write(lambda tx, asked=statement: tx.execute(asked))  # type: ignore[misc]
        with pytest.raises(LogInconsistent, match="the audit log is damaged"):
            await flow.flow.audit.bundler.bundle(motion)
