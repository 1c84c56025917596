"""Handing in results: what cannot be stored, and a store that is away."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

from governance_flow.application.ports.flow_orchestrator import BranchAssignment, BranchResult
from governance_flow.application.process_manager.reporting import ATTEMPTS
from governance_flow.domain.errors import (
    ConcurrencyConflict,
    GovernanceFlowError,
    StoreBusy,
    StoreLocked,
    StoreUnavailable,
)
from governance_flow.domain.events import OrchestratorError
from governance_flow.domain.states import GovernanceState
from tests.support.flows import Scripted, cast, failing, opened, succeeding
from tests.support.workers import Failing, replaced

S = GovernanceState
SETTINGS = {"worker": {"poll_seconds": 0.0001}}


class Trap(Scripted):
    """Does its work well, and has the store fail when that is to be recorded."""

    def __init__(self, *errors: BaseException) -> None:
        super().__init__()
        self.errors = errors
        self.store: Any = None

    async def perform(self, assignment: BranchAssignment) -> BranchResult:
        self.store.append = Failing(type(self.store).append.__get__(self.store), *self.errors)
        return await super().perform(assignment)


@pytest.mark.parametrize(
    "error",
    [StoreUnavailable, StoreBusy, StoreLocked, ConcurrencyConflict],
    ids=lambda e: e.__name__,
)
async def test_a_result_is_handed_in_again_while_the_store_is_away(
    error: type[GovernanceFlowError],
) -> None:
    duke = Trap(*(error("not now") for _ in range(ATTEMPTS - 1)))
    limits = {"limits": {"max_append_conflicts": 1}}
    async with opened(
        branches={**cast(), "duke_service": duke}, settings={**SETTINGS, **limits}
    ) as flow:
        duke.store = flow.flow.store
        # The store must not be away when the log's key is adopted: that is another matter.
        await flow.flow.audit.proofs.latest()
        motion = await flow.introduce()
        with capture_logs() as logs:
            await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED
        assert len(duke.calls) == 1
        said = [line for line in logs if line["event"] == "result not recorded yet"]
        assert len(said) == ATTEMPTS - 1


async def test_a_result_is_given_up_when_the_store_stays_away_and_the_work_is_done_again() -> None:
    duke = Trap(*(StoreUnavailable("not now") for _ in range(ATTEMPTS)))
    async with opened(branches={**cast(), "duke_service": duke}, settings=SETTINGS) as flow:
        duke.store = flow.flow.store
        # The store must not be away when the log's key is adopted: that is another matter.
        await flow.flow.audit.proofs.latest()
        motion = await flow.introduce()
        with pytest.raises(StoreUnavailable):
            await flow.idle()
        assert await flow.state(motion) is S.EXECUTING
        duke.errors = ()
        flow.clock.advance(15)
        await flow.idle()
        assert await flow.state(motion) is S.ACKNOWLEDGED
        first, second = duke.calls
        assert first.routing_id == second.routing_id
        assert len(await flow.completions(motion)) == 6


async def test_a_mistake_is_not_tried_again() -> None:
    duke = Trap(RuntimeError("a mistake"))
    async with opened(branches={**cast(), "duke_service": duke}, settings=SETTINGS) as flow:
        duke.store = flow.flow.store
        await flow.introduce()
        with capture_logs() as logs, pytest.raises(RuntimeError, match="a mistake"):
            await flow.idle()
        [line] = [line for line in logs if line["event"].startswith("failed")]
        assert line["exc_info"] is not None


@pytest.mark.parametrize(
    "answer",
    [
        succeeding({"n": float("nan")}),
        succeeding({"n": object()}),
        succeeding({"n": "a\x00b"}),
        succeeding({"n": "\udc80"}),
        succeeding({"n": "x" * 2_000_000}),
        failing("validation_error", "a\x00b"),
        succeeding(actor="a\x00b"),
        succeeding(actor=" "),
    ],
    ids=["nan", "object", "nul", "surrogate", "huge", "error", "actor", "blank actor"],
)
async def test_what_cannot_be_stored_is_a_validation_error(answer: object) -> None:
    async with opened(branches=cast(duke=[answer])) as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.idle()
        error = await flow.last(motion, OrchestratorError)
        assert (error.error_type, error.strategy) == ("validation_error", "return_to_previous")
        assert error.message.startswith("unusable result: ")
        assert await flow.state(motion) is S.ACKNOWLEDGED


@pytest.mark.parametrize(
    ("answer", "error_type", "strategy"),
    [
        (failing("system_error", "a\x00b"), "system_error", "halt_and_alert"),
        (failing("compliance_error", "a\x00b"), "compliance_error", "conclave_review"),
        (failing("cosmic_ray", "a\x00b"), "system_error", "halt_and_alert"),
        (failing("\x00"), "system_error", "halt_and_alert"),
        (failing(None, "a\x00b"), "system_error", "halt_and_alert"),
    ],
)
async def test_a_failure_that_cannot_be_stored_stays_as_grave_as_it_was(
    answer: object, error_type: str, strategy: str
) -> None:
    async with opened(branches=cast(duke=[answer])) as flow:
        motion = await flow.reach(S.EXECUTING)
        await flow.idle()
        error = await flow.last(motion, OrchestratorError)
        assert (error.error_type, error.strategy) == (error_type, strategy)
        assert error.message.startswith("unusable result: ")


async def test_what_is_refused_is_logged_and_changes_nothing() -> None:
    async with opened(branches=cast(prince=[succeeding(actor="duke_service")])) as flow:
        motion = await flow.reach(S.JUDGING)
        await flow.idle()
        # The Duke has judged what the Duke has done: recorded as a violation, not as a completion.
        completed = [c for c in await flow.completions(motion) if c.purpose == "judge"]
        assert [c.actor.id for c in completed] == ["prince_service"]
        assert "violation: collapsed_role by holder duke_service" in await flow.story(motion)


async def test_a_result_that_comes_after_the_motion_has_ended_is_refused_quietly() -> None:
    async with opened(branches=cast(conclave=[])) as flow:
        motion = await flow.reach(S.DELIBERATING)

        async def too_late(assignment: BranchAssignment) -> BranchResult:
            await flow.orchestrator.withdraw_motion(motion, "ada")
            return succeeding()(assignment)  # type: ignore[no-any-return]

        with (
            replaced(
                flow.flow.worker._dispatcher._services["conclave_service"], "script", _one(too_late)
            ),
            capture_logs() as logs,
        ):
            await flow.idle()
        assert await flow.state(motion) is S.WITHDRAWN
        assert [line["event"] for line in logs if "refused" in line["event"]] == [
            "completion refused"
        ]
        assert await flow.completions(motion) == []


def _one(answer: object) -> Any:
    return Scripted([answer]).script
