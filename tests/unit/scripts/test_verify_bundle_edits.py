"""What others can do to a bundle, the file being all they have: every change is noticed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support import bundles
from tests.support.bundles import FIRST_KNIGHT, LOG, OTHER_MOTION, STRANGER, Bundle
from tests.unit.scripts.verdicts import verdict_on

Path = tuple[str | int, ...]


@cache
def sound() -> str:
    """Return the file whose changes are tried."""
    return json.dumps(bundles.whole().bundle(), ensure_ascii=False)


def bundle() -> Bundle:
    return dict(json.loads(sound()))


def events(edit: Callable[[list[Any]], object]) -> Callable[[Bundle], object]:
    return lambda bundle: edit(bundle["events"])


def swapped(items: list[Any], one: int, other: int) -> None:
    items[one], items[other] = items[other], items[one]


def exchanged(items: list[Any], name: str, one: int, other: int) -> object:
    items[one][name], items[other][name] = items[other][name], items[one][name]
    return items


def in_state(version: int, **changes: object) -> Callable[[Bundle], object]:
    """Change what an event says."""

    def edit(bundle: Bundle) -> None:
        event = bundle["events"][version - 1]
        event["state"] = json.dumps(json.loads(event["state"]) | changes)

    return edit


def proof_line(number: int, line: str | None) -> Callable[[Bundle], object]:
    """Put another line into the proof of the eighth event, or take it out."""

    def edit(bundle: Bundle) -> None:
        lines = bundle["events"][7]["proof"].split("\n")
        lines[number : number + 1] = [line] if line is not None else []
        bundle["events"][7]["proof"] = "\n".join(lines)

    return edit


def other_log(bundle: Bundle) -> None:
    """Take the checkpoint of another log, signed by its own key, in every place."""
    world = bundles.whole()
    world.restate(world.rows[-1], title="Mend nothing")
    theirs = world.checkpoint(None, bundles.Pen(LOG.name, 2))
    replaced(bundle, theirs)


def replaced(bundle: Bundle, checkpoint: str) -> None:
    mine, bundle["checkpoint"] = bundle["checkpoint"], checkpoint
    for event in [*bundle["events"], *bundle["key_events"]]:
        event["proof"] = event["proof"].replace(mine, checkpoint)


def unsigned_root(bundle: Bundle) -> None:
    """Change a state, and the root with it, which no signature fits then."""
    world = bundles.whole()
    world.restate(world.rows[3], title="Mend nothing")
    fresh = world.bundle()
    signature = bundle["checkpoint"].rpartition("\n\n")[2]
    replaced(fresh, fresh["checkpoint"].rpartition("\n\n")[0] + "\n\n" + signature)
    bundle.update(fresh)


def another_valid_statement(bundle: Bundle) -> None:
    """Let an event carry the statement of another one, which the Knight did sign."""
    theirs = json.loads(bundle["events"][1]["state"])["statement"]
    in_state(5, statement=theirs)(bundle)


def of_other_motion(bundle: Bundle) -> None:
    """Slip in an event of another motion, with its own proof."""
    bundle["events"][1] = bundles.whole().bundle(OTHER_MOTION)["events"][1]


def under_older_checkpoint(bundle: Bundle) -> None:
    """Let one event bring a proof that the log gave earlier."""
    bundle["events"][0] = bundles.whole().bundle(size=40)["events"][0]


EDITS: dict[str, tuple[Callable[[Bundle], object], int, str, str]] = {
    "no events": (lambda b: b["events"].clear(), 1, "no events", "the file"),
    "the first event dropped": (events(lambda e: e.pop(0)), 5, "event 1 should", "event 2 (TR"),
    "a middle event dropped": (events(lambda e: e.pop(9)), 5, "event 10 should", "event 11 ("),
    "two dropped": (events(lambda e: e.__delitem__(slice(3, 5))), 5, "event 4 should", "event 6"),
    "an event doubled": (events(lambda e: e.insert(5, e[4])), 5, "event 6 should", "event 5 ("),
    "two events swapped": (events(lambda e: swapped(e, 3, 4)), 5, "event 4 should", "event 5 ("),
    "all reversed": (events(lambda e: e.reverse()), 5, "event 1 should", "event 33 ("),
    "another motion's event": (of_other_motion, 5, "another motion", "event 2 ("),
    "another motion": (
        lambda b: b.update(motion_id=OTHER_MOTION),
        5,
        "another motion",
        "event 1 (",
    ),
    "contents exchanged": (events(lambda e: exchanged(e, "state", 3, 7)), 4, "finger", "event 4"),
    "proofs exchanged": (events(lambda e: exchanged(e, "proof", 3, 7)), 4, "index 12", "event 4"),
    "positions exchanged": (
        events(lambda e: exchanged(e, "position", 3, 7)),
        4,
        "index 8",
        "event 4 (BRANCH_COMPLETED, position 12)",
    ),
    "places exchanged": (
        events(lambda e: [exchanged(e, name, 3, 7) for name in ("position", "proof")]),
        4,
        "fingerprint",
        "event 4 (",
    ),
    "versions exchanged": (events(lambda e: exchanged(e, "version", 3, 7)), 4, "fing", "event 8 ("),
    "times exchanged": (
        events(lambda e: exchanged(e, "committed_at_us", 3, 7)),
        4,
        "fingerprint",
        "event 4 (",
    ),
    "another kind of event": (
        lambda b: b["events"][3].update(topic="MOTION_AMENDED"),
        4,
        "fingerprint",
        "event 4 (MOTION_AMENDED",
    ),
    "another actor": (
        in_state(4, actor={"id": "mallory", "authenticated_by": "service"}),
        4,
        "fingerprint",
        "event 4 (BRANCH_COMPLETED",
    ),
    "another valid statement": (another_valid_statement, 4, "fingerprint", "event 5 (TRANS"),
    "no statement": (in_state(5, statement=None), 4, "no 'statement'", "event 5 ("),
    "an earlier checkpoint": (under_older_checkpoint, 4, "not for the checkpoint", "event 1 ("),
    "position 0": (
        lambda b: (
            b["events"][0].update(position=0),
            b["events"][0].update(proof=b["events"][0]["proof"].replace("index 4", "index 0")),
        ),
        4,
        "covers 43 entries",
        "event 1 (",
    ),
    "beyond the log": (
        lambda b: (
            b["events"][0].update(position=43),
            b["events"][0].update(proof=b["events"][0]["proof"].replace("index 4", "index 43")),
        ),
        4,
        "covers 43 entries",
        "event 1 (",
    ),
    "proof of version 2": (proof_line(0, "c2sp.org/tlog-proof@v2"), 4, "begins", "event 8 ("),
    "proof with extra": (proof_line(1, "extra AAAA\nindex 12"), 4, "begins", "event 8 ("),
    "index with a zero": (proof_line(1, "index 012"), 4, "begins", "event 8 ("),
    "proof too short": (proof_line(2, None), 4, "too short", "event 8 ("),
    "proof too long": (proof_line(2, "A" * 43 + "=\n" + "A" * 43 + "="), 4, "too lo", "event 8 ("),
    "proof of zeroes": (proof_line(2, "A" * 43 + "="), 4, "fingerprint", "event 8 ("),
    "proof of short hashes": (proof_line(2, "AAAA"), 4, "no fingerprint", "event 8 ("),
    "proof of no base64": (proof_line(2, "?"), 4, "not proper base64", "event 8 ("),
    "checkpoint of another log": (other_log, 3, "not signed with the log's key", "the checkpoint"),
    "checkpoint unsigned": (unsigned_root, 3, "does not fit the text", "the checkpoint"),
    "checkpoint of another name": (
        lambda b: replaced(b, bundles.whole().checkpoint(None, origin="flow.example/other")),
        3,
        "is of the log flow.example/other",
        "the checkpoint",
    ),
    "checkpoint signed by a stranger": (
        lambda b: replaced(b, bundles.whole().checkpoint(None, STRANGER)),
        3,
        "but with stranger.example/knight",
        "the checkpoint",
    ),
    "checkpoint signed by the Knight": (
        lambda b: replaced(b, bundles.whole().checkpoint(None, FIRST_KNIGHT)),
        3,
        "not signed with the log's key",
        "the checkpoint",
    ),
    "another origin": (lambda b: b.update(origin="flow.example/x"), 3, "of another", "the check"),
    "another log key": (
        lambda b: b["keys"].update(log=STRANGER.vkey),
        3,
        "not signed with the log's key",
        "the checkpoint",
    ),
    "a Knight's key forgotten": (lambda b: b["keys"]["knight"].pop(), 6, "not those", "the keys"),
    "a Knight's key added": (
        lambda b: b["keys"]["knight"].append(STRANGER.vkey),
        6,
        "not those adopted",
        "the keys",
    ),
    "keys reversed": (lambda b: b["keys"]["knight"].reverse(), 6, "not those", "the keys"),
    "an adoption dropped": (lambda b: b["key_events"].pop(), 6, "not those", "the keys"),
    "the first adoption dropped": (
        lambda b: b["key_events"].pop(0),
        6,
        "of 'previous', the signed",
        "event 3 of the pipeline's own stream",
    ),
    "the log's adoption dropped": (lambda b: b["key_events"].pop(1), 6, "the log's key", "the key"),
    "no adoptions": (
        lambda b: (b["key_events"].clear(), b["keys"]["knight"].clear()),
        6,
        "the log's key is not the one adopted",
        "the keys",
    ),
    "adoptions swapped": (
        lambda b: swapped(b["key_events"], 0, 1),
        5,
        "after a later one",
        "event 1 of the pipeline's own stream",
    ),
    "an adoption doubled": (
        lambda b: b["key_events"].insert(0, b["key_events"][0]),
        5,
        "after a later one",
        "event 1 of the pipeline's own stream",
    ),
    "an adoption that is none": (
        lambda b: b["key_events"].append(b["events"][0]),
        5,
        "not of the pipeline's own stream",
        "event 1 (MOTION_INTRODUCED",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_caught_at_its_first_fault(name: str) -> None:
    edit, step, what, where = EDITS[name]
    edited = bundle()
    edit(edited)
    verdict = verdict_on(edited)
    assert (verdict.code, verdict.step) == (1, step), verdict
    assert what in verdict.what
    assert verdict.where.startswith(where)


# -- All there is, one after the other -------------------------------------------------------------


def places(value: object, path: Path = ()) -> Iterator[Path]:
    """Yield the way to everything there is in the bundle."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def changed(value: object) -> list[object]:
    """Return other values in the place of one."""
    if isinstance(value, str):
        return ["", value + " ", value[:-1], value[1:], value + "\n", value.swapcase(), None]
    if isinstance(value, int):
        return [value + 1, value - 1, -value, float(value), str(value), 2**64, True, None]
    if isinstance(value, list):
        return [[], value[1:], [*value, value[0]], value[0], {}, None]
    return [{}, [value], None]


@pytest.mark.slow
def test_no_member_can_be_changed_or_left_out() -> None:
    tried = 0
    for path in places(bundle()):
        edited = bundle()
        *way, last = path
        place: Any = edited
        for step in way:
            place = place[step]
        before = copy.deepcopy(place[last])
        if path[-2:] != ("events", 32):  # That no later event was left out, no bundle can show.
            for other in changed(before):
                place[last] = other
                verdict = verdict_on(edited)
                assert verdict.code == 1, (path, other)
                tried += 1
            del place[last]
            assert verdict_on(edited).code == 1, path
    assert tried > 1500


def test_the_last_events_left_out_are_not_missed_but_said_to_be_unknown() -> None:
    cut = bundle()
    cut["events"].pop()
    verdict = verdict_on(cut)
    words = " ".join(verdict.output.split())
    assert verdict.code == 0
    assert "is WITNESSING." in words
    assert "NOT FINISHED" in words
    assert "It does not prove: that no event 33 exists" in words
    assert "That the log has no later event of this motion among those entries." in words


# -- The file as text ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no well-formed JSON"),
        ("[]", "no 'format'"),
        ("null", "no 'format'"),
        ("[" * 100_000, "no well-formed JSON"),
        ("{} {}", "no well-formed JSON"),
        (sound()[:-1], "no well-formed JSON"),
        ("\ufeff" + sound(), "no well-formed JSON"),
        (sound().replace('{"format"', '{"format": "x", "format"', 1), "given twice"),
        (sound().replace('"position": 4', '"position": 3, "position": 4', 1), "given twice"),
        (sound().replace(r"\"schema_version\":1", r"\"a\":1,\"a\":1", 1), "given twice"),
        (sound().replace('{"format"', '{"x": NaN, "format"', 1), "the number NaN"),
        (sound().replace('{"format"', '{"x": -Infinity, "format"', 1), "the number -Infinity"),
        (sound().replace(r"\"cost\":1.5", r"\"cost\":NaN", 1), "the number NaN"),
        (sound().replace('{"format"', '{"x": ' + "9" * 5000 + ', "format"', 1), "no well-formed"),
        (sound().replace('{"format"', r'{"\ud800": 1, "format"', 1), "no well-formed JSON"),
        (sound().replace("bundle/v1", "bundle/v2"), "the format is not"),
    ],
)
def test_a_file_that_is_no_bundle_is_refused_at_once(text: str, what: str) -> None:
    verdict = verdict_on(text)
    assert (verdict.code, verdict.step) == (1, 1), verdict
    assert what in verdict.what


CHARACTERS = st.sampled_from('0123456789abcdefABCDEF+/=-,.:;{}[]"\\ \n\r\t\0nu\u2014\u00e9\u0661')


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(
    at=st.integers(0, len(sound()) - 1),
    characters=st.one_of(st.just(""), CHARACTERS, st.characters(codec="utf-8")),
    insert=st.booleans(),
)
@example(at=0, characters=" ", insert=True)
@example(at=len(sound()) - 1, characters="\n", insert=True)
def test_one_character_changed_is_refused_or_means_the_same(
    at: int, characters: str, insert: bool
) -> None:
    """Whatever is accepted says the same in every member, and is reported in the same words."""
    edited = sound()[:at] + characters + sound()[at + (not insert) :]
    verdict = verdict_on(edited)
    if verdict.code == 0:
        assert bundles.canonical(json.loads(edited)) == bundles.canonical(bundle())
        assert verdict.output == verdict_on(sound()).output
    else:
        assert verdict.code == 1
        assert verdict.what
        assert verdict.where
