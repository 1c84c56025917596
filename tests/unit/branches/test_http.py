"""A branch over HTTP: what is sent, and what every answer means."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from governance_flow.application.ports.branch_services import CompletesLater
from governance_flow.application.ports.flow_orchestrator import (
    BranchResult,
    GovernanceBranch,
    Purpose,
)
from governance_flow.application.signing import verify_signature
from governance_flow.branches.http import HttpBranch
from governance_flow.domain.states import GovernanceState as S
from tests.support.assignments import MOTION_ID, ROUTING_ID, make_assignment
from tests.support.clock import ManualClock
from tests.support.http_server import Server

SECRET = b"the duke's own key"
DEADLINE = ManualClock().advance(hours=3)
ASSIGNMENT = make_assignment(
    Purpose.EXECUTE,
    deadline=DEADLINE,
    ballots={"ada": "yes"},
    metadata={"tasks": ["Cut the beams"]},
    outputs={Purpose.PLAN: {"tasks": []}},
    findings=("too short",),
)


@pytest.fixture
async def branch(server: Server, clock: ManualClock) -> AsyncIterator[HttpBranch]:
    branch = HttpBranch(
        f"{server.address}/assignments?token=hush",
        secret=SECRET,
        timeout_seconds=20,
        max_response_bytes=5000,
        clock=clock,
    )
    yield branch
    await branch.close()


async def fail(branch: HttpBranch) -> BranchResult:
    result = await branch.perform(ASSIGNMENT)
    assert isinstance(result, BranchResult)
    assert not result.success
    assert (result.motion_id, result.branch) == (MOTION_ID, GovernanceBranch.DUKE)
    assert (result.routing_id, result.lease_token) == (ROUTING_ID, 7)
    # What is recorded is for everybody to read.
    assert "hush" not in str(result.error)
    return result


async def test_the_assignment_is_posted_whole(branch: HttpBranch, server: Server) -> None:
    server.body = b'{"success": true}'
    await branch.perform(ASSIGNMENT)
    (request,) = server.requests
    assert request.path == "/assignments?token=hush"
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body) == {
        "motion_id": str(MOTION_ID),
        "routing_id": str(ROUTING_ID),
        "service": "duke_service",
        "branch": "duke",
        "state": "EXECUTING",
        "purpose": "execute",
        "attempt": 1,
        "deadline": "2026-01-01T15:00:00Z",
        "title": "Mend the bridge",
        "text": "The bridge is mended before the spring flood.",
        "introduced_by": "ada",
        "reference": "B/1",
        "ballots": {"ada": "yes"},
        "metadata": {"tasks": ["Cut the beams"]},
        "outputs": {"plan": {"tasks": []}},
        "findings": ["too short"],
        "amended": False,
        "policy": {},
        "lease_token": 7,
        "earlier_answers": 0,
    }


async def test_the_request_is_signed_and_names_its_routing(
    branch: HttpBranch, server: Server, clock: ManualClock
) -> None:
    await branch.perform(ASSIGNMENT)
    (request,) = server.requests
    assert request.headers["Idempotency-Key"] == str(ROUTING_ID)
    signature = request.headers["Governance-Flow-Signature"]
    assert verify_signature(SECRET, request.body, signature, now=clock.now(), tolerance_seconds=0)
    assert not verify_signature(SECRET, request.body + b" ", signature, now=clock.now())


async def test_without_a_secret_nothing_is_signed(server: Server) -> None:
    branch = HttpBranch(server.address, timeout_seconds=20)
    await branch.perform(ASSIGNMENT)
    await branch.close()
    assert "Governance-Flow-Signature" not in server.requests[0].headers


async def test_a_result_is_taken_over_whole(branch: HttpBranch, server: Server) -> None:
    server.body = json.dumps(
        {
            "success": False,
            "output": {"results": {"task-1": {"done": True, "n": [1, 2.5, None, "é"]}}},
            "next_state": "JUDGING",
            "error": "half of it",
            "error_type": "compliance_error",
            "actor": "earl of the north",
        }
    ).encode()
    assert await branch.perform(ASSIGNMENT) == BranchResult(
        MOTION_ID,
        GovernanceBranch.DUKE,
        success=False,
        output={"results": {"task-1": {"done": True, "n": [1, 2.5, None, "é"]}}},
        next_state=S.JUDGING,
        error="half of it",
        error_type="compliance_error",
        actor="earl of the north",
        routing_id=ROUTING_ID,
        lease_token=7,
    )


async def test_a_result_may_be_short(branch: HttpBranch, server: Server) -> None:
    server.body = b'{"success": true}'
    result = await branch.perform(ASSIGNMENT)
    assert isinstance(result, BranchResult)
    assert (result.success, result.output, result.next_state) == (True, {}, None)


async def test_accepted_means_later(branch: HttpBranch, server: Server) -> None:
    server.status, server.body = 202, b"whatever"
    assert await branch.perform(ASSIGNMENT) == CompletesLater()


@pytest.mark.parametrize(
    ("status", "error_type"),
    [
        (408, "timeout_error"),
        (429, "timeout_error"),
        (503, "timeout_error"),
        (504, "timeout_error"),
        (401, "permission_error"),
        (403, "permission_error"),
        (201, "system_error"),
        (204, "system_error"),
        (400, "system_error"),
        (404, "system_error"),
        (409, "system_error"),
        (422, "system_error"),
        (500, "system_error"),
        (502, "system_error"),
        (799, "system_error"),
    ],
)
async def test_a_status_stands_for_an_error_type(
    branch: HttpBranch, server: Server, status: int, error_type: str
) -> None:
    server.status, server.body = status, b"" if status == 204 else b"the mill is shut"
    result = await fail(branch)
    assert result.error_type == error_type
    assert str(status) in str(result.error)
    assert ("the mill is shut" in str(result.error)) == (status != 204)


@pytest.mark.parametrize("status", [400, 422])
async def test_a_validation_error_is_one_if_the_body_says_so(
    branch: HttpBranch, server: Server, status: int
) -> None:
    server.status = status
    server.body = b'{"error_type": "validation_error", "error": "task-1 has no name"}'
    result = await fail(branch)
    assert (result.error_type, result.error) == ("validation_error", "task-1 has no name")


async def test_a_validation_error_without_words_quotes_the_body(
    branch: HttpBranch, server: Server
) -> None:
    server.status, server.body = 422, b'{"error_type": "validation_error"}'
    result = await fail(branch)
    assert result.error_type == "validation_error"
    assert result.error == '{"error_type": "validation_error"}'


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, b'{"error_type": "timeout_error"}'),
        (422, b'{"error_type": 3}'),
        (500, b'{"error_type": "validation_error"}'),
    ],
)
async def test_no_other_body_picks_the_error_type(
    branch: HttpBranch, server: Server, status: int, body: bytes
) -> None:
    server.status, server.body = status, body
    assert (await fail(branch)).error_type == "system_error"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "result"),
        (b"<html>Welcome</html>", "<html>Welcome</html>"),
        (b"[]", "result"),
        (b"{}", "result.success"),
        (b'{"success": "yes"}', "result.success"),
        (b'{"success": true, "output": []}', "result.output"),
        (b'{"success": true, "next_state": "HEAVEN"}', "result.next_state"),
        (b'{"success": true, "branch": "king"}', "result.branch"),
        (b'{"success": true, "actor": ""}', "result.actor"),
        (b'{"success": true, "output": {"n": NaN}}', "result.output"),
        (b'{"success": true, "output": {"n": 1e999}}', "result.output"),
        (b'{"success": true, "output": {"s": "\\ud800"}}', "result"),
        (b'{"success": true, "output": {"l": ' + b"[" * 900 + b"]" * 900 + b"}}", "result"),
        (b"\xff\xfe\x00", "result"),
    ],
)
async def test_rubbish_is_a_system_error_that_shows_the_rubbish(
    branch: HttpBranch, server: Server, body: bytes, said: str
) -> None:
    server.body = body
    result = await fail(branch)
    assert result.error_type == "system_error"
    assert "is no result" in str(result.error)
    assert said in str(result.error)
    assert str(result.error).isprintable()


async def test_a_message_quotes_only_the_beginning(branch: HttpBranch, server: Server) -> None:
    server.status, server.body = 500, b"line\n\x1b[31m" + b"x" * 3000
    error = str((await fail(branch)).error)
    assert "line [31mxxx" in error
    assert error.endswith("x…")
    assert len(error) < 400


@pytest.mark.parametrize("status", [200, 500])
async def test_an_oversized_answer_is_not_read(
    branch: HttpBranch, server: Server, status: int
) -> None:
    server.status, server.body = status, b" " * 5001
    result = await fail(branch)
    assert result.error_type == "system_error"
    assert "longer than 5000 bytes" in str(result.error)


async def test_an_answer_as_long_as_allowed_is_read(branch: HttpBranch, server: Server) -> None:
    server.body = b'{"success": true}'.ljust(5000)
    result = await branch.perform(ASSIGNMENT)
    assert isinstance(result, BranchResult)
    assert result.success


async def test_a_compressed_answer_is_not_unpacked(branch: HttpBranch, server: Server) -> None:
    server.headers["Content-Encoding"] = "gzip"
    server.body = b"\x1f\x8b"
    result = await fail(branch)
    assert result.error_type == "system_error"
    assert "gzip" in str(result.error)
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(branch: HttpBranch, server: Server, status: int) -> None:
    server.status, server.headers["Location"] = status, f"{server.address}/elsewhere"
    result = await fail(branch)
    assert result.error_type == "system_error"
    assert [request.path for request in server.requests] == ["/assignments?token=hush"]


async def test_no_answer_in_time_is_a_timeout(server: Server) -> None:
    server.hang = True
    branch = HttpBranch(server.address, timeout_seconds=0.05)
    result = await fail(branch)
    await branch.close()
    assert result.error_type == "timeout_error"
    assert result.error == f"{server.address} did not answer within 0.05 s"


async def test_an_answer_that_comes_too_slowly_is_a_timeout(server: Server) -> None:
    server.trickle, server.body = True, b" " * 1_000_000
    branch = HttpBranch(server.address, timeout_seconds=0.2)
    result = await fail(branch)
    await branch.close()
    assert result.error_type == "timeout_error"


async def test_a_server_that_hangs_up_is_a_timeout(branch: HttpBranch, server: Server) -> None:
    server.hang_up = True
    result = await fail(branch)
    assert result.error_type == "timeout_error"
    assert "hung up" in str(result.error)


async def test_a_server_that_is_not_there_is_a_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        # Bound but not listening, so that nobody else can answer there.
        branch = HttpBranch(f"http://127.0.0.1:{free.getsockname()[1]}", timeout_seconds=20)
        result = await fail(branch)
        await branch.close()
    assert result.error_type == "timeout_error"
    assert "could not be reached" in str(result.error)


async def test_an_address_that_cannot_be_used_is_a_system_error() -> None:
    branch = HttpBranch("gopher://127.0.0.1/assignments", timeout_seconds=20)
    result = await fail(branch)
    await branch.close()
    assert result.error_type == "system_error"


async def test_the_secret_never_enters_the_record(branch: HttpBranch, server: Server) -> None:
    server.status, server.body = 500, b"bad signature, expected key " + SECRET
    result: Any = await fail(branch)
    assert result.error.endswith("expected key ***")
