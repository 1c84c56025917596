"""Histories that the log proves and the Knight witnessed, and that should never have been.

Wrong order, steps skipped, undone or never taken, events after the end.
"""

from __future__ import annotations

import pytest

from governance_flow.domain.states import EDGES, GovernanceState
from tests.support import bundles
from tests.support.bundles import MOTION, World
from tests.unit.scripts.verdicts import verdict_on

# -- Order -----------------------------------------------------------------------------------------


def test_a_log_in_another_order_than_the_motion_is_caught() -> None:
    world = bundles.opened()
    one, other = world.route("deliberate"), world.report("deliberate")
    one["version"], other["version"] = 4, 3
    bundle = world.bundle()
    bundle["events"].sort(key=lambda event: event["version"])
    verdict = verdict_on(bundle)
    assert verdict.step == 5
    assert verdict.what == "it was logged before event 3 (BRANCH_COMPLETED, position 8)"
    assert verdict.where == "event 4 (MOTION_ROUTED, position 7)"


@pytest.mark.parametrize(("position", "where"), [(7, "event 3 ("), (3, "event 2 of the pipel")])
def test_a_time_that_goes_back_is_caught(position: int, where: str) -> None:
    world = bundles.opened()
    world.route("deliberate")
    world.rows[position - 1]["committed_at_us"] -= 10_000_000
    verdict = verdict_on(world.bundle())
    assert verdict.step == 5
    assert verdict.what.startswith("its time is before that of event")
    assert verdict.where.startswith(where)


def test_times_are_compared_between_the_motion_and_the_keys() -> None:
    world = bundles.whole()
    adopted = world.rows[17]
    assert adopted["topic"] == "KEY_ADOPTED"
    adopted["committed_at_us"] += 10_000_000
    verdict = verdict_on(world.bundle())
    assert (verdict.step, verdict.where) == (5, "event 14 (MOTION_ROUTED, position 19)")


@pytest.mark.parametrize("topic", ["MOTION_AMENDED", "MOTION_ROUTED"])
def test_a_motion_begins_with_its_introduction(topic: str) -> None:
    world = bundles.opened()
    world.of(MOTION)[0]["topic"] = topic
    verdict = verdict_on(world.bundle())
    assert (verdict.step, verdict.where) == (5, f"event 1 ({topic}, position 4)")
    world = bundles.opened()
    world.introduce()
    assert verdict_on(world.bundle()).where == "event 3 (MOTION_INTRODUCED, position 7)"


# -- The flow --------------------------------------------------------------------------------------


def walk(world: World, state: str) -> None:
    """Take the motion from DELIBERATING to a state, all that on the way is done."""
    works = {
        "RATIFIED": ("deliberate", "DELIBERATING"),
        "PLANNING": (None, "RATIFIED"),
        "EXECUTING": ("plan", "PLANNING"),
        "JUDGING": ("execute", "EXECUTING"),
        "WITNESSING": ("judge", "JUDGING"),
    }
    for target, (work, source) in works.items():
        if state == "DELIBERATING":
            return
        if work:
            world.work(work, source, target)
        else:
            world.move(source, target)
        if target == state:
            return
    world.move("WITNESSING", state, "review")


@pytest.mark.parametrize("kind", ["advance", "return", "review", "withdraw", "sleep"])
@pytest.mark.parametrize(
    "source", ["DELIBERATING", "RATIFIED", "PLANNING", "EXECUTING", "JUDGING", "TABLED"]
)
def test_what_the_canonical_flow_has_not_is_caught(source: str, kind: str) -> None:
    for target in (*GovernanceState, "NOWHERE"):
        world = bundles.opened()
        walk(world, source)
        row = world.move(source, str(target), kind)
        verdict = verdict_on(world.bundle())
        lawful = any(
            (a, b) == (source, target) and kind in kinds for (a, b), kinds in EDGES.items()
        )
        if lawful:
            assert verdict.code == 0, verdict
        else:
            assert verdict.step == 8
            assert verdict.what.startswith(f"the rules have no change from {source} to {target} (")
            assert verdict.where.startswith(f"event {row['version']} (TRANSITION_WITNESSED")


def test_a_change_from_a_state_in_which_the_motion_is_not_is_caught() -> None:
    world = bundles.opened()
    world.move("PLANNING", "EXECUTING")
    verdict = verdict_on(world.bundle())
    assert verdict.step == 8
    assert verdict.what == "it leaves PLANNING, but the motion is DELIBERATING"


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("deliberate", "2 Conclave deliberates"),
        ("plan", "3 President plans"),
        ("execute", "4 Duke executes"),
        ("judge", "5 Prince judges"),
        ("record", "6 Knight records"),
        ("acknowledge", "7 Conclave acknowledges"),
    ],
)
@pytest.mark.parametrize("how", ["never", "failed", "asked again", "too early"])
def test_an_acknowledged_motion_must_have_taken_every_step(
    missing: str, words: str, how: str
) -> None:
    world = bundles.opened()

    def done(purpose: str) -> None:
        if purpose != missing:
            world.report(purpose)
        elif how == "failed":
            world.report(purpose, success=False)
        elif how == "asked again":
            world.report(purpose)
            world.route(purpose)

    if how == "too early" and missing != "deliberate":
        world.report(missing)
    done("deliberate")
    world.move("DELIBERATING", "RATIFIED")
    world.move("RATIFIED", "PLANNING")
    done("plan")
    world.move("PLANNING", "EXECUTING")
    done("execute")
    world.move("EXECUTING", "JUDGING")
    done("judge")
    world.move("JUDGING", "WITNESSING")
    done("record")
    done("acknowledge")
    world.move("WITNESSING", "ACKNOWLEDGED")
    verdict = verdict_on(world.bundle())
    assert (verdict.code, verdict.step, verdict.what) == (1, 8, f"not done: {words}")


def test_steps_undone_by_a_return_must_be_taken_again() -> None:
    world = bundles.opened()
    walk(world, "WITNESSING")
    world.report("record")
    world.move("WITNESSING", "JUDGING", "return")
    world.move("JUDGING", "WITNESSING")
    world.report("acknowledge")
    world.move("WITNESSING", "ACKNOWLEDGED")
    verdict = verdict_on(world.bundle())
    assert (verdict.step, verdict.what) == (8, "not done: 5 Prince judges, 6 Knight records")


@pytest.mark.parametrize("target", ["REJECTED", "WITHDRAWN"])
def test_nothing_follows_once_a_motion_has_ended(target: str) -> None:
    world = bundles.opened()
    world.move("DELIBERATING", target, "review" if target == "REJECTED" else "withdraw")
    world.append(MOTION, "VIOLATION_WITNESSED", actor="zoe")
    verdict = verdict_on(world.bundle())
    assert (verdict.step, verdict.what) == (8, f"nothing may follow once a motion is {target}")
    assert verdict.where == "event 4 (VIOLATION_WITNESSED, position 8)"


@pytest.mark.parametrize("topic", ["KEY_ADOPTED_", "PIPELINE_HALTED", "ALERT_DELIVERED"])
def test_a_motion_has_no_other_kinds_of_events(topic: str) -> None:
    world = bundles.opened()
    world.append(MOTION, topic)
    verdict = verdict_on(world.bundle())
    assert (verdict.step, verdict.what) == (8, "a motion has no events of this kind")


@pytest.mark.parametrize("actor", [None, "ada", {"id": "ada"}, {"id": 1, "authenticated_by": "x"}])
def test_an_event_must_say_who_acted(actor: object) -> None:
    world = bundles.opened()
    world.restate(world.report("deliberate"), actor=actor)
    verdict = verdict_on(world.bundle())
    assert (verdict.step, verdict.where) == (8, "event 3 (BRANCH_COMPLETED, position 7)")
