"""The orchestrator does with a motion what the design says, whatever befalls it, in any order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from governance_flow.application.ports.flow_orchestrator import GovernanceBranch, GovernanceState
from tests.properties.motion_model import Model
from tests.properties.motion_play import OUTSIDER, Play
from tests.properties.motion_scenes import SCENES
from tests.properties.motion_tables import BACK, HOUR, INTRODUCER, NEVER, NO_TITLE, WORK, Report

EXAMPLES = 200
STEPS = 25

SHRINKING_SECONDS = 600
"""A failure is made as short as can be before it is shown, and that takes its time."""

MEMBERS = (INTRODUCER, "max")

STATES = st.sampled_from([state.value for state in GovernanceState])
BRANCHES = st.sampled_from([branch.value for branch in GovernanceBranch])
ERROR_TYPES = st.sampled_from(
    [
        "validation_error",
        "permission_error",
        "compliance_error",
        "system_error",
        "timeout_error",
        "odd",
        None,
    ]
)
UNTIL = st.sampled_from([{}, {"until": NEVER}, {"until": 0.0}, {"until": 400 * HOUR}])
DECISIONS = st.sampled_from(["resume", "return", "table", "reject", "what?"])
RESOLUTIONS = st.sampled_from(["retry", "return", "review", "take_up"])
ANYBODY = st.sampled_from([OUTSIDER, OUTSIDER, *MEMBERS])
TIMES = st.integers(1, 4)


class MotionMachine(RuleBasedStateMachine):
    """Lets anything happen to one motion, in the model and in the real thing."""

    def __init__(self) -> None:
        super().__init__()
        self.play = Play()

    @property
    def model(self) -> Model:
        return self.play.model

    def teardown(self) -> None:
        self.play.close()

    @initialize(scene=st.sampled_from(sorted(SCENES)))
    def is_led_into_trouble(self, scene: str) -> None:
        state, trouble = SCENES[scene]
        self.play.lead_to(state)
        trouble(self.play)

    @rule()
    def is_processed(self) -> None:
        self.play.process()

    @rule(state=st.none() | STATES)
    def is_routed(self, state: str | None) -> None:
        """Route it where it is, or where it may not be."""
        self.play.route(self.model.state if state is None else state)

    @precondition(lambda self: self.model.routing)
    @rule(actor=st.none() | st.none() | st.sampled_from(MEMBERS))
    def work_goes_well(self, actor: str | None) -> None:
        self.play.holder(actor=actor)

    @precondition(lambda self: self.model.routing)
    @rule(next_state=st.none() | STATES, output=UNTIL, success=st.booleans())
    def work_proposes(self, next_state: str | None, output: dict[str, Any], success: bool) -> None:
        self.play.holder(next_state=next_state, output=output, success=success)

    @precondition(lambda self: self.play.asked_to("deliberate"))
    @rule(next_state=st.sampled_from(["TABLED", "TABLED", "REJECTED"]), until=UNTIL)
    def is_voted_down(self, next_state: str, until: dict[str, float]) -> None:
        self.play.holder(next_state=next_state, output=until)

    @precondition(lambda self: self.play.asked_to("revise"))
    @rule(
        next_state=st.sampled_from([None, None, "WITHDRAWN"]),
        output=st.sampled_from([{}, {"title": "Build a ferry"}, NO_TITLE]),
    )
    def is_revised(self, next_state: str | None, output: dict[str, str]) -> None:
        self.play.holder(next_state=next_state, output=output)

    @precondition(lambda self: self.play.asked_to("review"))
    @rule(decision=DECISIONS, until=UNTIL, times=TIMES)
    def is_reviewed(self, decision: str, until: dict[str, float], times: int) -> None:
        extra = until if decision == "table" else {}
        for _ in range(times):
            if self.play.asked_to("review"):
                self.play.holder(output={"decision": decision} | extra)

    @precondition(lambda self: self.model.routing)
    @rule(error_type=ERROR_TYPES, times=TIMES)
    def work_fails(self, error_type: str | None, times: int) -> None:
        for _ in range(times):
            self.play.holder(success=False, error_type=error_type)

    @precondition(lambda self: self.model.state in BACK)
    @rule(times=TIMES)
    def is_returned_and_comes_back(self, times: int) -> None:
        self.play.return_and_come_back(times)

    @precondition(lambda self: self.model.routing)
    @rule(times=TIMES, pause=st.sampled_from([0, 0, 149, 150]))
    def halts_and_is_tried_again(self, times: int, pause: int) -> None:
        for _ in range(times + 1):
            self.play.holder(success=False, error_type="system_error")
            self.play.time_passes(pause)
            self.play.resolve("retry", OUTSIDER)

    @precondition(lambda self: self.model.answered)
    @rule(data=st.data(), success=st.booleans())
    def a_report_is_repeated(self, data: st.DataObject, success: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.model.answered)))
        report = self.model.answered[number]
        self.play.report(replace(report, success=success, next_state=None))

    @rule(data=st.data(), branch=BRANCHES, next_state=st.none() | STATES)
    def a_stranger_reports(self, data: st.DataObject, branch: str, next_state: str | None) -> None:
        routing = self.model.routing
        open_to_others = [routing.number] if routing and routing.branch != branch else []
        number = data.draw(st.sampled_from([None, *open_to_others]))
        actor = data.draw(st.sampled_from([None, *MEMBERS]))
        self.play.report(Report(number, branch, next_state=next_state, actor=actor))

    @precondition(lambda self: self.model.superseded)
    @rule(data=st.data(), next_state=st.none() | STATES)
    def one_who_was_superseded_reports(self, data: st.DataObject, next_state: str | None) -> None:
        number = data.draw(st.sampled_from(sorted(self.model.superseded)))
        branch = self.play.real.routings[number - 1].branch
        self.play.report(Report(number, str(branch), next_state=next_state))

    @rule(by=st.sampled_from([OUTSIDER, INTRODUCER]))
    def is_amended(self, by: str) -> None:
        self.play.amend(by)

    @rule(by=st.sampled_from([OUTSIDER, OUTSIDER, INTRODUCER]))
    def is_withdrawn(self, by: str) -> None:
        self.play.withdraw(by)

    @rule(decision=RESOLUTIONS, by=ANYBODY)
    def somebody_decides(self, decision: str, by: str) -> None:
        self.play.resolve(decision, by)

    @rule(count=st.sampled_from([0, 0, 1]))
    def knight_falters_after(self, count: int) -> None:
        self.play.let_knight_falter_after(count)

    @precondition(lambda self: not self.model.halted)
    @rule()
    def the_pipeline_is_halted(self) -> None:
        self.play.halt()

    @precondition(lambda self: self.model.halted)
    @rule()
    def the_pipeline_is_resumed(self) -> None:
        self.play.resume()

    @rule(pause=st.sampled_from([1, 5, 29, 300, HOUR, 23 * HOUR, 100 * HOUR]))
    def some_time_passes(self, pause: float) -> None:
        self.play.time_passes(pause)

    @precondition(lambda self: self.model.deadline is not None)
    @rule(early=st.sampled_from([0, 0, 1]))
    def its_deadline_comes(self, early: float) -> None:
        deadline = self.model.deadline
        assert deadline is not None
        if deadline - early > self.model.now:
            self.play.time_passes(deadline - early - self.model.now)
        self.play.process()

    @precondition(lambda self: not self.model.halted and self.model.statements_left is None)
    @rule()
    def another_motion_wants_the_place_or_gives_it_back(self) -> None:
        self.play.let_rival_come_or_go()

    @rule()
    def the_dashboard_is_read(self) -> None:
        self.play.compare_dashboard()

    @invariant()
    def a_live_motion_waits_for_somebody(self) -> None:
        assert self.model.terminal or self.model.next_action is not None


MotionMachine.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=STEPS, report_multiple_bugs=False
)


@pytest.mark.parametrize("scene", SCENES)
def test_whoever_it_waits_for_can_bring_it_out_of_trouble(scene: str) -> None:
    state, trouble = SCENES[scene]
    play = Play()
    try:
        play.lead_to(state)
        trouble(play)
        for _ in range(STEPS):
            match play.model.next_action:
                case None:
                    break
                case ("person",) if play.model.halted:
                    play.resume()
                case ("person",):
                    play.resolve("retry", OUTSIDER)
                case ("taking_up",):
                    play.resolve("take_up", OUTSIDER)
                case ("branch", *_):
                    play.holder()
                case _:
                    play.process()
        assert play.model.terminal
    finally:
        play.close()


def test_whom_one_who_has_acted_for_a_branch_may_act_for_besides() -> None:
    """Every pair of branches: the one acted for, and then the other."""
    for state in ("INTRODUCED", *WORK):
        for other in GovernanceBranch:
            play = Play()
            try:
                play.lead_to(state)
                actor = INTRODUCER if state == "INTRODUCED" else "max"
                play.holder(actor=actor)
                play.report(Report(None, str(other), actor=actor))
            finally:
                play.close()


TestOneMotion = pytest.mark.timeout(SHRINKING_SECONDS)(MotionMachine.TestCase)
