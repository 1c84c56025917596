"""Assignments over HTTP: fetched under a lease, kept, given back, answered once."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from governance_flow.application.access.permissions import Permission
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.events import Authentication, BranchCompleted, ViolationWitnessed
from governance_flow.domain.states import GovernanceState
from tests.support.api import InProcess, fields, problem

S = GovernanceState
B = GovernanceBranch
ASSIGNMENTS = "/api/v1/assignments"


@pytest.fixture
async def president(api: InProcess) -> httpx.AsyncClient:
    return await api.worker_of(B.PRESIDENT)


async def fetched(http: httpx.AsyncClient, **more: Any) -> list[dict[str, Any]]:
    answer = await http.post(f"{ASSIGNMENTS}/fetch", json=more)
    assert answer.status_code == 200, answer.text
    assignments: list[dict[str, Any]] = answer.json()["assignments"]
    return assignments


async def planned(api: InProcess, http: httpx.AsyncClient) -> dict[str, Any]:
    """Fetch the assignment to plan a motion that was just ratified."""
    await api.played.reach(S.PLANNING)
    [assignment] = await fetched(http)
    return assignment


def answer_to(assignment: dict[str, Any], **more: Any) -> dict[str, Any]:
    names = ("motion_id", "branch", "lease_token")
    return {name: assignment[name] for name in names} | more


def place(assignment: dict[str, Any], what: str) -> str:
    return f"{ASSIGNMENTS}/{assignment['routing_id']}/{what}"


# -- Fetching --------------------------------------------------------------------------------------


async def test_a_branch_fetches_what_it_has_to_do(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    motion_id = await api.played.reach(S.PLANNING)

    [assignment] = await fetched(president, lease_seconds=60)

    routed = await api.played.routing(motion_id)
    assert assignment["routing_id"] == str(routed.routing_id)
    assert (assignment["branch"], assignment["purpose"]) == ("president", "plan")
    assert assignment["lease_token"] >= 1
    holder = await api.played.flow.assignments.holder(routed.routing_id)
    assert holder is not None
    assert holder.owner == "the president"


async def test_what_is_fetched_is_nobody_elses_until_the_lease_ends(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    other = await api.worker_of(B.PRESIDENT, "another president")
    await api.played.reach(S.PLANNING)
    [first] = await fetched(president, lease_seconds=60)

    assert await fetched(other) == []
    api.played.clock.advance(61)
    [second] = await fetched(other)

    assert second["routing_id"] == first["routing_id"]
    assert second["lease_token"] > first["lease_token"]


async def test_a_fetch_gets_no_more_than_it_asks_for(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    for _ in range(3):
        await api.played.reach(S.PLANNING)

    assert len(await fetched(president, limit=2)) == 2
    assert len(await fetched(president, limit=2)) == 1


async def test_one_fetch_serves_several_branches(api: InProcess) -> None:
    token = await api.token("both", Permission.WORK, branches=[B.PRESIDENT, B.DUKE])
    both = api.http(token)
    await api.played.reach(S.PLANNING)
    await api.played.reach(S.EXECUTING)

    branches = {one["branch"] for one in await fetched(both, limit=5)}

    assert branches == {"president", "duke"}


async def test_nothing_is_fetched_for_no_branch(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    await api.played.reach(S.PLANNING)

    assert await fetched(president, branches=[]) == []


async def test_nothing_is_fetched_while_the_pipeline_is_halted(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    await api.played.reach(S.PLANNING)
    await api.played.halt()

    assert await fetched(president) == []


async def test_another_branchs_work_is_refused_and_goes_on_record(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    await api.played.reach(S.EXECUTING)

    told = problem(
        await president.post(f"{ASSIGNMENTS}/fetch", json={"branches": ["president", "duke"]}),
        403,
        "forbidden",
    )

    assert told["reason"] == "other_branch"
    assert "duke" in told["detail"]
    [(_, denied)] = await api.played.flow.gatekeeper.denials(limit=10)
    assert (denied.reason, denied.name, denied.operation) == (
        "other_branch",
        "the president",
        "fetch_assignments",
    )


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"limit": 0}, "body.limit"),
        ({"limit": 101}, "body.limit"),
        ({"limit": "1"}, "body.limit"),
        ({"lease_seconds": 0}, "body.lease_seconds"),
        ({"lease_seconds": 10**9}, "body.lease_seconds"),
        ({"wait_seconds": -1}, "body.wait_seconds"),
        ({"wait_seconds": 61}, "body.wait_seconds"),
        ({"branches": ["parliament"]}, "body.branches.0"),
        ({"by": "somebody else"}, "body.by"),
    ],
    ids=str,
)
async def test_a_wish_that_is_none_names_the_field(
    president: httpx.AsyncClient, wish: Any, field: str
) -> None:
    told = problem(await president.post(f"{ASSIGNMENTS}/fetch", json=wish), 422, "invalid-request")

    assert fields(told) == [field]


# -- Holding ---------------------------------------------------------------------------------------


async def test_a_lease_is_extended(api: InProcess, president: httpx.AsyncClient) -> None:
    assignment = await planned(api, president)
    lease = {"lease_token": assignment["lease_token"], "lease_seconds": 600}

    answer = await president.post(place(assignment, "extend"), json=lease)

    assert (answer.status_code, answer.content) == (204, b"")
    api.played.clock.advance(500)
    assert await fetched(await api.worker_of(B.PRESIDENT, "another president")) == []


async def test_what_is_released_can_be_fetched_at_once(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    assignment = await planned(api, president)
    lease = {"lease_token": assignment["lease_token"]}

    answer = await president.post(place(assignment, "release"), json=lease)

    assert answer.status_code == 204
    [again] = await fetched(await api.worker_of(B.PRESIDENT, "another president"))
    assert again["routing_id"] == assignment["routing_id"]


@pytest.mark.parametrize("what", ["extend", "release"])
async def test_a_lease_is_only_its_holders(
    api: InProcess, president: httpx.AsyncClient, what: str
) -> None:
    assignment = await planned(api, president)
    lease = {"lease_token": assignment["lease_token"]}
    other = await api.worker_of(B.PRESIDENT, "another president")

    told = problem(await other.post(place(assignment, what), json=lease), 409, "completion-refused")

    assert told["routing_id"] == assignment["routing_id"]
    holder = await api.played.flow.assignments.holder(UUID(assignment["routing_id"]))
    assert holder is not None
    assert holder.owner == "the president"


@pytest.mark.parametrize("what", ["extend", "release"])
async def test_another_fencing_token_is_refused(
    api: InProcess, president: httpx.AsyncClient, what: str
) -> None:
    assignment = await planned(api, president)
    lease = {"lease_token": assignment["lease_token"] + 1}

    problem(await president.post(place(assignment, what), json=lease), 409, "completion-refused")


@pytest.mark.parametrize("what", ["extend", "release"])
async def test_an_assignment_that_is_not_there_is_nobodys(
    president: httpx.AsyncClient, what: str
) -> None:
    answer = await president.post(f"{ASSIGNMENTS}/{uuid4()}/{what}", json={"lease_token": 1})

    problem(answer, 409, "completion-refused")


# -- Answering -------------------------------------------------------------------------------------


async def test_an_assignment_is_completed_by_whom_the_token_names(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    assignment = await planned(api, president)
    done = answer_to(assignment, output={"tasks": ["a plank"]})

    answer = await president.post(place(assignment, "complete"), json=done)

    assert answer.status_code == 200, answer.text
    motion_id = UUID(assignment["motion_id"])
    assert await api.played.state(motion_id) is S.EXECUTING
    completed = (await api.played.completions(motion_id))[-1]
    assert completed.actor.id == "the president"
    assert completed.actor.authenticated_by is Authentication.TOKEN
    assert completed.output == {"tasks": ["a plank"]}


async def test_completed_twice_it_changes_nothing_and_gets_the_same_answer(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    assignment = await planned(api, president)
    done = answer_to(assignment)
    first = await president.post(place(assignment, "complete"), json=done)
    events = await api.played.length(UUID(assignment["motion_id"]))

    second = await president.post(place(assignment, "complete"), json=done)

    assert (second.status_code, second.json()) == (first.status_code, first.json())
    assert await api.played.length(UUID(assignment["motion_id"])) == events


async def test_a_failure_is_recorded_with_its_type(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    assignment = await planned(api, president)
    failed = answer_to(assignment, error="no ferry today", error_type="timeout_error")

    answer = await president.post(place(assignment, "fail"), json=failed)

    assert answer.status_code == 200, answer.text
    status = await api.played.status(UUID(assignment["motion_id"]))
    assert (status.current_state, status.attempt) == (S.PLANNING, 2)
    assert "no ferry today" in str(status.last_error)


@pytest.mark.parametrize(
    ("what", "more"), [("complete", {}), ("fail", {"error": "no ferry"})], ids=["complete", "fail"]
)
async def test_what_somebody_else_holds_is_not_answered_even_with_its_fencing_token(
    api: InProcess, president: httpx.AsyncClient, what: str, more: dict[str, Any]
) -> None:
    assignment = await planned(api, president)
    other = await api.worker_of(B.PRESIDENT, "another president")
    motion_id = UUID(assignment["motion_id"])
    events = await api.played.length(motion_id)

    problem(
        await other.post(place(assignment, what), json=answer_to(assignment, **more)),
        409,
        "completion-refused",
    )

    assert await api.played.length(motion_id) == events


async def test_whoever_lost_the_lease_is_too_late(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    assignment = await planned(api, president)
    api.played.clock.advance(61)
    other = await api.worker_of(B.PRESIDENT, "another president")
    [taken] = await fetched(other)

    problem(
        await president.post(place(assignment, "complete"), json=answer_to(assignment)),
        409,
        "completion-refused",
    )
    answer = await other.post(place(taken, "complete"), json=answer_to(taken))

    assert answer.status_code == 200
    assert len(await api.played.completions(UUID(taken["motion_id"]))) == 2


async def test_a_stale_fencing_token_of_ones_own_is_refused(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    first = await planned(api, president)
    api.played.clock.advance(61)
    [second] = await fetched(president)
    assert second["routing_id"] == first["routing_id"]

    problem(
        await president.post(place(first, "complete"), json=answer_to(first)),
        409,
        "completion-refused",
    )


@pytest.mark.parametrize(
    ("what", "more"), [("complete", {}), ("fail", {"error": "no ferry"})], ids=["complete", "fail"]
)
async def test_another_branchs_assignment_is_refused(
    api: InProcess, president: httpx.AsyncClient, what: str, more: dict[str, Any]
) -> None:
    assignment = await planned(api, president)
    answer = answer_to(assignment, **more) | {"branch": "duke"}

    told = problem(await president.post(place(assignment, what), json=answer), 403, "forbidden")

    assert told["reason"] == "other_branch"


async def test_an_assignment_of_another_motion_is_refused(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    assignment = await planned(api, president)
    other = await api.played.reach(S.EXECUTING)
    answer = answer_to(assignment) | {"motion_id": str(other)}

    problem(
        await president.post(place(assignment, "complete"), json=answer), 409, "completion-refused"
    )


async def test_a_motion_that_is_not_there_is_not_found(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    assignment = await planned(api, president)
    answer = answer_to(assignment) | {"motion_id": str(uuid4())}

    problem(await president.post(place(assignment, "complete"), json=answer), 404, "unknown-motion")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"lease_token": 0}, "body.lease_token"),
        ({"lease_token": "1"}, "body.lease_token"),
        ({"motion_id": "x"}, "body.motion_id"),
        ({"actor": "somebody else"}, "body.actor"),
        ({"success": True}, "body.success"),
        ({"output": []}, "body.output"),
        ({"next_state": "LOST"}, "body.next_state"),
        ({"output": {"a": "\x00"}}, "body.output"),
    ],
    ids=lambda case: case if isinstance(case, str) else "",
)
async def test_an_answer_that_is_none_names_the_field(
    api: InProcess, president: httpx.AsyncClient, body: dict[str, Any], field: str
) -> None:
    assignment = await planned(api, president)

    told = problem(
        await president.post(place(assignment, "complete"), json=answer_to(assignment) | body),
        422,
        "invalid-request",
    )

    assert fields(told) == [field]


async def test_a_step_cannot_be_skipped_and_the_attempt_is_witnessed(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    assignment = await planned(api, president)
    motion_id = UUID(assignment["motion_id"])

    told = problem(
        await president.post(
            place(assignment, "complete"), json=answer_to(assignment, next_state="ACKNOWLEDGED")
        ),
        403,
        "violation",
    )

    assert told["motion_id"] == str(motion_id)
    assert await api.played.state(motion_id) is S.PLANNING
    assert (await api.played.last(motion_id, ViolationWitnessed)).actor.id == "the president"


async def test_who_acted_for_one_branch_may_not_act_for_another_on_the_same_motion(
    stored_api: InProcess,
) -> None:
    api = stored_api
    token = await api.token("two-faced", Permission.WORK, branches=[B.PRESIDENT, B.DUKE])
    both = api.http(token)
    plan = await planned(api, both)
    motion_id = UUID(plan["motion_id"])
    await both.post(place(plan, "complete"), json=answer_to(plan))
    [work] = await fetched(both)
    assert work["branch"] == "duke"

    told = problem(await both.post(place(work, "complete"), json=answer_to(work)), 403, "violation")

    assert told["motion_id"] == str(motion_id)
    witnessed = await api.played.last(motion_id, ViolationWitnessed)
    assert witnessed.actor.id == "two-faced"
    assert witnessed.actor.authenticated_by is Authentication.TOKEN
    assert await api.played.state(motion_id) is S.EXECUTING
    done_by = [e for e in await api.played.events(motion_id) if isinstance(e, BranchCompleted)]
    assert not [e for e in done_by if e.branch is B.DUKE and e.success]


async def test_who_holds_nothing_is_refused_for_the_role_they_had(api: InProcess) -> None:
    token = await api.token("two-faced", Permission.WORK, branches=[B.PRESIDENT, B.DUKE])
    both = api.http(token)
    plan = await planned(api, both)
    await both.post(place(plan, "complete"), json=answer_to(plan))

    told = problem(
        await both.post(
            f"{ASSIGNMENTS}/{uuid4()}/complete", json=answer_to(plan) | {"branch": "duke"}
        ),
        403,
        "violation",
    )

    assert (told["actor"], told["kind"]) == ("two-faced", "collapsed_role")
    status = await api.played.status(UUID(plan["motion_id"]))
    assert status.blocking_issues == (), "they cannot block it"


# -- Looking at them -------------------------------------------------------------------------------


async def test_open_assignments_are_listed_with_who_holds_them(
    api: InProcess, president: httpx.AsyncClient
) -> None:
    assignment = await planned(api, president)
    viewer = api.http(await api.token("Cy", Permission.READ))

    answer = await viewer.get(ASSIGNMENTS, params={"branch": "president"})

    [shown] = answer.json()["assignments"]
    assert shown["routing_id"] == assignment["routing_id"]
    assert shown["lease_owner"] == "the president"
    assert "lease_token" not in shown, "whoever may only read could answer for its holder"


async def test_the_list_comes_in_pages(api: InProcess) -> None:
    viewer = api.http(await api.token("Cy", Permission.READ))
    for _ in range(3):
        await api.played.reach(S.PLANNING)
    seen: list[str] = []
    after: str | None = ""

    while after is not None:
        params: dict[str, Any] = {"limit": 1} | ({"after": after} if after else {})
        page = (await viewer.get(ASSIGNMENTS, params=params)).json()
        seen += [one["routing_id"] for one in page["assignments"]]
        after = page["next_after"]

    assert len(seen) == len(set(seen)) == 3


@pytest.mark.parametrize(
    "after", ["x", "1", f"1:{'x' * 36}", f"{10**30}:{UUID(int=1)}", f"{2**63}:{UUID(int=1)}", ":"]
)
async def test_a_place_that_is_none_in_the_list_is_refused(api: InProcess, after: str) -> None:
    viewer = api.http(await api.token("Cy", Permission.READ))

    told = problem(await viewer.get(ASSIGNMENTS, params={"after": after}), 422, "invalid-request")

    assert fields(told) == ["query.after"]
