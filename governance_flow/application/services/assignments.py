"""An open routing, as the branch service that must answer it is given it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from governance_flow.application.ports.flow_orchestrator import BranchAssignment
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.frozen import unchecked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from governance_flow.application.ports.assignments import OpenAssignment
    from governance_flow.application.services.motions import Motions
    from governance_flow.application.services.pipelines import Pipelines
    from governance_flow.domain.configuration import FlowConfiguration
    from governance_flow.domain.events import MotionRouted
    from governance_flow.domain.motion import Motion


def assignment_of(
    motion: Motion, routed: MotionRouted, rules: FlowConfiguration, lease_token: int | None = None
) -> BranchAssignment:
    """Return ``routed`` with all that its service needs to know of the motion.

    ``rules`` is the configuration the routing was made under.
    """
    return unchecked(
        BranchAssignment,
        {
            "motion_id": motion.id,
            "routing_id": routed.routing_id,
            "service": routed.service,
            "branch": routed.branch,
            "state": routed.state,
            "purpose": routed.purpose,
            "attempt": routed.attempt,
            "deadline": routed.deadline,
            "title": motion.title,
            "text": motion.text,
            "introduced_by": motion.introduced_by,
            "reference": motion.reference,
            # Copies: what a service does to its assignment must not reach the motion.
            "ballots": dict(motion.ballots),
            "metadata": dict(motion.metadata),
            "outputs": {purpose: dict(output) for purpose, output in motion.outputs.items()},
            "findings": routed.findings,
            "amended": motion.amended,
            "policy": policy_for(routed.branch, rules),
            "lease_token": lease_token,
            "earlier_answers": motion.answered(routed.purpose),
        },
    )


async def open_assignment(
    motions: Motions, pipelines: Pipelines, row: OpenAssignment, lease_token: int
) -> BranchAssignment | None:
    """Return what a row stands for; None if its routing is not open any more.

    A remembered motion that has this routing open is new enough: the row was there. Raises as
    ``Motions.load``.
    """
    for fresh in (False, True):
        motion = (await motions.load(row.motion_id, fresh=fresh)).motion
        routed = motion.routing
        if routed is not None and routed.routing_id == row.routing_id:
            await pipelines.learn(routed.configuration)
            rules = pipelines.rules(routed.configuration)
            return assignment_of(motion, routed, rules, lease_token)
    return None


def policy_for(branch: GovernanceBranch, rules: FlowConfiguration) -> Mapping[str, Any]:
    """Return the settings that a branch works by."""
    if branch is GovernanceBranch.CONCLAVE:
        return rules.conclave.model_dump(mode="json")
    return {}
