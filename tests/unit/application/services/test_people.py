"""What people may do to motions, and what they are told when they ask for something that is not."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any
from uuid import uuid4

import pytest

from governance_flow.application.ports.flow_orchestrator import GovernanceState
from governance_flow.domain.errors import (
    GovernanceFlowError,
    InvalidInput,
    MotionAlreadyExists,
    NotAllowed,
    Refused,
    UnknownMotion,
)
from governance_flow.domain.events import (
    PIPELINE_ID,
    MotionAmended,
    MotionIntroduced,
    TransitionWitnessed,
)
from tests.support.clock import ManualClock
from tests.support.flows import CHAIR, ZOE, PlayedFlow, opened, together
from tests.support.motions import INTRODUCER

S = GovernanceState

TEXTS: dict[str, tuple[object, str]] = {
    "empty": ("", "is empty"),
    "blank": (" \t\n", "is empty"),
    "NUL": ("a\x00b", "NUL"),
    "a lone surrogate": ("\ud83d", "lone surrogate"),
    "a number": (7, "must be a text, not int"),
    "nothing": (None, "must be a text, not NoneType"),
    "bytes": (b"a", "must be a text, not bytes"),
    "a list": (["a"], "must be a text, not list"),
}
NAMES = {**TEXTS, "too long": ("y" * 201, "has 201 characters; at most 200")}
TITLES = {**TEXTS, "too long": ("y" * 2001, "has 2001 characters; at most 2000")}
NOTES = {
    name: text
    for name, text in {**TEXTS, "too long": ("y" * 10_001, "has 10001 characters")}.items()
    if name not in ("empty", "blank")
}


def nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = {"in": value}
    return value


async def unchanged(flow: PlayedFlow, position: int) -> bool:
    return (await flow.flow.store.head()).position == position


# -- Introducing -----------------------------------------------------------------------------------


async def test_a_motion_is_introduced_with_all_that_was_said_about_it(
    store_address: str, clock: ManualClock
) -> None:
    async with opened(store_address, clock=clock) as flow:
        motion = await flow.orchestrator.introduce_motion(
            title="Mend the bridge ⚒",
            text="Before\nthe flood.",
            introduced_by="Ada",
            reference="B/1",
            ballots={"bo": "yes", "cy": "no", "di": "abstain"},
            topics=["bridges", "floods"],
            tasks=[{"name": "stone", "criteria": "dry"}],
            self={"odd": "key"},
        )
        [introduced] = await flow.events(motion)
        assert isinstance(introduced, MotionIntroduced)
        assert (introduced.title, introduced.text) == ("Mend the bridge ⚒", "Before\nthe flood.")
        assert (introduced.introduced_by, introduced.actor.id) == ("Ada", "Ada")
        assert introduced.actor.authenticated_by == "asserted"
        assert introduced.reference == "B/1"
        assert introduced.ballots == {"bo": "yes", "cy": "no", "di": "abstain"}
        assert introduced.metadata == {
            "topics": ["bridges", "floods"],
            "tasks": [{"name": "stone", "criteria": "dry"}],
            "self": {"odd": "key"},
        }
        assert introduced.timestamp == clock.now()
        assert introduced.event_id == introduced.correlation_id


async def test_introducing_the_same_motion_again_changes_nothing(store_address: str) -> None:
    async with opened(store_address) as flow:
        motion_id = uuid4()
        fields: dict[str, Any] = {
            "motion_id": motion_id,
            "ballots": {"bo": "yes"},
            "topics": ["bridges"],
        }
        assert await flow.introduce(**fields) == motion_id
        await flow.reach(S.PLANNING, motion_id)
        position = (await flow.flow.store.head()).position
        flow.clock.advance(1)
        assert await flow.introduce(**fields) == motion_id
        assert await unchanged(flow, position)
        others: list[dict[str, Any]] = [
            {"ballots": {"bo": "no"}},
            {"topics": []},
            {"title": "Break the bridge"},
            {"text": "After the flood."},
            {"introduced_by": "eve"},
            {"reference": "B/2"},
        ]
        for other in others:
            with pytest.raises(MotionAlreadyExists, match="another motion with the id") as taken:
                await flow.introduce(**{**fields, **other})
            assert taken.value.motion_id == motion_id
        assert await unchanged(flow, position)


async def test_introduced_by_many_at_once_a_motion_is_there_once(store_address: str) -> None:
    async with opened(store_address) as flow:
        motion_id = uuid4()
        ids = await together(16, lambda _: flow.introduce(motion_id=motion_id))
        assert set(ids) == {motion_id}
        assert (await flow.flow.store.head()).position == 1


async def test_motions_without_an_id_are_different_motions() -> None:
    async with opened() as flow:
        assert await flow.introduce() != await flow.introduce()


BAD_MOTIONS: dict[str, tuple[str, object, str]] = {
    **{f"title: {name}": ("title", value, said) for name, (value, said) in TITLES.items()},
    **{f"text: {name}": ("text", value, said) for name, (value, said) in TEXTS.items()},
    **{f"who: {name}": ("introduced_by", value, said) for name, (value, said) in NAMES.items()},
    **{
        f"reference: {name}": ("reference", value, said)
        for name, (value, said) in TITLES.items()
        if name != "nothing"
    },
    "ballots: a list": ("ballots", ["bo"], "must map members to votes"),
    "ballots: a text": ("ballots", "bo", "must map members to votes"),
    "ballots: no vote": ("ballots", {"bo": "maybe"}, "must be one of yes, no, abstain"),
    "ballots: a number": ("ballots", {"bo": 1}, "must be one of yes, no, abstain"),
    "ballots: a list for a vote": ("ballots", {"bo": ["yes"]}, "must be one of yes, no, abstain"),
    "ballots: nobody": ("ballots", {"": "yes"}, "is empty"),
    "ballots: a number votes": ("ballots", {7: "yes"}, "must be a text"),
    "ballots: NUL votes": ("ballots", {"a\x00": "yes"}, "NUL"),
    "id: a text": ("motion_id", "B/1", "must be a UUID"),
    "id: a number": ("motion_id", 7, "must be a UUID"),
    "id: the pipeline's": ("motion_id", PIPELINE_ID, "the pipeline's own"),
    "metadata: a set": ("topics", {"bridges"}, "cannot be stored as JSON"),
    "metadata: NaN": ("weight", float("nan"), "cannot be stored as JSON"),
    "metadata: NUL": ("topics", ["a\x00b"], "NUL"),
    "metadata: a surrogate": ("topics", ["\ud800"], "lone surrogate"),
    "metadata: deep": ("topics", nested(60), "nested more than 50 levels"),
    "metadata: very deep": ("topics", nested(5_000), "cannot be stored as JSON"),
    "5 MB": ("text", "y" * 5_000_000, "at most 1000000 are allowed"),
    "5 MB of metadata": ("minutes", "y" * 5_000_000, "at most 1000000 are allowed"),
    "5 MB of ballots": ("ballots", {f"{n:0>150}": "yes" for n in range(9_000)}, "at most 1000000"),
}
FIELD = {"topics": "metadata", "weight": "metadata"}
WHOLE = {"5 MB", "5 MB of metadata", "5 MB of ballots"}


@pytest.mark.parametrize("bad", BAD_MOTIONS)
async def test_a_motion_that_cannot_be_introduced_is_refused_naming_the_field(bad: str) -> None:
    field, value, said = BAD_MOTIONS[bad]
    given: dict[str, Any] = {field: value}
    async with opened() as flow:
        with pytest.raises(InvalidInput) as refusal:
            await flow.introduce(**given)
        assert said in str(refusal.value)
        expected = "motion" if bad in WHOLE else FIELD.get(field, field)
        assert expected in str(refusal.value)
        assert refusal.value.field == expected or field == "ballots"
        assert len(str(refusal.value)) < 1_000
        assert await unchanged(flow, 0)


# -- Amending --------------------------------------------------------------------------------------


async def test_an_amendment_is_a_new_version_and_voids_the_ballots() -> None:
    async with opened() as flow:
        motion = await flow.introduce(ballots={"bo": "yes"})
        status = await flow.orchestrator.amend_motion(motion, INTRODUCER, title="Mend it well")
        assert (status.title, status.current_state) == ("Mend it well", S.INTRODUCED)
        amended = await flow.last(motion, MotionAmended)
        assert (amended.title, amended.text) == ("Mend it well", "Before the flood.")
        assert (await flow.motion(motion)).ballots == {}
        await flow.orchestrator.amend_motion(
            motion, INTRODUCER, text="In stone.", ballots={"cy": "no"}
        )
        now = await flow.motion(motion)
        assert (now.title, now.text, now.ballots) == ("Mend it well", "In stone.", {"cy": "no"})


@pytest.mark.parametrize("state", [state for state in S if state is not S.RATIFIED])
async def test_a_motion_may_be_amended_only_before_it_is_deliberated(state: S) -> None:
    async with opened() as flow:
        motion = await flow.reach(state)
        position = (await flow.flow.store.head()).position
        if state in (S.INTRODUCED, S.TABLED):
            await flow.orchestrator.amend_motion(motion, INTRODUCER, text="In stone.")
            assert (await flow.motion(motion)).text == "In stone."
            return
        with pytest.raises(Refused, match="can be amended only in INTRODUCED, TABLED"):
            await flow.orchestrator.amend_motion(motion, INTRODUCER, text="In stone.")
        assert await unchanged(flow, position)


async def test_only_the_introducer_may_amend() -> None:
    async with opened() as flow:
        motion = await flow.introduce()
        with pytest.raises(NotAllowed, match="only ada, who introduced motion") as refusal:
            await flow.orchestrator.amend_motion(motion, "eve", text="In wood.")
        assert (refusal.value.motion_id, refusal.value.actor) == (motion, "eve")
        assert await flow.length(motion) == 1


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({}, "title"),
        ({"ballots": {"bo": "yes"}}, "title"),
        *[({"title": value}, "title") for value, _ in TITLES.values() if value is not None],
        *[({"text": value}, "text") for value, _ in TEXTS.values() if value is not None],
        ({"text": "x", "ballots": {"bo": "maybe"}}, "ballots"),
        ({"text": "y" * 5_000_000}, "motion"),
        ({"text": "x", "ballots": {f"{n:0>150}": "yes" for n in range(9_000)}}, "motion"),
    ],
)
async def test_a_bad_amendment_is_refused_naming_the_field(
    changes: dict[str, Any], field: str
) -> None:
    async with opened() as flow:
        motion = await flow.introduce()
        with pytest.raises(InvalidInput) as refusal:
            await flow.orchestrator.amend_motion(motion, INTRODUCER, **changes)
        assert refusal.value.field == field
        assert await flow.length(motion) == 1


async def test_an_amended_motion_is_not_revised_again_by_the_king() -> None:
    async with opened(branches={}) as flow:
        motion = await flow.introduce(
            ballots={"bo": "yes"}, rehearse={"deliberate": {"fail": "validation_error"}}
        )
        await flow.orchestrator.process_motion(motion)
        await flow.fails(motion, "validation_error", "too vague")
        await flow.orchestrator.amend_motion(
            motion, INTRODUCER, text="In stone.", ballots={"bo": "yes"}
        )
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED
        assert (await flow.motion(motion)).text == "In stone."


# -- Withdrawing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [state for state in S if state is not S.RATIFIED])
async def test_a_motion_may_be_withdrawn_only_before_it_is_ratified(state: S) -> None:
    async with opened() as flow:
        motion = await flow.reach(state)
        position = (await flow.flow.store.head()).position
        if state in (S.INTRODUCED, S.DELIBERATING, S.TABLED):
            status = await flow.orchestrator.withdraw_motion(motion, INTRODUCER, "too dear")
            assert (status.current_state, status.next_action) == (S.WITHDRAWN, None)
            moved = await flow.last(motion, TransitionWitnessed)
            assert (moved.cause.kind, moved.cause.reason) == ("withdraw", "too dear")
            assert moved.actor.id == INTRODUCER
            assert (await flow.flow.store.head()).admitted == 0
            return
        with pytest.raises(Refused, match="can be withdrawn only in DELIBERATING, INTRODUCED"):
            await flow.orchestrator.withdraw_motion(motion, INTRODUCER)
        assert await unchanged(flow, position)


async def test_only_the_introducer_may_withdraw() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.DELIBERATING)
        with pytest.raises(NotAllowed, match="only ada"):
            await flow.orchestrator.withdraw_motion(motion, "eve")
        assert await flow.state(motion) is S.DELIBERATING


async def test_a_blocked_motion_may_be_withdrawn() -> None:
    async with opened() as flow:
        motion = await flow.reach(S.DELIBERATING)
        await flow.fails(motion, "system_error")
        status = await flow.orchestrator.withdraw_motion(motion, INTRODUCER)
        assert (status.current_state, status.blocking_issues) == (S.WITHDRAWN, ())


# -- Whoever asks must say who, and about what -----------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
async def test_every_decision_needs_a_name(name: str) -> None:
    nobody: Any = NAMES[name][0]
    async with opened() as flow:
        motion = await flow.reach(S.DELIBERATING)
        position = (await flow.flow.store.head()).position
        asked = flow.orchestrator
        asking: list[tuple[str, Awaitable[Any]]] = [
            ("by", asked.withdraw_motion(motion, nobody)),
            ("by", asked.amend_motion(motion, nobody, text="In stone.")),
            ("by", asked.halt_pipeline(nobody, "why")),
            ("by", asked.resume_pipeline(nobody, "why")),
            ("by", asked.retry_motion(motion, nobody)),
            ("resolved_by", asked.resolve_escalation(motion, nobody, "retry")),
        ]
        for field, ask in asking:
            with pytest.raises(InvalidInput) as refusal:
                await ask
            assert refusal.value.field == field
            assert field in str(refusal.value)
        assert await unchanged(flow, position)


@pytest.mark.parametrize("note", NOTES)
async def test_every_remark_must_be_one_that_can_be_kept(note: str) -> None:
    bad: Any = NOTES[note][0]
    async with opened() as flow:
        motion = await flow.reach(S.DELIBERATING)
        await flow.fails(motion, "system_error")
        position = (await flow.flow.store.head()).position
        asked = flow.orchestrator
        asking: list[tuple[str, Awaitable[Any]]] = [
            ("reason", asked.withdraw_motion(motion, INTRODUCER, bad)),
            ("reason", asked.halt_pipeline(CHAIR, bad)),
            ("reason", asked.resume_pipeline(CHAIR, bad)),
            ("notes", asked.resolve_escalation(motion, ZOE, "retry", bad)),
        ]
        for field, ask in asking:
            with pytest.raises(InvalidInput) as refusal:
                await ask
            assert refusal.value.field == field
        assert await unchanged(flow, position)


async def test_a_decision_about_a_motion_that_is_not_there() -> None:
    async with opened() as flow:
        nowhere = uuid4()
        asked = flow.orchestrator
        asking: list[Awaitable[Any]] = [
            asked.amend_motion(nowhere, INTRODUCER, text="x"),
            asked.withdraw_motion(nowhere, INTRODUCER),
            asked.resolve_escalation(nowhere, ZOE, "retry"),
            asked.retry_motion(nowhere, ZOE),
            asked.get_motion_status(nowhere),
        ]
        for ask in asking:
            with pytest.raises(UnknownMotion, match=f"no motion {nowhere}") as refusal:
                await ask
            assert refusal.value.motion_id == nowhere


@pytest.mark.parametrize("decision", ["", "RETRY", "ignore", None, 7])
async def test_a_decision_must_be_one_of_those_there_are(decision: Any) -> None:
    async with opened() as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.fails(motion, "system_error")
        with pytest.raises(InvalidInput, match="must be one of retry, return, review") as refusal:
            await flow.orchestrator.resolve_escalation(motion, ZOE, decision)
        assert refusal.value.field == "decision"


@pytest.mark.parametrize("wrong", ["B/1", 7, None, PIPELINE_ID])
async def test_a_motion_is_named_by_its_id(wrong: Any) -> None:
    async with opened() as flow:
        await flow.halt()
        asked = flow.orchestrator
        asking: list[Awaitable[Any]] = [
            asked.get_motion_status(wrong),
            asked.process_motion(wrong),
            asked.route_to_branch(wrong, S.INTRODUCED),
            asked.retry_motion(wrong, ZOE),
            asked.amend_motion(wrong, INTRODUCER, text="x"),
            asked.withdraw_motion(wrong, INTRODUCER),
        ]
        for ask in asking:
            with pytest.raises((InvalidInput, UnknownMotion)) as refusal:
                await ask
            assert isinstance(refusal.value, GovernanceFlowError)
