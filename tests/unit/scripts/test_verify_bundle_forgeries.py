"""What the operator can do, who has the log's key: logs that prove what never lawfully happened.

Every bundle here comes with a log that is sound in itself, so that its proofs hold. What gives it
away is the Knight's statements, the keys, or the form of its checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.support import bundles
from tests.support.bundles import (
    FIRST_KNIGHT,
    LOG,
    MOTION,
    OTHER_MOTION,
    PIPELINE,
    SECOND_KNIGHT,
    STRANGER,
    World,
)
from tests.unit.scripts.verdicts import verdict_on

Forgery = Callable[[], World]

# -- Statements ------------------------------------------------------------------------------------


def ending(**otherwise: Any) -> Forgery:
    """Let the statement of the last change of state be otherwise than it should."""

    def forge() -> World:
        world = bundles.opened()
        world.route("deliberate")
        world.report("deliberate")
        world.move("DELIBERATING", "RATIFIED", **otherwise)
        return world

    return forge


def reworded(change: Callable[[str], str]) -> Forgery:
    """Change the text of the last statement, and leave its signature."""

    def forge() -> World:
        world = ending()()
        old = json.loads(world.rows[-1]["state"])["statement"]
        new = change(old)
        assert new != old
        world.restate(world.rows[-1], statement=new)
        return world

    return forge


def signed_again(change: Callable[[str], str]) -> Forgery:
    """Change the text of the last statement, and have the Knight sign that."""

    def forge() -> World:
        world = ending()()
        text = json.loads(world.rows[-1]["state"])["statement"].rpartition("\n\n")[0] + "\n"
        assert change(text) != text
        forged = bundles.note(change(text), FIRST_KNIGHT)
        world.restate(world.rows[-1], statement=forged)
        return world

    return forge


def event_changed(version: int, **changes: object) -> Forgery:
    """Change an event after the Knight has witnessed it."""

    def forge() -> World:
        world = bundles.whole()
        world.restate(world.of(MOTION)[version - 1], **changes)
        return world

    return forge


def covering(edit: Callable[[list[Any]], object]) -> Forgery:
    """Let the statement cover something else than the events there are."""

    def forge() -> World:
        world = ending()()
        signed = json.loads(world.rows.pop()["state"])["statement"]
        covers = json.loads(signed.split("\n")[1])["covers"]
        edit(covers)
        world.move("DELIBERATING", "RATIFIED", covers=covers)
        return world

    return forge


def after_rotation(*pens: bundles.Pen) -> Forgery:
    """Sign with other keys than the one just adopted."""

    def forge() -> World:
        world = bundles.opened()
        world.adopt("knight", SECOND_KNIGHT)
        world.move("DELIBERATING", "RATIFIED", pens=pens)
        return world

    return forge


def before_rotation() -> World:
    world = ending(pens=(SECOND_KNIGHT,))()
    world.adopt("knight", SECOND_KNIGHT)
    return world


def without_keys() -> World:
    world = World()
    world.adopt("log", LOG)
    world.introduce()
    world.move("INTRODUCED", "DELIBERATING", pens=(FIRST_KNIGHT,))
    world.adopt("knight", FIRST_KNIGHT)
    return world


def statement_of_another_motion() -> World:
    world = bundles.opened()
    theirs = json.loads(world.of(OTHER_MOTION)[1]["state"])["statement"]
    world.restate(world.of(MOTION)[1], statement=theirs)
    return world


def event_removed() -> World:
    """Take an event out, and number the later ones anew."""
    world = bundles.whole()
    gone = world.of(MOTION)[16]
    for row in world.of(MOTION)[17:]:
        row["version"] -= 1
    world.rows.remove(gone)
    for position, row in enumerate(world.rows, 1):
        row["position"] = position
    return world


SIGNED = "the key that the Knight had then"
STATEMENTS: dict[str, tuple[Forgery, str, int]] = {
    "a later event changed": (
        event_changed(6, event_id="x"),
        '"version":6}, but it is {"sha256":',
        9,
    ),
    "an introduction changed": (event_changed(1, title="Mend nothing"), "of 'covers'", 2),
    "another actor": (
        event_changed(2, actor={"id": "mallory", "authenticated_by": "service"}),
        "of 'actor', the signed text says",
        2,
    ),
    "another state": (event_changed(2, to_state="WITHDRAWN"), "of 'to', the signed text", 2),
    "another state left": (event_changed(2, from_state="TABLED"), "of 'from', the signed", 2),
    "another time": (event_changed(2, timestamp="2026-01-01T12:00:07Z"), "of 'timestamp'", 2),
    "no time": (event_changed(2, timestamp="noon"), "no time with an offset", 2),
    "a naive time": (event_changed(2, timestamp="2026-01-01T12:00:06"), "no time with an", 2),
    "another date": (event_changed(2, until="2026-02-01T00:00:00Z"), "of 'until', the", 2),
    "another cause": (
        event_changed(2, cause={"kind": "advance", "reason": "bribed", "event_id": None}),
        "of 'cause', the signed text says",
        2,
    ),
    "a cause with more to it": (
        event_changed(
            2,
            cause={"kind": "advance", "reason": "so it was decided", "event_id": None, "by": 1},
        ),
        "of 'cause'",
        2,
    ),
    "no statement": (event_changed(2, statement=""), "not signed, or cut off", 2),
    "another motion's statement": (statement_of_another_motion, "of 'covers'", 2),
    "says another motion": (ending(motion_id=OTHER_MOTION), "of 'motion_id'", 5),
    "says another version": (ending(version=4), "of 'version'", 5),
    "says a version in words": (ending(version="5"), "of 'version'", 5),
    "says a version as truth": (ending(version=True), "of 'version'", 5),
    "says another step": (ending(to="REJECTED"), "of 'to'", 5),
    "says a later time": (ending(timestamp="2026-01-01T12:00:10+00:00"), "of 'timestamp'", 5),
    "says another zone": (ending(timestamp="2026-01-01T12:00:09+01:00"), "of 'timestamp'", 5),
    "says a date": (
        signed_again(lambda text: text.replace(':null,"v', ':"2026-01-01T12:00:09+00:00","v')),
        "of 'until'",
        5,
    ),
    "is the first": (ending(previous_statement=None), "of 'previous_statement'", 5),
    "follows on another": (ending(previous_statement="0" * 64), "of 'previous_statement'", 5),
    "names no witness": (ending(witness=None), "no 'witness'", 5),
    "says more": (ending(more=1), "the signed text speaks of", 5),
    "says a fraction": (ending(version=5.0), "the number 5.0", 5),
    "covers nothing": (covering(lambda c: c.clear()), "of 'covers'", 5),
    "covers one less": (covering(lambda c: c.pop()), "of 'covers'", 5),
    "covers not the first": (covering(lambda c: c.pop(0)), "of 'covers'", 5),
    "covers one twice": (covering(lambda c: c.append(c[-1])), "of 'covers'", 5),
    "covers in disorder": (covering(lambda c: c.reverse()), "of 'covers'", 5),
    "covers other bytes": (covering(lambda c: c[1].update(sha256="0" * 64)), "of 'covers'", 5),
    "an event removed": (event_removed, "of 'covers'", 18),
    "signed by a stranger": (ending(pens=(STRANGER,)), f"not signed with {SIGNED}", 5),
    "signed by the log": (ending(pens=(LOG,)), "(the log's key)", 5),
    "signed with a key not yet in force": (before_rotation, "Knight's key from position 10 on", 5),
    "signed with a retired key": (
        after_rotation(FIRST_KNIGHT),
        "the Knight's key from position 1 on",
        3,
    ),
    "signed with a retired key and the log's": (
        after_rotation(FIRST_KNIGHT, LOG),
        f"not signed with {SIGNED}",
        3,
    ),
    "signed before there was a key": (without_keys, "the Knight had no key yet", 2),
    "one letter changed": (
        reworded(lambda text: text.replace("so it was", "As it was")),
        "does not fit the text",
        5,
    ),
    "a signature cut off": (reworded(lambda text: text[:-1]), "not signed, or cut off", 5),
    "no signature": (reworded(lambda text: text.rpartition("\n\n")[0]), "not signed, or cut", 5),
    "a shorter signature": (reworded(lambda text: text[:-5] + "\n"), "does not fit the text", 5),
    "no signature's form": (reworded(lambda text: text + "mallory\n"), "'mallory' is no sign", 5),
    "a hyphen for a dash": (
        reworded(lambda text: text.replace("\N{EM DASH}", "-")),
        "is no signature",
        5,
    ),
    "a bad second signature": (
        reworded(lambda text: text + FIRST_KNIGHT.line("something else\n")),
        "does not fit the text",
        5,
    ),
    "too many signatures": (
        reworded(lambda text: text + STRANGER.line("x") * 100),
        "too many signatures",
        5,
    ),
    "line ends of another system": (
        reworded(lambda text: text.replace("\n", "\r\n")),
        "control characters",
        5,
    ),
    "another header": (
        signed_again(lambda text: text.replace("/v1", "/v2")),
        "is not a governance-flow/witness-statement/v1",
        5,
    ),
    "a line more": (signed_again(lambda text: text + "more\n"), "no well-formed JSON", 5),
    "spaces in the JSON": (signed_again(lambda text: text.replace(",", ", ")), "canonical", 5),
    "escapes in the JSON": (
        signed_again(lambda text: text.replace("so it", "\\u0073o it")),
        "canonical",
        5,
    ),
    "a name twice in the JSON": (
        signed_again(lambda text: text.replace('"from"', '"from":"x","from"')),
        "given twice",
        5,
    ),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_change_of_state_that_the_knight_did_not_witness_so_is_caught(name: str) -> None:
    forge, what, version = STATEMENTS[name]
    world = forge()
    verdict = verdict_on(world.bundle())
    assert (verdict.code, verdict.step) == (1, 7), verdict
    assert what in verdict.what
    assert verdict.where.startswith(f"event {version} (TRANSITION_WITNESSED, position ")


# -- Keys ------------------------------------------------------------------------------------------


def adopting(role: str = "knight", *pens: bundles.Pen, **changes: object) -> Forgery:
    def forge() -> World:
        world = bundles.opened()
        world.adopt(role, SECOND_KNIGHT, *pens, **changes)
        return world

    return forge


def adoption_changed(**changes: object) -> Forgery:
    def forge() -> World:
        world = bundles.opened()
        world.restate(world.of(PIPELINE)[0], **changes)
        return world

    return forge


def not_adopted() -> World:
    world = adopting()()
    world.rows[-1]["topic"] = "PIPELINE_RESUMED"
    return world


def adopted_elsewhere() -> World:
    world = bundles.opened()
    world.adopt("knight", SECOND_KNIGHT)
    world.rows[-1].update(stream_id=OTHER_MOTION, version=3)
    return world


KEYS: dict[str, tuple[Forgery, str]] = {
    "the old key does not agree": (adopting("knight", SECOND_KNIGHT), "the key before it"),
    "the new key does not sign": (adopting("knight", FIRST_KNIGHT), "not signed with the new key"),
    "nobody's key": (adopting("knight", STRANGER), "not signed with the new key"),
    "as if there were none before": (adopting(previous=None), "of 'previous'"),
    "after another key": (adopting(previous=STRANGER.vkey), "of 'previous'"),
    "another key is signed for": (adopting(key=STRANGER.vkey), "of 'key'"),
    "for another role": (adopting(role="knight", more=1), "speaks of"),
    "at another time": (adopting(timestamp="2026-01-01T12:00:00+00:00"), "of 'timestamp'"),
    "the log's key is replaced": (adopting("log"), "the log's key is replaced"),
    "the event names another key": (adoption_changed(key=STRANGER.vkey), "of 'key'"),
    "the event names no key": (adoption_changed(key="a+b+c"), "not proper base64"),
    "the event names another role": (adoption_changed(role="log"), "of 'role'"),
    "a role that there is not": (adoption_changed(role="king"), "there is no 'king'"),
    "no statement": (adoption_changed(statement=7), "no 'statement'"),
}


@pytest.mark.parametrize("name", KEYS)
def test_a_key_that_was_not_rightly_adopted_is_caught(name: str) -> None:
    forge, what = KEYS[name]
    verdict = verdict_on(forge().bundle())
    assert (verdict.code, verdict.step) == (1, 6), verdict
    assert what in verdict.what
    assert "of the pipeline's own stream (KEY_ADOPTED" in verdict.where


def test_an_adoption_counts_on_the_pipelines_own_stream_only() -> None:
    verdict = verdict_on(adopted_elsewhere().bundle())
    assert (verdict.step, verdict.what) == (5, "it is not of the pipeline's own stream")


def test_only_adoptions_stand_among_the_events_about_keys() -> None:
    world = bundles.opened()
    world.append(PIPELINE, "PIPELINE_HALTED", actor="zoe", reason="flood")
    bundle = world.bundle()
    bundle["key_events"].append(world.bundle(PIPELINE)["events"][-1])
    verdict = verdict_on(bundle)
    assert (verdict.step, verdict.what) == (6, "it is not the adoption of a key")
    assert verdict.where == "event 3 of the pipeline's own stream (PIPELINE_HALTED, position 7)"


# -- Checkpoints -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "what"),
    [
        ("{origin}\n0{size}\n{root}\n", "is no size"),
        ("{origin}\n+{size}\n{root}\n", "is no size"),
        ("{origin}\n{size} \n{root}\n", "is no size"),
        ("{origin}\n{size}\n", "a line is empty or missing"),
        ("{origin}\n", "a line is empty or missing"),
        ("\n{origin}\n{size}\n{root}\n", "a line is empty or missing"),
        ("{origin}\n{size}\n{root}\n\nmore\n", "a line is empty or missing"),
        ("{origin}\n{size}\nAAAA\n", "is no fingerprint"),
        ("{origin}\n{size}\n{root}A\n", "is not proper base64"),
        ("{origin}\n{size}\n{root}\nmore\n", ""),
    ],
)
def test_a_checkpoint_that_the_log_signed_must_have_the_form(form: str, what: str) -> None:
    bundle = bundles.opened().bundle()
    proper = bundle["checkpoint"]
    origin, size, root = proper.split("\n")[:3]
    bundle["checkpoint"] = bundles.note(form.format(origin=origin, size=size, root=root), LOG)
    for event in [*bundle["events"], *bundle["key_events"]]:
        event["proof"] = event["proof"].replace(proper, bundle["checkpoint"])
    verdict = verdict_on(bundle)
    assert verdict.step == (3 if what else 0), verdict
    assert what in verdict.what
