"""Whatever trouble there is, the built-in services come to an end of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.domain.escalation import ERROR_TYPE_MAP
from governance_flow.domain.states import GovernanceState as S
from tests.support.rehearsals import BuiltInScenario

MOTION: dict[str, Any] = {
    "title": "Mend the bridge",
    "text": "Before the flood.",
    "introduced_by": "ada",
    "ballots": {"ada": "yes"},
}

failures = st.builds(
    lambda kind, times: {"fail": kind, "times": times},
    st.sampled_from([*ERROR_TYPE_MAP, "cosmic_ray"]),
    st.integers(1, 10),
)
collapses = st.builds(lambda name: {"act_as": name}, st.sampled_from(list(SERVICE_BRANCH)))
skips = st.builds(lambda state: {"propose": state.value}, st.sampled_from(list(S)))
purposes = st.sampled_from(
    ["revise", "deliberate", "plan", "execute", "judge", "record", "acknowledge", "review"]
)
answers = st.sampled_from(["resume", "return", "table", "reject", "perhaps"])


@settings(max_examples=60)
@given(
    st.dictionaries(purposes, failures | collapses | skips, max_size=4),
    answers | st.lists(answers, max_size=4),
    st.lists(st.fixed_dictionaries({"text": st.sampled_from(["a", "b"])}), max_size=3),
)
async def test_no_motion_goes_round_in_circles(
    rehearse: dict[str, Any], review: object, amendments: list[dict[str, Any]]
) -> None:
    flow = BuiltInScenario(
        MOTION | {"rehearse": rehearse, "review": review, "amendments": amendments}
    )
    await flow.run()
    motion = flow.motion
    waits_for_a_person = motion.block is not None and motion.block.needs_person
    assert motion.terminal or motion.state is S.TABLED or waits_for_a_person


@pytest.mark.parametrize(
    ("metadata", "state"),
    [
        ({"rehearse": "everything"}, S.WITHDRAWN),
        ({"tasks": "everything"}, S.TABLED),
        ({"table_until": "some day", "ballots": {}}, S.WITHDRAWN),
        ({"rehearse": {"deliberate": {"fail": "validation_error"}}, "amendments": 3}, S.TABLED),
    ],
)
async def test_a_motion_that_says_nonsense_ends_or_waits(
    metadata: dict[str, Any], state: S
) -> None:
    flow = BuiltInScenario(MOTION | metadata)
    await flow.run()
    assert flow.state is state
