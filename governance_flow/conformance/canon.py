"""The canonical flow, stated anew from its description, in the words that stand in the events."""

from __future__ import annotations

from typing import NamedTuple

INTRODUCED = "INTRODUCED"
DELIBERATING = "DELIBERATING"
RATIFIED = "RATIFIED"
PLANNING = "PLANNING"
EXECUTING = "EXECUTING"
JUDGING = "JUDGING"
WITNESSING = "WITNESSING"
TABLED = "TABLED"
ACKNOWLEDGED = "ACKNOWLEDGED"
REJECTED = "REJECTED"
WITHDRAWN = "WITHDRAWN"

ENDS = frozenset({ACKNOWLEDGED, REJECTED, WITHDRAWN})
"""Where nothing more happens."""

PLACED = frozenset({DELIBERATING, RATIFIED, PLANNING, EXECUTING, JUDGING, WITNESSING})
"""Where a motion holds one of the places."""

AMENDABLE = frozenset({INTRODUCED, TABLED})

ADVANCE, RETURN, REVIEW, WITHDRAW = "advance", "return", "review", "withdraw"
"""Why a motion moves."""

RETURNS = {
    DELIBERATING: INTRODUCED,
    PLANNING: DELIBERATING,
    EXECUTING: PLANNING,
    JUDGING: EXECUTING,
    WITNESSING: JUDGING,
}
"""Where findings send a motion back to."""

TABLE = frozenset(
    {
        (INTRODUCED, DELIBERATING, ADVANCE),
        (DELIBERATING, RATIFIED, ADVANCE),
        (DELIBERATING, REJECTED, ADVANCE),
        (DELIBERATING, TABLED, ADVANCE),
        (RATIFIED, PLANNING, ADVANCE),
        (PLANNING, EXECUTING, ADVANCE),
        (EXECUTING, JUDGING, ADVANCE),
        (JUDGING, WITNESSING, ADVANCE),
        (WITNESSING, ACKNOWLEDGED, ADVANCE),
        (TABLED, DELIBERATING, ADVANCE),
        (INTRODUCED, WITHDRAWN, WITHDRAW),
        (DELIBERATING, WITHDRAWN, WITHDRAW),
        (TABLED, WITHDRAWN, WITHDRAW),
    }
    | {(source, target, RETURN) for source, target in RETURNS.items()}
    | {(source, end, REVIEW) for source in PLACED | {INTRODUCED} for end in (TABLED, REJECTED)}
)
"""Every transition there is: from, to, and why."""


class Work(NamedTuple):
    """A kind of work: who does it, for which branch, and what to call it in a sentence."""

    service: str
    branch: str
    words: str


WORK = {
    "revise": Work("king_service", "king", "the King's revision"),
    "deliberate": Work("conclave_service", "conclave", "the Conclave's deliberation"),
    "plan": Work("president_service", "president", "the President's plan"),
    "execute": Work("duke_service", "duke", "the Duke's execution of the plan"),
    "judge": Work("prince_service", "prince", "the Prince's judgement"),
    "record": Work("knight_witness_service", "knight", "the Knight's record of the outcome"),
    "acknowledge": Work("conclave_service", "conclave", "the Conclave's acknowledgement"),
    "review": Work("conclave_service", "conclave", "a review by the Conclave"),
}
"""Every kind of work, by its purpose."""

OWNED = {
    INTRODUCED: ("revise",),
    DELIBERATING: ("deliberate",),
    PLANNING: ("plan",),
    EXECUTING: ("execute",),
    JUDGING: ("judge",),
    WITNESSING: ("record", "acknowledge"),
}
"""The work that belongs to each state, in order. An introduced motion has some once returned."""

FINISHING = {
    PLANNING: "plan",
    EXECUTING: "execute",
    JUDGING: "judge",
    WITNESSING: "acknowledge",
}
"""The work that must be done before a motion advances out of a state."""

STEPS = ("deliberate", "plan", "execute", "judge", "record", "acknowledge")
"""The six steps that follow on the first, the introduction."""

VOTES = frozenset({RATIFIED, REJECTED, TABLED})
"""What a deliberation may propose."""

TURN_BACK, ASK_CONCLAVE, STOP, TRY_AGAIN = (
    "return_to_previous",
    "conclave_review",
    "halt_and_alert",
    "retry_with_backoff",
)
"""What is done about an error."""

STRATEGIES = {
    "validation_error": TURN_BACK,
    "permission_error": ASK_CONCLAVE,
    "compliance_error": ASK_CONCLAVE,
    "timeout_error": TRY_AGAIN,
}
"""What each type of error asks for; every other type asks for a halt."""

STRATEGY_WORDS = {
    TURN_BACK: "a return to the state before",
    ASK_CONCLAVE: "a review by the Conclave",
    STOP: "a halt until a named person decides",
    TRY_AGAIN: "another try",
}
"""What to call them in a sentence."""

SELF_JUDGES = frozenset({"conclave", "knight"})
"""Branches whose own offences no review decides about: a named person does."""

NOT_A_PERSON = frozenset({"system", "service"})
"""Ways to be authenticated that make nobody a named person."""

SAYS_RESUME = "resume"
SAYS_RETURN = "return"
REVIEW_TARGETS = {"table": TABLED, "reject": REJECTED}
"""Where a review's answer sends a motion, if it does not go on or go back."""


def words_of(purpose: object) -> str:
    """Return what to call a kind of work in a sentence, also one that does not exist."""
    work = WORK.get(purpose) if isinstance(purpose, str) else None
    return f"“{purpose}”" if work is None else work.words


def strategy_of(error_type: str | None) -> str:
    """Return what an error of this type asks for, before anything else is looked at."""
    return STRATEGIES.get(error_type or "", STOP)


def undone_by(target: str) -> frozenset[str]:
    """Return the steps that do not stand any more once a motion is back in ``target``."""
    if target in (INTRODUCED, TABLED):
        return frozenset(STEPS)
    return frozenset(STEPS[STEPS.index(OWNED[target][0]) :])


def may_propose(state: str, purpose: str) -> frozenset[str]:
    """Return the next states that a report about this work, in this state, may propose."""
    kinds, stays = {ADVANCE}, False
    if purpose == "revise":
        kinds = {ADVANCE, WITHDRAW}
    elif purpose == "review":
        kinds, stays = {REVIEW, RETURN}, True
    elif purpose == "record":
        stays = True
    targets = {to for source, to, kind in TABLE if source == state and kind in kinds}
    return frozenset(targets | {state} if stays else targets)
