"""Workers killed by SIGKILL between an event, its leaf and the checkpoint over it."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from governance_flow.bootstrap import Flow, open_flow
from governance_flow.domain.keys import KeyRole
from governance_flow.domain.states import GovernanceState
from governance_flow.infrastructure.keys.last_signed import NAME
from projections.registry import Registry
from tests.support.assembly import whole_log
from tests.support.clock import START, ManualClock
from tests.support.driving import motion_id
from tests.support.flows import PATIENCE_SECONDS, cast
from tests.support.killed_worker import MOMENTS
from tests.support.naive_log import leaves_of, naive_tiles, require_kept, tiles_in
from tests.support.processes import ROOT

SEED = 20_261_122
MOTIONS_A_RUN = 3
RUNS_MAX = 40

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Killing:
    """Runs workers one after the other on one store, each an hour later than the last."""

    def __init__(self, address: str, keys: Path) -> None:
        self.address = address
        self.keys = keys
        self.runs = 0
        self.kills: Counter[str] = Counter()

    @property
    def now(self) -> datetime:
        return START + timedelta(hours=self.runs)

    def run(self, at: str | None, nth: int = 0, motions: int = MOTIONS_A_RUN) -> bool:
        """Let a worker work until it is killed, or done; return whether it was killed."""
        self.runs += 1
        orders = {
            "address": self.address,
            "keys": str(self.keys),
            "now": self.now.isoformat(),
            "first": (self.runs - 1) * MOTIONS_A_RUN,
            "motions": motions,
            "at": at,
            "nth": nth,
        }
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.killed_worker", json.dumps(orders)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_SECONDS,
            check=False,
        )
        assert done.returncode in (0, -signal.SIGKILL), done.stderr
        if done.returncode and at is not None:
            self.kills[at] += 1
        return done.returncode != 0

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Flow]:
        async with open_flow(
            self.address,
            branches=cast(),
            alert_sinks=[],
            clock=ManualClock(self.now + timedelta(minutes=30)),
            environ={"GOVERNANCE_FLOW_KEYS": str(self.keys)},
        ) as flow:
            yield flow

    async def require_sound(self) -> int:
        """Look at what is left, and change nothing; return the size of the tree."""
        async with self.opened() as flow:
            log = await whole_log(flow.store)
            assert [event.id for event in log] == list(range(1, len(log) + 1))
            registry = Registry(flow.database.dialect, ["log"])
            size = (await flow.database.read(registry.standing)).done + 1
            leaves = await leaves_of(flow.store)
            # No gap, no leaf twice: the very bytes that the events up to there make.
            assert await tiles_in(flow.database) == naive_tiles(leaves[:size])
            kept = await flow.audit.proofs._checkpoints.page(after_size=0, limit=100_000)
            notes = [checkpoint.note for checkpoint in kept]
            promised = self.keys / NAME
            if promised.exists():
                # Whatever the store remembers, this went out first.
                notes.append(promised.read_text())
            if notes:
                key = (await flow.keys.signing(KeyRole.LOG)).verifier.vkey
                sizes = require_kept(leaves, notes, key)
                assert max(sizes) <= size
            return size


@pytest.mark.parametrize(
    ("store", "kills"),
    [
        ("sqlite_address", 20),
        pytest.param("postgres_database", 10, marks=pytest.mark.postgres),
    ],
)
async def test_killed_at_any_moment_the_log_has_every_leaf_once_and_keeps_every_promise(
    request: pytest.FixtureRequest, tmp_path: Path, store: str, kills: int
) -> None:
    killing = Killing(request.getfixturevalue(store), tmp_path / "keys")
    chance = random.Random(SEED)
    sizes = []
    while killing.kills.total() < kills:
        assert killing.runs < RUNS_MAX, killing.kills
        # The moments in turn, so that each is met; how often it comes before, by chance.
        at = list(MOMENTS)[killing.runs % len(MOMENTS)]
        killing.run(at, chance.randint(1, MOMENTS[at]))
        sizes.append(await killing.require_sound())
    assert sizes == sorted(sizes)
    assert set(killing.kills) == set(MOMENTS)

    motions = killing.runs * MOTIONS_A_RUN
    assert not killing.run(None)
    await killing.require_sound()
    async with killing.opened() as flow:
        latest = await flow.audit.proofs.latest()
        assert latest.unsigned is None
        head = await flow.store.head()
        assert (latest.checkpoint.size, head.halted) == (head.position + 1, False)
        report = await flow.audit.auditor.verify()
        assert [str(fault) for fault in report.faults] == []
        counts = await flow.read_model.counts(since=killing.now)
        # Those that a worker was killed before it introduced them, no other one has introduced.
        assert 0 < counts.by_state[GovernanceState.ACKNOWLEDGED] <= motions + MOTIONS_A_RUN
        assert sum(counts.by_state.values()) == counts.by_state[GovernanceState.ACKNOWLEDGED]
        assert (await flow.orchestrator.get_motion_status(motion_id(motions))).current_state is (
            GovernanceState.ACKNOWLEDGED
        )
        # Built anew from the events it is the same, byte for byte.
        before = await tiles_in(flow.database)
        await flow.rebuilder.rebuild("log")
        assert await tiles_in(flow.database) == before
