"""A store whose rows another version of the program wrote: built anew, or not touched at all."""

from __future__ import annotations

import pytest

from governance_flow.domain.errors import StoreTooNew
from governance_flow.domain.states import GovernanceState
from governance_flow.infrastructure.database.base import AnyDatabase
from projections.motions import MotionsProjection
from projections.registry import Registry
from tests.support.assembly import Assembly
from tests.support.followers import Follow, Follower, change_rows, contents, faults_of

S = GovernanceState


class Older(MotionsProjection):
    """What it was before its rows got another layout."""

    layout = 1


async def generations(database: AnyDatabase) -> dict[str, tuple[int, int, bool]]:
    found = await database.read(Registry(database.dialect, ["activity", "motions", "search"]).all)
    return {g.name: (g.number, g.position, g.live) for g in found}


async def test_rows_of_an_older_layout_are_built_anew(
    assembly: Assembly, follow: Follow, database: AnyDatabase
) -> None:
    older = follow(Older())
    await older.runner.prepare()
    for state in (S.PLANNING, S.TABLED, S.ACKNOWLEDGED):
        await assembly.introduce(state)
    head = (await assembly.store.head()).position
    await older.runner.catch_up(head)
    before = await contents(database)
    # It is a store from before layouts were kept at all, with a rebuild under way.
    await change_rows(database, "DROP TABLE projections_layouts")
    await change_rows(database, "INSERT INTO projections VALUES ('motions', 2, 0, 0, FALSE)")
    now = follow()
    await now.runner.prepare()
    # What never had another layout than the first goes on.
    kept = {"search": (1, head, True)}
    assert await generations(database) == {
        "activity": (2, 0, True),
        "motions": (3, 0, True),
        **kept,
    }
    await now.runner.prepare()
    await now.read_model.catch_up(head)
    assert await generations(database) == {
        "activity": (2, head, True),
        "motions": (3, head, True),
        **kept,
    }
    assert await faults_of(database, assembly.store) == []
    rows = await database.read(lambda tx: tx.execute("SELECT * FROM motions_3"))
    assert sorted(rows, key=repr) == before["motions_1"]


async def test_what_was_parked_is_tried_again(
    assembly: Assembly, follow: Follow, database: AnyDatabase
) -> None:
    older = follow(Older())
    await older.runner.prepare()
    motion = await assembly.introduce()
    await assembly.spoil(motion)
    await older.runner.catch_up(10_000)
    await follow().runner.prepare()
    parked = await older.read_model.parked(limit=10)
    assert {item.projection for item in parked} == {"activity", "search"}


async def test_rows_of_a_later_layout_are_left_alone(
    assembly: Assembly, follower: Follower, follow: Follow, database: AnyDatabase
) -> None:
    await assembly.introduce(S.PLANNING)
    await follower.runner.catch_up(10_000)
    before = await contents(database)
    with pytest.raises(StoreTooNew, match=r"'motions' has layout 2, this program knows 1 at most"):
        await follow(Older()).runner.prepare()
    assert await contents(database) == before
