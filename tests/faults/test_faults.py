"""Every fault of the suite, each a few times: ``python -m tests.faults`` lets them happen often."""

from __future__ import annotations

import pytest

from tests.faults.suite import POSTGRESQL, FaultCase, cases, perform_anywhere

SEED = 1


def _parameters() -> list[object]:
    return [
        pytest.param(
            case,
            id=str(case).replace(" ", "-"),
            marks=[pytest.mark.postgres] if case.store == POSTGRESQL else [],
        )
        for case in cases()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("case", _parameters())
async def test_nothing_is_lost_repeated_or_unexplained_after_a_fault(
    case: FaultCase, request: pytest.FixtureRequest
) -> None:
    needs_server = case.store == POSTGRESQL
    server_address = str(request.getfixturevalue("postgres_server")) if needs_server else ""
    outcome = await perform_anywhere(case, server_address, seed=SEED, few=True)
    if outcome.skipped is not None:
        pytest.skip(outcome.skipped)
    assert outcome.findings.lines() == []
    assert outcome.times == case.few
    assert outcome.motions >= case.few
