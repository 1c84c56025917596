"""Reports and refusals: who answered what was asked, and whether they might; and amendments."""

from __future__ import annotations

from governance_flow.conformance.canon import (
    AMENDABLE,
    SAYS_RESUME,
    WITHDRAWN,
    may_propose,
    words_of,
)
from governance_flow.conformance.case import PERSON, Around, Case, Pending
from governance_flow.conformance.entries import Entry
from governance_flow.conformance.rules import Findings, Rule


def completed(case: Case, entry: Entry, around: Around) -> None:
    """Judge a BRANCH_COMPLETED, and keep it until something comes of it."""
    say, data = around.findings, entry.data
    _require_open(case, entry, say)
    asked = case.routing or case.last
    if asked is not None:
        say.hold(
            Rule.ANSWERED_BY_ITS_BRANCH,
            all(data[name] == asked.data[name] for name in ("service", "branch", "purpose")),
            "{} (for the {}, to {}) answered what {} (for the {}, to {}) was asked",
            data["service"],
            data["branch"],
            data["purpose"],
            asked.data["service"],
            asked.data["branch"],
            asked.data["purpose"],
        )
    if data["actor"]["authenticated_by"] != "system":
        _require_separation(case, entry, around)
        case.acts.setdefault(entry.actor, set()).add(data["branch"])
    proposed = data["next_state"]
    say.hold(
        Rule.PROPOSES_NEXT_STEP,
        not data["success"]
        or proposed is None
        or proposed in may_propose(case.state, data["purpose"]),
        "in {} {} was taken as done although it proposed {}, which skips a step",
        case.state,
        words_of(data["purpose"]),
        proposed,
    )
    case.close_routing("answered")
    case.closed[data["routing_id"]] = "answered"
    case.pending = Pending(entry, refused=False)
    case.overdue = None
    if data["success"]:
        _take(case, entry)


def _take(case: Case, entry: Entry) -> None:
    purpose, proposed = entry.data["purpose"], entry.data["next_state"]
    if purpose == "review":
        # What a person must unblock, no review does: its answer waits until that has happened.
        if entry.data["output"].get("decision") == SAYS_RESUME and case.blocked_by != PERSON:
            case.resume(entry.at)
    elif purpose == "revise":
        if proposed != WITHDRAWN:
            case.waiting_since, case.pending = entry.at, None
    else:
        case.steps.add(purpose)


def _require_open(case: Case, entry: Entry, say: Findings) -> None:
    routing_id = entry.data["routing_id"]
    became = case.closed.get(routing_id, "never made")
    say.hold(
        Rule.ANSWERS_OPEN_ROUTING,
        case.routing is not None and case.routing.event_id == routing_id,
        "{} answered routing {}, which was not open: it was {}",
        entry.actor,
        routing_id,
        f"{became} before" if routing_id in case.closed else became,
    )


def _require_separation(case: Case, entry: Entry, around: Around) -> None:
    """Require that the actor has not acted for a branch which the routing's terms keep apart."""
    asked = case.routing or case.last
    terms = around.terms.get(asked.data["configuration"]) if asked else None
    branch = entry.data["branch"]
    acted = case.acts.get(entry.actor, ())
    apart = sorted(other for other in acted if terms and terms.keeps_apart(other, branch))
    around.findings.hold(
        Rule.SEPARATION_OF_POWERS,
        not apart,
        "{} acted for the {} although the same one had acted for the {}, and the rules in force "
        "keep them apart",
        entry.actor,
        branch,
        " and the ".join(apart),
    )


def refused(case: Case, entry: Entry, around: Around) -> None:
    """Judge a VIOLATION_WITNESSED: it changes nothing, but that its holder has answered."""
    say, data = around.findings, entry.data
    held = case.routing is not None and case.routing.event_id == data["routing_id"]
    if data["kind"] == "collapsed_role":
        say.hold(
            Rule.VIOLATION_GROUNDED,
            _collapses(case, entry, around),
            "{} was refused for acting in two roles, but had acted for no branch kept apart from "
            "the {}",
            entry.actor,
            data["branch"],
        )
    else:
        say.hold(
            Rule.VIOLATION_GROUNDED,
            data["kind"] == "skipped_step",
            "an act was refused for “{}”, which is no rule",
            data["kind"],
        )
    case.refused[entry.event_id] = data["by_holder"]
    if not data["by_holder"]:
        return
    branch = case.routing.data["branch"] if case.routing else None
    say.hold(
        Rule.VIOLATION_GROUNDED,
        held and branch == data["branch"] and data["severity"] == "major",
        "{} was refused as the one who was asked, but was not: routing {} was not open for the {}",
        entry.actor,
        data["routing_id"],
        data["branch"],
    )
    case.close_routing("answered")
    case.pending = Pending(entry, refused=True)
    case.overdue = None


def _collapses(case: Case, entry: Entry, around: Around) -> bool:
    """Return whether an actor had acted for a branch that must be kept apart from this one.

    For who was asked, by the configuration of the routing. Whoever was not asked is refused by that
    of the process they spoke to, which need not have been adopted yet: all that can be said is that
    they had acted for another branch.
    """
    branch, acted = entry.data["branch"], case.acts.get(entry.actor, set())
    asked = case.routing if entry.data["by_holder"] else None
    terms = around.terms.get(asked.data["configuration"]) if asked else None
    return any(
        other != branch if terms is None else terms.keeps_apart(other, branch) for other in acted
    )


def amended(case: Case, entry: Entry, around: Around) -> None:
    """Judge a MOTION_AMENDED."""
    before = case.previous
    revised = (
        before is not None
        and before.topic == "BRANCH_COMPLETED"
        and before.data["purpose"] == "revise"
        and before.data["success"]
        and before.data["actor"] == entry.data["actor"]
    )
    around.findings.hold(
        Rule.AMENDED_BY_INTRODUCER,
        (revised or entry.actor == case.introducer) and case.state in AMENDABLE,
        "{} amended it in {}; only {}, who introduced it, may, while it is introduced or tabled",
        entry.actor,
        case.state,
        case.introducer,
    )
