"""Motions are found by the words of their title, their reference and their introducer."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid5

import pytest

from governance_flow.application.ports.overview import FoundMotions
from governance_flow.domain.errors import InvalidInput
from governance_flow.domain.states import GovernanceState
from governance_flow.infrastructure.database.base import AnyDatabase
from projections import searching
from tests.support.assembly import Assembly
from tests.support.clock import ManualClock
from tests.support.flows import PlayedFlow, opened
from tests.support.followers import Follower
from tests.support.motions import INTRODUCER

S = GovernanceState


async def find(flow: PlayedFlow, text: str, **asked: Any) -> FoundMotions:
    return await flow.flow.status.search(text, **asked)


async def titles(flow: PlayedFlow, text: str) -> list[str]:
    return [motion.title for motion in (await find(flow, text)).motions]


async def in_pages(flow: PlayedFlow, text: str, limit: int) -> list[str]:
    seen: list[str] = []
    after = None
    while True:
        found = await find(flow, text, limit=limit, after=after)
        assert len(found.motions) <= limit
        seen += [motion.title for motion in found.motions]
        after = found.next_after
        if after is None:
            return seen


async def library(flow: PlayedFlow) -> None:
    """Introduce motions about various things, in this order."""
    for title, reference, name in (
        ("Mend the old bridge", "R/61/3", "ada"),
        ("Build a new bridge over the Müggelsee", "R/61/4", "Zoë of Genève"),
        ("Bridges, and who pays for them", None, "ada"),
        ("Straße sweeping; bridge sweeping", "B-7", "ben"),
        ("橋の修理 हिन्दी Ⅷ", None, "ada"),
    ):
        flow.clock.advance(1)
        await flow.introduce(title, reference=reference, introduced_by=name)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("bridge", [4, 3, 2, 1]),
        ("brid", [4, 3, 2, 1]),
        ("bridge ", [4, 2, 1]),
        ("bridge, ", [4, 2, 1]),
        ("BRIDGE swe", [4]),
        ("swe bridge", []),
        ("sweeping bridge", [4]),
        ("bridge bridge", [4, 2, 1]),
        ("the bridge", [2, 1]),
        ("ada", [5, 3, 1]),
        ("ada bri", [3, 1]),
        ("61", [2, 1]),
        ("r/61/4", [2]),
        ("b-7", [4]),
        ("müggel", [2]),
        ("MU\u0308GGELSEE", [2]),
        ("muggel", []),
        ("zoe\u0308 gen", [2]),
        ("STRASSE", [4]),
        ("straße", [4]),
        ("橋の", [5]),
        ("हिन्दी", [5]),
        ("हिन्", [5]),
        ("viii", [5]),
        ("nothing", []),
        ("bridge nothing", []),
        ("%", []),
        ("_ridge", []),
        ("' OR 1=1", []),
    ],
)
async def test_motions_are_found_by_their_words_the_newest_first(
    text: str, numbers: list[int]
) -> None:
    async with opened() as flow:
        await library(flow)
        every = [motion.title for motion in (await flow.orchestrator.list_motions()).motions]
        found = await find(flow, text)
        assert [every.index(motion.title) + 1 for motion in found.motions] == numbers
        assert (found.next_after, found.complete) == (None, True)
        for motion in found.motions:
            assert motion == await flow.status(motion.motion_id)


async def test_every_store_finds_the_same(store_address: str) -> None:
    async with opened(store_address) as flow:
        await library(flow)
        assert len(await titles(flow, "brid")) == 4
        assert await titles(flow, "bridge swe") == ["Straße sweeping; bridge sweeping"]
        assert await titles(flow, "straSS") == ["Straße sweeping; bridge sweeping"]
        assert await titles(flow, "zoë MÜGG") == ["Build a new bridge over the Müggelsee"]
        assert await titles(flow, "हिन्") == ["橋の修理 हिन्दी Ⅷ"]
        assert await titles(flow, "z") == ["Build a new bridge over the Müggelsee"]


async def test_a_motion_is_found_by_its_id(store_address: str) -> None:
    async with opened(store_address) as flow:
        motion = await flow.introduce("the one")
        await flow.introduce(f"about {motion}")
        for text in (str(motion), f" {str(motion).upper()} ", motion.hex):
            assert [found.motion_id for found in (await find(flow, text)).motions] == [motion]
        assert await titles(flow, str(UUID(int=motion.int ^ 1))) == []
        assert await titles(flow, str(motion)[:13]) == [f"about {motion}"]


async def test_an_amendment_changes_the_words(store_address: str) -> None:
    async with opened(store_address) as flow:
        motion = await flow.introduce("Mend the bridge", reference="R/1")
        assert await titles(flow, "bridge") == ["Mend the bridge"]
        await flow.orchestrator.amend_motion(motion, INTRODUCER, title="Mend the tunnel")
        assert await titles(flow, "bridge") == []
        for text in ("tunnel", "mend", "r", INTRODUCER):
            assert await titles(flow, text) == ["Mend the tunnel"]
        await flow.orchestrator.amend_motion(motion, INTRODUCER, text="By autumn.")
        await flow.reach(S.PLANNING, motion)
        assert await titles(flow, "mend tun") == ["Mend the tunnel"]
        assert await titles(flow, "bridge") == []


async def test_what_is_found_comes_in_pages(
    store_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "LOOKED_AT_AT_ONCE", 4)
    async with opened(store_address) as flow:
        expected = []
        for number in range(30):
            if number % 3:
                flow.clock.advance(1)
            rare = " lamp" if number % 7 == 0 else ""
            title = f"Road {'lane' if number % 2 else 'street'}{rare} s{number % 4}"
            motion_id = uuid5(UUID(int=0), str(number))
            await flow.introduce(title, motion_id=motion_id)
            expected.append((flow.clock.now(), motion_id, title))
        newest_first = [title for *_, title in sorted(expected, reverse=True)]
        for limit in (1, 3, 7, 30, 31):
            assert await in_pages(flow, "road", limit) == newest_first
            for text in ("lane", "road lamp", "lamp s1", "street road s", "road ada lane s3"):
                words = text.split()
                fits = [
                    title
                    for title in newest_first
                    if all(w == "ada" or f" {w}" in f" {title.lower()}" for w in words)
                ]
                assert await in_pages(flow, text, limit) == fits, text


async def test_a_page_looks_at_so_many_motions_and_no_more(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "LOOKED_AT_AT_ONCE", 2)
    monkeypatch.setattr(searching, "LOOKS_MAX", 2)
    async with opened(clock=clock) as flow:
        for number in range(20):
            clock.advance(1)
            await flow.introduce(f"{'road' if number % 2 else 'lane'} a{number // 19} b{number}")
        await flow.introduce("road lane")
        first = await find(flow, "lane road ")
        assert [motion.title for motion in first.motions] == ["road lane"]
        assert first.next_after is not None
        second = await find(flow, "lane road ", after=first.next_after)
        assert second.motions == ()
        assert second.next_after is not None
        assert await in_pages(flow, "lane road ", 5) == ["road lane"]


async def test_a_beginning_of_very_many_words_says_that_it_is_one(store_address: str) -> None:
    async with opened(store_address) as flow:
        for number in range(searching.BEGINNINGS_MAX + 1):
            flow.clock.advance(1)
            await flow.introduce(f"bill w{number:03}")
        found = await find(flow, "w", limit=100)
        assert not found.complete
        assert len(found.motions) == searching.BEGINNINGS_MAX
        found = await find(flow, "w00")
        assert (found.complete, len(found.motions)) == (True, 10)


async def words_kept(database: AnyDatabase) -> list[str]:
    rows = await database.read(lambda tx: tx.execute("SELECT word FROM search_1_words"))
    return sorted(word for (word,) in rows)


async def test_words_are_written_when_a_motion_is_introduced_or_amended_and_never_else(
    assembly: Assembly, follower: Follower, database: AnyDatabase
) -> None:
    motion = await assembly.introduce()
    await follower.runner.catch_up(10_000)
    introduced = await words_kept(database)
    assert len(introduced) == len(set(introduced)) > 1
    await assembly.act(motion, lambda scenario: scenario.amend(title="a b c b a"))
    await follower.runner.catch_up(10_000)
    assert await words_kept(database) == ["a", INTRODUCER, "b", "c"]
    await assembly.act(motion, lambda scenario: scenario.reaching(S.ACKNOWLEDGED))
    await follower.runner.catch_up(10_000)
    assert await words_kept(database) == ["a", INTRODUCER, "b", "c"]


@pytest.mark.parametrize(
    ("text", "asked", "field"),
    [
        ("", {}, "text"),
        (" ", {}, "text"),
        ("a\x00", {}, "text"),
        ("\ud800", {}, "text"),
        ("a" * 2001, {}, "text"),
        (7, {}, "text"),
        ("a", {"limit": 0}, "limit"),
        ("a", {"limit": 1001}, "limit"),
        ("a", {"after": "page 2"}, "after"),
        ("a", {"at_least": -1}, "at_least"),
    ],
)
async def test_a_search_that_cannot_be_made_is_refused_naming_the_field(
    text: Any, asked: dict[str, Any], field: str
) -> None:
    async with opened() as flow:
        with pytest.raises(InvalidInput) as refusal:
            await find(flow, text, **asked)
        assert refusal.value.field == field
