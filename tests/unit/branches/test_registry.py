"""From the configuration to services: each kind, overrides, mistakes, and closing."""

from __future__ import annotations

from typing import Any

import pytest

from governance_flow.application.ports.branch_services import CompletesLater
from governance_flow.application.ports.flow_orchestrator import BranchAssignment, Purpose
from governance_flow.application.signing import verify_signature
from governance_flow.branches.conclave import Conclave
from governance_flow.branches.external import external_services
from governance_flow.branches.http import HttpBranch
from governance_flow.branches.registry import Branches, build_branches
from governance_flow.branches.rehearsal import Rehearsal
from governance_flow.domain.branches import SERVICE_BRANCH
from governance_flow.domain.configuration import FlowConfiguration
from governance_flow.domain.errors import ConfigurationError
from governance_flow.domain.states import GovernanceState as S
from tests.support.assignments import make_assignment
from tests.support.clock import ManualClock
from tests.support.http_server import Server


class Later:
    """A service that can be closed."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.trouble = trouble
        self.closed = 0

    async def perform(self, assignment: BranchAssignment) -> CompletesLater:
        return CompletesLater()

    async def close(self) -> None:
        self.closed += 1
        if self.trouble is not None:
            raise self.trouble


def configured(**branches: Any) -> FlowConfiguration:
    return FlowConfiguration.model_validate({"branches": branches})


async def output(branches: Branches, purpose: Purpose, **changes: Any) -> dict[str, Any]:
    assignment = make_assignment(purpose, **changes)
    result = await branches[assignment.service].perform(assignment)
    assert not isinstance(result, CompletesLater)
    assert result.success, result.error
    return result.output


async def test_by_default_every_service_is_built_in_and_may_rehearse() -> None:
    branches = build_branches(FlowConfiguration(), environ={})
    assert set(branches) == set(SERVICE_BRANCH)
    assert all(isinstance(service, Rehearsal) for service in branches.values())
    await branches.close()


async def test_each_built_in_service_stands_under_its_own_name() -> None:
    branches = build_branches(FlowConfiguration(), environ={})
    planned = {Purpose.PLAN: {"tasks": [{"id": "t", "description": "work"}]}}
    executed = {Purpose.EXECUTE: {"results": {"t": {"done": True}}}}
    voted = {Purpose.DELIBERATE: {"outcome": "RATIFIED"}}
    judged: dict[Purpose, Any] = {Purpose.JUDGE: {"judged": {"t": []}}}
    assert "reason" in await output(branches, Purpose.REVISE)
    assert "tally" in await output(branches, Purpose.DELIBERATE)
    assert "tasks" in await output(branches, Purpose.PLAN)
    assert "results" in await output(branches, Purpose.EXECUTE, outputs=planned)
    assert "verdict" in await output(branches, Purpose.JUDGE, outputs=planned | executed)
    whole = planned | executed | voted | judged
    assert "digest" in await output(branches, Purpose.RECORD, outputs=whole)


async def test_what_is_injected_reaches_its_service(clock: ManualClock) -> None:
    asked = []

    class Watched:
        async def carry_out(self, task: Any) -> dict[str, Any]:
            return {"by": "watched"}

    async def read_record(motion_id: object) -> None:
        asked.append(motion_id)

    clock.advance(hours=24 * 366 * 100)
    branches = build_branches(
        FlowConfiguration(), environ={}, earl=Watched(), read_record=read_record, clock=clock
    )
    planned = {Purpose.PLAN: {"tasks": [{"id": "t", "description": "work"}]}}
    executed = await output(branches, Purpose.EXECUTE, outputs=planned)
    assert executed == {"results": {"t": {"by": "watched"}}}
    await branches["knight_witness_service"].perform(make_assignment(Purpose.RECORD))
    assert len(asked) == 1
    metadata = {"table_until": "2061-07-28T00:00:00Z"}
    assert "until" not in await output(branches, Purpose.DELIBERATE, metadata=metadata)


async def test_external_services_do_not_run_here() -> None:
    configuration = configured(duke_service={"kind": "external"}, king_service={"kind": "external"})
    assert external_services(configuration) == {"duke_service", "king_service"}
    branches = build_branches(configuration, environ={})
    assert set(branches) == set(SERVICE_BRANCH) - {"duke_service", "king_service"}
    assert len(branches) == 4


async def test_an_override_takes_the_place_of_anything() -> None:
    configuration = configured(
        duke_service={"kind": "external"},
        prince_service={"kind": "python", "target": "no_such_module:Prince"},
    )
    duke, prince = Later(), Later()
    branches = build_branches(
        configuration, {"duke_service": duke, "prince_service": prince}, environ={}
    )
    assert branches["duke_service"] is duke
    assert branches["prince_service"] is prince


async def test_a_python_branch_is_imported_and_gets_its_options() -> None:
    target = f"{Conclave.__module__}:Conclave"
    branches = build_branches(
        configured(
            conclave_service={"kind": "python", "target": target, "options": {"clock": None}}
        ),
        environ={},
    )
    assert not isinstance(branches["conclave_service"], Rehearsal)
    ballots = {"ada": "yes"}
    result = await branches["conclave_service"].perform(
        make_assignment(Purpose.DELIBERATE, ballots=ballots)
    )
    assert getattr(result, "next_state", None) is S.RATIFIED


async def test_an_http_branch_signs_with_the_secret_of_the_environment(
    server: Server, clock: ManualClock
) -> None:
    branch = {"kind": "http", "url": server.address, "secret_env": "DUKE_SECRET"}
    branches = build_branches(
        configured(duke_service=branch), environ={"DUKE_SECRET": "hush"}, clock=clock
    )
    await branches["duke_service"].perform(make_assignment(Purpose.EXECUTE))
    await branches.close()
    (request,) = server.requests
    header = request.headers["Governance-Flow-Signature"]
    assert verify_signature(b"hush", request.body, header, now=clock.now(), tolerance_seconds=0)


async def test_an_http_branch_has_its_own_time_and_size(server: Server) -> None:
    server.hang = True
    branch = {"kind": "http", "url": server.address, "attempt_timeout_seconds": 0.05}
    configuration = FlowConfiguration.model_validate(
        {"branches": {"duke_service": branch}, "limits": {"max_output_bytes": 10}}
    )
    branches = build_branches(configuration, environ={})
    result = await branches["duke_service"].perform(make_assignment(Purpose.EXECUTE))
    assert getattr(result, "error_type", None) == "timeout_error"
    await branches.close()
    server.hang = False
    server.body = b" " * 10_011
    configuration = FlowConfiguration.model_validate(
        {
            "branches": {"duke_service": branch | {"attempt_timeout_seconds": 20}},
            "limits": {"max_output_bytes": 10},
        }
    )
    branches = build_branches(configuration, environ={})
    result = await branches["duke_service"].perform(make_assignment(Purpose.EXECUTE))
    assert "longer than 10010 bytes" in str(getattr(result, "error", None))
    await branches.close()


@pytest.mark.parametrize("environ", [{}, {"DUKE_SECRET": ""}])
def test_a_secret_that_is_not_there_is_named_by_its_variable(environ: dict[str, str]) -> None:
    branch = {"kind": "http", "url": "https://duke.example", "secret_env": "DUKE_SECRET"}
    with pytest.raises(ConfigurationError, match=r"branches\.duke_service\.secret_env.*DUKE_SEC"):
        build_branches(configured(duke_service=branch), environ=environ)


def test_the_secret_comes_from_the_process_unless_an_environment_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DUKE_SECRET", "hush")
    branch = {"kind": "http", "url": "https://duke.example", "secret_env": "DUKE_SECRET"}
    assert isinstance(build_branches(configured(duke_service=branch))["duke_service"], HttpBranch)


def test_an_override_of_an_unknown_service_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"no branch service 'baron_service'.*king_serv"):
        build_branches(FlowConfiguration(), {"baron_service": Later()}, environ={})


@pytest.mark.parametrize("override", [object(), Later, "later"])
def test_an_override_that_is_no_service_is_refused(override: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"branches\['duke_service'\]"):
        build_branches(FlowConfiguration(), {"duke_service": override}, environ={})


def test_an_earl_that_is_none_is_refused() -> None:
    earl: Any = Later()
    with pytest.raises(ConfigurationError, match="earl is a Later"):
        build_branches(FlowConfiguration(), environ={}, earl=earl)


async def test_closing_closes_what_was_made_here_and_nothing_else() -> None:
    made, given = Later(), Later()
    branches = Branches({"duke_service": made, "king_service": given}, frozenset({"duke_service"}))
    await branches.close()
    assert (made.closed, given.closed) == (1, 0)


async def test_one_that_cannot_be_closed_keeps_no_other_open() -> None:
    services = {name: Later(OSError("stuck")) for name in ("duke_service", "king_service")}
    services["prince_service"] = Later()
    with pytest.raises(ExceptionGroup) as caught:
        await Branches(services, frozenset(services)).close()
    assert [service.closed for service in services.values()] == [1, 1, 1]
    notes = {note for error in caught.value.exceptions for note in error.__notes__}
    assert notes == {"while closing duke_service", "while closing king_service"}
