"""Every kind of event is told in plain language, and other people's words stay other people's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, get_args
from uuid import UUID

import pytest

from governance_flow.application.audit.explain.phrases import (
    BRANCH_TITLES,
    TO_DO,
)
from governance_flow.application.audit.explain.pipeline_sentences import pipeline_sentence
from governance_flow.application.audit.explain.sentences import ENTERED, STAGES, sentence
from governance_flow.domain.branches import GovernanceBranch, Purpose
from governance_flow.domain.escalation import (
    ErrorEscalationStrategy,
    Resolution,
    Severity,
    ViolationKind,
)
from governance_flow.domain.events import (
    EVENT_TYPES,
    SYSTEM,
    Actor,
    AlertDelivered,
    Ballot,
    BranchCompleted,
    Cause,
    ConfigurationAdopted,
    EscalationResolved,
    KeyAdopted,
    MotionAmended,
    MotionEvent,
    MotionIntroduced,
    MotionRouted,
    OrchestratorError,
    PipelineEvent,
    PipelineHalted,
    PipelineResumed,
    TransitionWitnessed,
    ViolationWitnessed,
)
from governance_flow.domain.keys import KeyRole
from governance_flow.domain.states import EdgeKind
from governance_flow.domain.states import GovernanceState as S
from tests.support.motions import Scenario, person, service

ID = UUID(int=7)
AT = datetime(2026, 3, 3, 14, 5, 7, tzinfo=UTC)
ADA, ZOE, MALLORY = person("Ada"), person("Zoe"), person("Mallory")
CONCLAVE, DUKE = service("conclave_service"), service("duke_service")


def by(actor: Actor) -> dict[str, Any]:
    return {"event_id": ID, "correlation_id": ID, "actor": actor, "timestamp": AT}


def reported(purpose: Purpose, output: dict[str, Any] | None = None, **more: Any) -> Any:
    fields = {"service": "conclave_service", "branch": GovernanceBranch.CONCLAVE, "success": True}
    return BranchCompleted(
        **by(CONCLAVE), routing_id=ID, purpose=purpose, output=output or {}, **{**fields, **more}
    )


def moved(**more: Any) -> TransitionWitnessed:
    fields: dict[str, Any] = {
        "from_state": S.DELIBERATING,
        "to_state": S.RATIFIED,
        "cause": Cause(kind=EdgeKind.ADVANCE, reason="ratified by the Conclave"),
        "statement": 'governance-flow/witness-statement/v1\n{"witness":"sir test"}\n',
    }
    return TransitionWitnessed(**by(CONCLAVE), **{**fields, **more})


def failed(strategy: ErrorEscalationStrategy, **more: Any) -> OrchestratorError:
    fields: dict[str, Any] = {
        "error_type": "timeout_error",
        "message": "no answer\nTraceback: …",
        "branch": GovernanceBranch.DUKE,
        "purpose": Purpose.EXECUTE,
        "attempt": 2,
        "action": "retry 2 of 3",
    }
    return OrchestratorError(**by(SYSTEM), strategy=strategy, **{**fields, **more})


def refused(**more: Any) -> ViolationWitnessed:
    fields: dict[str, Any] = {
        "kind": ViolationKind.COLLAPSED_ROLE,
        "branch": GovernanceBranch.DUKE,
        "routing_id": None,
        "by_holder": False,
        "attempted": "completed for the duke in EXECUTING",
        "reason": "Mallory has acted for the king",
        "severity": Severity.MINOR,
    }
    return ViolationWitnessed(**by(MALLORY), **{**fields, **more})


def routed(**more: Any) -> MotionRouted:
    fields: dict[str, Any] = {
        "service": "duke_service",
        "branch": GovernanceBranch.DUKE,
        "purpose": Purpose.EXECUTE,
        "from_state": S.PLANNING,
        "state": S.EXECUTING,
        "attempt": 1,
        "configuration": "d",
    }
    return MotionRouted(**by(SYSTEM), **{**fields, **more})


BALLOTS = {"Ada": Ballot.YES, "Bo": Ballot.YES, "Cy": Ballot.NO}
VOTE = {"tally": {"yes": 57, "no": 12, "abstain": 3}}
LATER = AT + timedelta(days=2)

TOLD: list[tuple[MotionEvent, str]] = [
    (
        MotionIntroduced(
            **by(ADA),
            title="A jetty",
            text="t",
            introduced_by="Ada",
            reference="R/1",
            ballots=BALLOTS,
        ),
        (
            "Ada (by their own word) introduced the motion “A jetty”, reference “R/1”, "
            "with 3 ballots (2 yes, 1 no, 0 abstained)"
        ),
    ),
    (
        MotionIntroduced(**by(ADA), title="A jetty", text="t", introduced_by="Bo"),
        (
            "Ada (by their own word) introduced the motion “A jetty” in the name of Bo, "
            "without any ballots"
        ),
    ),
    (
        MotionAmended(**by(ADA), title="A ferry", text="t", ballots={"Bo": Ballot.NO}),
        (
            "Ada (by their own word) amended the motion: its title is now “A ferry”; its text is a "
            "new one; ballots cast before are void, 1 ballot (0 yes, 1 no, 0 abstained)"
        ),
    ),
    (
        routed(deadline=LATER),
        (
            "the orchestrator gave the motion to the Duke (duke_service) to carry out the plan, "
            "to be done by 5 March 2026 at 14:05:07 UTC"
        ),
    ),
    (
        routed(attempt=2, not_before=AT, findings=("no oak", "no steel")),
        (
            "the orchestrator gave the motion to the Duke (duke_service) to carry out the plan, "
            "attempt 2, not before 3 March 2026 at 14:05:07 UTC, because of “no oak” and “no steel”"
        ),
    ),
    (
        reported(Purpose.DELIBERATE, VOTE, next_state=S.RATIFIED),
        (
            "the Conclave (conclave_service, a configured service) voted to ratify the motion: "
            "57 yes, 12 no, 3 abstained"
        ),
    ),
    (
        BranchCompleted(
            **by(person("Bo")),
            routing_id=ID,
            service="duke_service",
            branch=GovernanceBranch.DUKE,
            purpose=Purpose.EXECUTE,
            success=False,
            error="it fell in\nTraceback",
            error_type="system_error",
        ),
        (
            "Bo (by their own word, for the Duke) reported that it could not carry out the plan: "
            "“it fell in […]” (system_error)"
        ),
    ),
    (
        moved(),
        (
            "the motion was ratified (DELIBERATING to RATIFIED): “ratified by the Conclave”, "
            "set off by the Conclave (conclave_service, a configured service) and witnessed by the "
            "Knight (sir test)"
        ),
    ),
    (
        failed(ErrorEscalationStrategy.RETRY_WITH_BACKOFF, retry_at=LATER),
        (
            "attempt 2 by the Duke to carry out the plan failed: “no answer […]” (timeout_error); "
            "the orchestrator decided that it is tried again (“retry 2 of 3”), the next attempt on "
            "5 March 2026 at 14:05:07 UTC"
        ),
    ),
    (
        EscalationResolved(**by(ZOE), error_id=ID, decision=Resolution.RETRY, notes="mended"),
        "Zoe (by their own word) decided that the motion be tried again: “mended”",
    ),
    (
        refused(),
        (
            "an act of Mallory (by their own word, for the Duke) was refused: “completed for the "
            "duke in EXECUTING”; it would have let one actor hold two roles: “Mallory has acted "
            "for the king” (a minor violation: whoever did it did not hold the assignment, so the "
            "motion was not touched)"
        ),
    ),
]
PIPELINE_TOLD: list[tuple[PipelineEvent, str]] = [
    (
        PipelineHalted(**by(ZOE), reason="a storm"),
        (
            "Zoe (by their own word) halted the whole pipeline: “a storm”; until it is resumed no "
            "motion moves, and deadlines stand still"
        ),
    ),
    (
        PipelineResumed(**by(ZOE), reason="over"),
        "Zoe (by their own word) resumed the pipeline: “over”",
    ),
    (
        ConfigurationAdopted(**by(SYSTEM), digest="0123456789abcdef", configuration={}),
        (
            "the orchestrator put a configuration in force (0123456789ab…); work handed out from "
            "then on goes by it"
        ),
    ),
    (
        AlertDelivered(**by(SYSTEM), alert_id="a", sink="post", attempts=2, motion_id=ID),
        "an alert about the motion reached post after 2 attempts",
    ),
    (
        AlertDelivered(**by(SYSTEM), alert_id="a", sink="post", attempts=1),
        "an alert about the pipeline reached post",
    ),
    (
        KeyAdopted(**by(SYSTEM), role=KeyRole.KNIGHT, key="sir+0a1b+AQ==", statement="n"),
        (
            "the orchestrator put a key in use: from then on the Knight's witness statements are "
            "signed with “sir+0a1b+AQ==”"
        ),
    ),
    (
        KeyAdopted(**by(ZOE), role=KeyRole.LOG, key="log+0a1b+AQ==", statement="n"),
        (
            "Zoe (by their own word) put a key in use: from then on the checkpoints of the audit "
            "log are signed with “log+0a1b+AQ==”"
        ),
    ),
]


@pytest.mark.parametrize(("event", "told"), TOLD)
def test_an_event_of_a_motion_is_told(event: MotionEvent, told: str) -> None:
    assert sentence(event, None) == told


@pytest.mark.parametrize(("event", "told"), PIPELINE_TOLD)
def test_an_event_of_the_pipeline_is_told(event: PipelineEvent, told: str) -> None:
    assert pipeline_sentence(event) == told


def test_every_topic_is_told() -> None:
    told = {event.topic for event, _ in [*TOLD, *PIPELINE_TOLD]}
    assert told == set(EVENT_TYPES)
    assert {type(event) for event, _ in TOLD} == set(get_args(MotionEvent))


@pytest.mark.parametrize(
    ("event", "part"),
    [
        (reported(Purpose.DELIBERATE, next_state=S.REJECTED), "voted to reject the motion"),
        (
            reported(Purpose.DELIBERATE, {**VOTE, "reason": "no quorum"}, next_state=S.TABLED),
            "voted to table the motion, 57 yes, 12 no, 3 abstained: “no quorum”",
        ),
        (
            reported(
                Purpose.DELIBERATE,
                {**VOTE, "reason": "carried: 57 yes, 12 no, 3 abstained"},
                next_state=S.RATIFIED,
            ),
            "voted to ratify the motion: “carried: 57 yes, 12 no, 3 abstained”",
        ),
        (reported(Purpose.DELIBERATE), "deliberated, but named no outcome"),
        (reported(Purpose.REVISE, {"applied": "amendment 1 of 2"}), "revised the motion: “amendm"),
        (
            reported(Purpose.REVISE, {"reason": "none is left"}, next_state=S.WITHDRAWN),
            "had no revision to make and withdrew the motion: “none is left”",
        ),
        (
            reported(Purpose.PLAN, {"tasks": [{"description": d} for d in "abcd"]}),
            "planned the motion in 4 tasks: “a”, “b”, “c” and 1 more",
        ),
        (reported(Purpose.PLAN, {"tasks": ["a"]}), "planned the motion in 1 task"),
        (reported(Purpose.PLAN, {"tasks": "many"}), "planned the motion"),
        (reported(Purpose.EXECUTE, {"results": {"a": 1, "b": 2}}), "the plan, with 2 results"),
        (reported(Purpose.EXECUTE), "carried out the plan"),
        (reported(Purpose.JUDGE, {"verdict": "met"}), "judged the result: “met”"),
        (reported(Purpose.RECORD), "recorded the outcome"),
        (reported(Purpose.ACKNOWLEDGE), "acknowledged the outcome"),
        (
            reported(Purpose.REVIEW, {"decision": "resume", "reason": "all is well"}),
            "reviewed the motion and let it go on: “all is well”",
        ),
        (reported(Purpose.REVIEW, {"decision": "return"}), "and sent it back a step"),
        (reported(Purpose.REVIEW, {"decision": "table"}), "and tabled it"),
        (reported(Purpose.REVIEW, {"decision": "reject"}), "and rejected it"),
        (reported(Purpose.REVIEW, {"decision": ["?"]}), "with “['?']”, which is no decision"),
        (
            reported(Purpose.JUDGE, success=False),
            "could not judge the result: it did not say why (an error of no stated type)",
        ),
        (
            moved(
                to_state=S.TABLED,
                until=LATER,
                cause=Cause(kind=EdgeKind.ADVANCE, reason="later"),
            ),
            "the motion was tabled until 5 March 2026 at 14:05:07 UTC",
        ),
        (moved(to_state=S.TABLED), "the motion was tabled until it is taken up"),
        (
            moved(to_state=S.INTRODUCED, cause=Cause(kind=EdgeKind.RETURN, reason="vague")),
            "the motion was sent back from deliberation to introduction",
        ),
        (moved(statement="nothing"), "witnessed by the Knight, in a statement that cannot be read"),
        (
            moved(statement="governance-flow/witness-statement/v1\n{}"),
            "in a statement that names nobody",
        ),
        (failed(ErrorEscalationStrategy.RETURN_TO_PREVIOUS), "that the motion goes back a step"),
        (failed(ErrorEscalationStrategy.CONCLAVE_REVIEW), "blocked and the Conclave reviews it"),
        (failed(ErrorEscalationStrategy.HALT_AND_ALERT), "blocked until a named person decides"),
        (
            failed(ErrorEscalationStrategy.HALT_AND_ALERT, purpose=None),
            "the transition could not be witnessed: “no answer […]”",
        ),
        (
            EscalationResolved(**by(ZOE), error_id=None, decision=Resolution.TAKE_UP, notes=""),
            "took the motion up again from the table, without giving a reason",
        ),
        (
            EscalationResolved(**by(ZOE), error_id=ID, decision=Resolution.RETURN, notes="x"),
            "decided that the motion go back a step",
        ),
        (
            EscalationResolved(**by(ZOE), error_id=ID, decision=Resolution.REVIEW, notes="x"),
            "decided that the Conclave review the motion",
        ),
        (
            refused(kind=ViolationKind.SKIPPED_STEP, by_holder=True, severity=Severity.MAJOR),
            (
                "it would have skipped a step: “Mallory has acted for the king” (a major "
                "violation: whoever did it held the assignment, so the matter is reviewed)"
            ),
        ),
    ],
)
def test_what_matters_about_it_is_told(event: MotionEvent, part: str) -> None:
    assert part in sentence(event, None)


@pytest.mark.parametrize("tally", [None, 3, {"yes": True}, {"yes": -1}, {"yes": "many"}])
def test_a_tally_that_is_none_is_not_told(tally: object) -> None:
    event = reported(Purpose.DELIBERATE, {"tally": tally}, next_state=S.RATIFIED)
    assert sentence(event, None).endswith("voted to ratify the motion")


def test_only_what_an_amendment_changed_is_told() -> None:
    motion = Scenario().motion
    same: dict[str, Any] = {"title": motion.title, "text": motion.text}
    told = sentence(MotionAmended(**by(ADA), **same), motion)
    assert told.endswith("amended the motion: ballots cast before are void, none were cast anew")
    told = sentence(MotionAmended(**by(ADA), **{**same, "text": "other"}), motion)
    assert "its text is a new one" in told
    assert "title" not in told


def test_a_decision_names_the_error_it_is_about() -> None:
    flow = Scenario().reaching(S.EXECUTING)
    flow.fails("system_error", "the roof fell in")
    event = EscalationResolved(**by(ZOE), error_id=ID, decision=Resolution.RETRY, notes="mended")
    told = sentence(event, flow.motion)
    assert told.endswith("be tried again, after “the roof fell in”: “mended”")


def test_every_word_of_the_vocabularies_has_its_phrase() -> None:
    assert set(BRANCH_TITLES) == set(GovernanceBranch)
    assert set(TO_DO) == set(Purpose)
    assert set(STAGES) == set(ENTERED) == set(S)
