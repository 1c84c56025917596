"""Statements and their chain, checked with nothing but hashlib and json."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest

from governance_flow.domain.canonical import canonical_json
from governance_flow.domain.errors import WitnessFailed
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.events import SYSTEM, TransitionWitnessed
from governance_flow.domain.states import EdgeKind, GovernanceState
from governance_flow.domain.witness import (
    CoveredEvent,
    WitnessRequest,
    WitnessStatement,
)
from tests.support.motions import MOTION_ID, NOON, Scenario, encoded, honest_knight, person

S = GovernanceState
HEADER = "governance-flow/witness-statement/v1"


def eventful() -> Scenario:
    """Return a motion to which a lot has happened, ended and witnessed."""
    flow = Scenario()
    flow.amend(title="Build a ferry")
    flow.reaching(S.DELIBERATING)
    flow.succeeds({"until": "2026-03-03T12:00:00+02:00"}, next_state=S.TABLED)
    flow.wait(days=3).reaching(S.EXECUTING)
    flow.fails("validation_error", "größer ☃")
    flow.fails("system_error")
    flow.resolve(Resolution.RETRY)
    flow.succeeds()
    flow.fails("compliance_error")
    flow.review("resume")
    return flow.reaching(S.ACKNOWLEDGED)


def asked(flow: Scenario | None = None) -> WitnessRequest:
    """Return what the Knight is asked when a plan is complete."""
    requests: list[WitnessRequest] = []

    def knight(request: WitnessRequest) -> WitnessStatement:
        requests.append(request)
        return honest_knight(request)

    flow = flow or Scenario().reaching(S.PLANNING)
    flow.knight = knight
    flow.succeeds()
    return requests[0]


def statement_of(body: Any) -> WitnessStatement:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return WitnessStatement(f"{HEADER}\n{text}\n")


def body_of(event: TransitionWitnessed) -> dict[str, Any]:
    header, body, blank, *signatures = event.statement.split("\n")
    assert (header, blank, len(signatures)) == (HEADER, "", 2)
    said: dict[str, Any] = json.loads(body)
    return said


# -- The chain ---------------------------------------------------------------------------------


def test_no_byte_of_a_motion_that_has_moved_on_is_uncovered() -> None:
    flow = eventful()
    covered = [
        (event["version"], event["sha256"])
        for moved in flow.events
        if isinstance(moved, TransitionWitnessed)
        for event in body_of(moved)["covers"]
    ]
    all_but_the_last = flow.stored[:-1]
    assert covered == [
        (version, sha256(stored).hexdigest())
        for version, stored in enumerate(all_but_the_last, start=1)
    ]
    assert isinstance(flow.events[-1], TransitionWitnessed)


def test_every_statement_names_the_one_before_by_its_digest() -> None:
    flow = eventful()
    moves = [event for event in flow.events if isinstance(event, TransitionWitnessed)]
    assert body_of(moves[0])["previous_statement"] is None
    for before, after in pairwise(moves):
        digest = sha256(before.statement.encode()).hexdigest()
        assert body_of(after)["previous_statement"] == digest
        assert WitnessStatement(before.statement).digest == digest


def test_a_statement_says_what_moved_where_when_by_whom_and_why() -> None:
    flow = eventful()
    for version, event in enumerate(flow.events, start=1):
        if not isinstance(event, TransitionWitnessed):
            continue
        said = body_of(event)
        assert said["motion_id"] == str(MOTION_ID)
        assert said["version"] == version
        assert (said["from"], said["to"]) == (event.from_state, event.to_state)
        assert said["actor"] == {
            "id": event.actor.id,
            "authenticated_by": event.actor.authenticated_by,
        }
        assert said["cause"]["kind"] == event.cause.kind
        assert said["cause"]["reason"] == event.cause.reason
        assert said["cause"]["event_id"] == (
            str(event.cause.event_id) if event.cause.event_id else None
        )
        assert said["timestamp"] == event.timestamp.isoformat()
        assert said["until"] == (event.until.isoformat() if event.until else None)
        assert said["witness"] == "sir test"


def test_the_chain_reaches_to_the_latest_event() -> None:
    flow = Scenario().reaching(S.DELIBERATING)
    moved, routed = flow.events[-2:]
    assert isinstance(moved, TransitionWitnessed)
    digest = sha256(moved.statement.encode()).hexdigest()
    assert flow.chain.previous_statement == digest
    assert flow.chain.covered == (
        CoveredEvent(2, sha256(encoded(moved)).hexdigest()),
        CoveredEvent(3, sha256(encoded(routed)).hexdigest()),
    )


# -- Binding -----------------------------------------------------------------------------------


def test_a_statement_about_the_request_binds_it() -> None:
    request = asked()
    statement = WitnessStatement.about(request, "Sir Gawain ☃")
    statement.require_binding(request)
    assert statement.body() == {**request.binding, "witness": "Sir Gawain ☃"}


def test_canonical_json_is_sorted_dense_and_leaves_letters_as_they_are() -> None:
    assert canonical_json({"b": ["☃", 1], "a": None}) == '{"a":null,"b":["☃",1]}'


def test_a_signature_below_the_body_leaves_the_binding_as_it_is() -> None:
    request = asked()
    plain = WitnessStatement.about(request, "sir test")
    signed = WitnessStatement(plain.text + "signature: 0xabc\n")
    signed.require_binding(request)
    WitnessStatement(plain.text.rstrip("\n")).require_binding(request)
    assert signed.digest != plain.digest


def changed(request: WitnessRequest, **fields: Any) -> WitnessRequest:
    return replace(request, transition=replace(request.transition, **fields))


OTHER_REQUESTS: dict[str, Callable[[WitnessRequest], WitnessRequest]] = {
    "motion_id": lambda r: replace(r, motion_id=UUID(int=5)),
    "version": lambda r: replace(r, version=r.version + 1),
    "from": lambda r: changed(r, from_state=S.RATIFIED),
    "to": lambda r: changed(r, to_state=S.JUDGING),
    "cause": lambda r: changed(
        r, cause=r.transition.cause.model_copy(update={"kind": EdgeKind.RETURN})
    ),
    "actor": lambda r: changed(r, actor=person(r.transition.actor.id)),
    "timestamp": lambda r: changed(r, timestamp=NOON.replace(microsecond=1)),
    "until": lambda r: changed(r, until=NOON),
    "previous_statement": lambda r: replace(r, previous_statement=None),
    "covers": lambda r: replace(r, covered=r.covered[1:]),
}


@pytest.mark.parametrize("field", OTHER_REQUESTS)
def test_a_statement_about_anything_else_does_not_bind(field: str) -> None:
    request = asked()
    other = OTHER_REQUESTS[field](request)
    message = f"^the witness statement does not bind the transition: {field}$"
    with pytest.raises(WitnessFailed, match=message) as failed:
        WitnessStatement.about(other, "sir test").require_binding(request)
    assert failed.value.motion_id == request.motion_id


def test_every_field_of_a_statement_is_tried_above() -> None:
    assert set(OTHER_REQUESTS) == set(asked().binding)


@pytest.mark.parametrize(
    "part",
    [
        lambda r: changed(r, cause=r.transition.cause.model_copy(update={"reason": "other"})),
        lambda r: changed(r, cause=r.transition.cause.model_copy(update={"event_id": None})),
        lambda r: changed(r, actor=SYSTEM.model_copy(update={"id": "president_service"})),
        lambda r: replace(r, covered=tuple(reversed(r.covered))),
        lambda r: replace(r, covered=(r.covered[0]._replace(sha256="0" * 64), *r.covered[1:])),
        lambda r: replace(r, covered=(r.covered[0]._replace(version=9), *r.covered[1:])),
    ],
)
def test_no_part_of_a_field_may_differ(part: Callable[[WitnessRequest], WitnessRequest]) -> None:
    request = asked()
    with pytest.raises(WitnessFailed, match="does not bind"):
        WitnessStatement.about(part(request), "sir test").require_binding(request)


@pytest.mark.parametrize("field", [*OTHER_REQUESTS, "extra"])
def test_no_field_may_be_missing_or_added(field: str) -> None:
    request = asked()
    body = {**request.binding, "witness": "sir test"}
    if field == "extra":
        body[field] = None
    else:
        del body[field]
    with pytest.raises(WitnessFailed, match=f"does not bind the transition: {field}$"):
        statement_of(body).require_binding(request)


@pytest.mark.parametrize("witness", [None, "", 7, ["sir test"]])
def test_a_statement_names_its_witness(witness: Any) -> None:
    request = asked()
    with pytest.raises(WitnessFailed, match="does not name its witness"):
        statement_of({**request.binding, "witness": witness}).require_binding(request)
    with pytest.raises(WitnessFailed, match="does not name its witness"):
        statement_of(request.binding).require_binding(request)


def test_one_and_true_and_a_key_said_twice_are_told_apart() -> None:
    request = replace(asked(), version=1)
    good = WitnessStatement.about(request, "sir test").text
    good_version = '"version":1,"witness"'
    assert good.count(good_version) == 1
    for other in ("true", "1.0", '2,"version":1'):
        text = good.replace(good_version, f'"version":{other},"witness"')
        with pytest.raises(WitnessFailed, match="is not canonical JSON"):
            WitnessStatement(text).require_binding(request)
    spaced = good.replace(good_version, '"version": 1,"witness"')
    with pytest.raises(WitnessFailed, match="is not canonical JSON"):
        WitnessStatement(spaced).require_binding(request)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "does not begin with"),
        (HEADER, "does not begin with"),
        ("governance-flow/witness-statement/v2\n{}\n", "does not begin with"),
        (f"{HEADER}\nnot json\n", "is not JSON"),
        (f"{HEADER}\n\n", "is not JSON"),
        (f"{HEADER}\n[]\n", "is not an object"),
        (f"{HEADER}\nnull\n", "is not an object"),
        (f"{HEADER}\n{'[' * 100_000}\n", "is not JSON"),
        (f'{HEADER}\n{{"witness":"\ud800"}}\n', "cannot be encoded"),
    ],
)
def test_rubbish_is_a_witness_failure_and_nothing_worse(text: str, fault: str) -> None:
    with pytest.raises(WitnessFailed, match=fault):
        WitnessStatement(text).require_binding(asked())


def test_a_knight_who_witnesses_something_else_makes_no_transition() -> None:
    flow = Scenario().reaching(S.PLANNING)
    flow.knight = lambda r: WitnessStatement.about(replace(r, version=r.version + 1), "sir test")
    flow.succeeds()
    assert flow.story[1:] == ["error: system_error, halt_and_alert"]
    assert flow.state is S.PLANNING
