"""The text of a statement is put together by hand: it must be canonical JSON whatever is in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from governance_flow.domain.canonical import canonical_json
from governance_flow.domain.events import Actor, Authentication, Cause, ProposedTransition
from governance_flow.domain.states import EdgeKind, GovernanceState
from governance_flow.domain.witness import (
    STATEMENT_HEADER,
    CoveredEvent,
    WitnessRequest,
    WitnessStatement,
)

ODD = '"\\/\b\f\n\r\t\x00\x1f\x7f\x80\u2028\u2029\ufeff\uffff é☃𝄞{}'
"""What JSON escapes, what it need not escape, and what other formats would."""

# Half a surrogate pair cannot be encoded: no text that is stored has one.
texts = st.text(st.one_of(st.sampled_from(ODD), st.characters(codec="utf-8")), min_size=1)
zones = st.sampled_from(
    [UTC, timezone(timedelta(hours=5, minutes=30)), timezone(-timedelta(1) / 3)]
)
times = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1), timezones=zones)  # noqa: DTZ001 - the zones are drawn apart
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
ids = st.uuids(allow_nil=True)

transitions = st.builds(
    ProposedTransition,
    event_id=ids,
    correlation_id=ids,
    causation_id=st.none() | ids,
    actor=st.builds(Actor, id=texts, authenticated_by=st.sampled_from(Authentication)),
    timestamp=times,
    from_state=st.sampled_from(GovernanceState),
    to_state=st.sampled_from(GovernanceState),
    cause=st.builds(Cause, kind=st.sampled_from(EdgeKind), reason=texts, event_id=st.none() | ids),
    until=st.none() | times,
)
requests = st.builds(
    WitnessRequest,
    motion_id=ids,
    version=st.integers(1, 2**53 - 1),
    transition=transitions,
    previous_statement=st.none() | digests,
    covered=st.lists(st.builds(CoveredEvent, st.integers(1, 2**53 - 1), digests)).map(tuple),
)


@given(requests, texts)
def test_the_opening_is_the_binding_in_canonical_json(request: WitnessRequest, name: str) -> None:
    whole = canonical_json({**request.binding, "witness": name})
    statement = WitnessStatement.about(request, name)
    assert statement.text == f"{STATEMENT_HEADER}\n{whole}\n"
    assert f"{STATEMENT_HEADER}\n{whole}".startswith(request.opening)


@given(requests, texts)
def test_a_statement_binds_its_request_and_says_it_in_json(
    request: WitnessRequest, name: str
) -> None:
    statement = WitnessStatement.about(request, name)
    statement.require_binding(request)
    body = json.loads(statement.text.split("\n")[1])
    assert body.pop("witness") == name
    assert body == request.binding
    assert UUID(body["motion_id"]) == request.motion_id
