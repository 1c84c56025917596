"""A client that a generator makes of nothing but the API's description does real work."""

from __future__ import annotations

import importlib
import inspect
import json
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from openapi_python_client import generate
from openapi_python_client.config import Config, ConfigFile, MetaType

from governance_flow.application.access.permissions import Role
from governance_flow.domain.branches import DUKE_SERVICE, GovernanceBranch
from governance_flow.domain.states import GovernanceState as S
from tests.support.service import Served, served

PACKAGE = "generated_governance_flow"


async def description(service: Served) -> bytes:
    async with service.http() as http:
        answer = await http.get("/api/v1/openapi.json")
    assert answer.status_code == 200
    return answer.content


def generated(document: bytes, folder: Path) -> list[Any]:
    """Generate a client's package; return what the generator had to say about the description."""
    path = folder / "openapi.json"
    path.write_bytes(document)
    # No hooks: they would have the code formatted by tools that need not be there.
    settings = ConfigFile(post_hooks=[])
    config = Config.from_sources(
        settings,
        MetaType.NONE,
        document_source=path,
        file_encoding="utf-8",
        overwrite=True,
        output_path=folder / PACKAGE,
    )
    return list(generate(config=config))


class Package:
    """The generated package: operations by tag and name, models by name."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(f"{PACKAGE}.models"), name)

    def client(self, url: str, token: str) -> Any:
        module = importlib.import_module(f"{PACKAGE}.client")
        return module.AuthenticatedClient(
            base_url=url, token=token, httpx_args={"trust_env": False}
        )

    def operation(self, tag: str, name: str) -> ModuleType:
        return importlib.import_module(f"{PACKAGE}.api.{tag}.{name}")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    """Return what is generated, importable once it has been, and forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    yield Package()
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


async def test_it_introduces_a_motion_and_completes_an_assignment(
    package: Any, tmp_path: Path
) -> None:
    async with (
        served(worker=True, external=[DUKE_SERVICE]) as service,
        AsyncExitStack() as stack,
    ):
        assert generated(await description(service), tmp_path) == []
        member = await service.token("ada", Role.MEMBER)
        branch = await service.token("planters", Role.BRANCH, branches=[GovernanceBranch.DUKE])
        ada = await stack.enter_async_context(package.client(service.url, member))
        planters = await stack.enter_async_context(package.client(service.url, branch))

        introduce = package.operation("motions", "introduce_motion").asyncio
        # Generated code puts what it is given into the header as it is: only a text can be sent.
        wanted = str(inspect.signature(introduce).parameters["x_correlation_id"].annotation)
        assert wanted.startswith("str |"), wanted
        introduced = await introduce(
            client=ada,
            body=package.Introduction.from_dict(
                {"title": "Plant trees", "text": "Forty.", "ballots": {"bo": "yes"}}
            ),
            idempotency_key="generated-1",
            x_correlation_id="5f0e4a77-8a36-4f0f-9c1d-9b11c04e7f3e",
        )
        assert introduced.new is True

        fetched = await package.operation("assignments", "fetch_assignments").asyncio(
            client=planters,
            body=package.FetchRequest(
                branches=[package.GovernanceBranch.DUKE], lease_seconds=30.0, wait_seconds=20.0
            ),
        )
        (assignment,) = fetched.assignments
        assert assignment.motion_id == introduced.motion_id
        assert assignment.outputs.to_dict()["plan"] == {"did": "plan"}
        assert assignment.ballots.to_dict() == {"bo": "yes"}

        extended = await package.operation("assignments", "extend_assignment").asyncio_detailed(
            assignment.routing_id,
            client=planters,
            body=package.LeaseExtension(lease_token=assignment.lease_token, lease_seconds=60.0),
        )
        assert extended.status_code == 204
        outcome = await package.operation("assignments", "complete_assignment").asyncio(
            assignment.routing_id,
            client=planters,
            body=package.Completion(
                lease_token=assignment.lease_token,
                motion_id=assignment.motion_id,
                branch=assignment.branch,
                output=package.CompletionOutput.from_dict({"results": {"task-1": "planted"}}),
            ),
        )
        assert (outcome.accepted, outcome.state) == (True, S.JUDGING)

        motion = await package.operation("motions", "get_motion").asyncio(
            introduced.motion_id, client=ada
        )
        assert motion.status.title == "Plant trees"
        assert motion.outputs.to_dict()["execute"] == {"results": {"task-1": "planted"}}


async def test_it_amends_title_and_text_at_once_and_reads_lists_and_refusals(
    package: Any, tmp_path: Path
) -> None:
    async with served() as service, AsyncExitStack() as stack:
        assert generated(await description(service), tmp_path) == []
        member = await service.token("ada", Role.MEMBER)
        ada = await stack.enter_async_context(package.client(service.url, member))
        motion_id = await service.played.introduce("Plant trees", introduced_by="ada")
        amended = await package.operation("motions", "amend_motion").asyncio(
            motion_id,
            client=ada,
            body=package.Amendment(title="Plant more trees", text="Sixty."),
            if_match='"1"',
        )
        assert (amended.title, amended.version) == ("Plant more trees", 2)
        moved = await package.operation("motions", "withdraw_motion").asyncio_detailed(
            motion_id, client=ada, body=package.Withdrawal(), if_match='"1"'
        )
        assert moved.status_code == 412
        assert moved.parsed.type_ == "/problems#version-moved"
        page = await package.operation("motions", "list_motions").asyncio(
            client=ada, state=package.GovernanceState.INTRODUCED, limit=5
        )
        assert [motion.motion_id for motion in page.motions] == [motion_id]
        board = await package.operation("pipeline", "get_board").asyncio(client=ada)
        assert next(state.state.value for state in board.states) == "INTRODUCED"
        stranger = await stack.enter_async_context(package.client(service.url, "gf_1_2"))
        refused = await package.operation("pipeline", "get_pipeline").asyncio(client=stranger)
        assert refused.status == 401


async def test_every_operation_that_is_described_is_generated(package: Any, tmp_path: Path) -> None:
    async with served() as service:
        document = await description(service)
    assert generated(document, tmp_path) == []
    for path in json.loads(document)["paths"].values():
        for operation in path.values():
            package.operation(operation["tags"][0], operation["operationId"])
