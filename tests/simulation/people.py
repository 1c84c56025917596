"""What people do, at random: allowed or not, wise or not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from uuid import UUID

from governance_flow.application.ports.flow_orchestrator import BranchResult, GovernanceBranch
from governance_flow.bootstrap import Flow
from governance_flow.domain.errors import GovernanceFlowError, InvalidInput, StoreError
from governance_flow.domain.escalation import Resolution
from governance_flow.domain.states import GovernanceState
from tests.simulation import law
from tests.simulation.world import World

PEOPLE = ("ada", "zoe", "conclave clerk", "ubiquitous")
CHAIR = "the chair"

CLERKS = {"works": 6, "gives it back and works": 3, "asks for more time": 1}
"""What people outside do with an assignment they have fetched."""

CALM_CLERK_SECONDS = 5.0

Act = Callable[["People", Flow], Awaitable[None]]


class People:
    """Everybody who is no branch."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._whims = world.whims

    async def act(self, *, first: bool) -> None:
        """Do something, whatever comes to mind; what is refused is refused.

        ``first`` says that there must be motions before anything can be done about them.
        """
        world = self._world
        flow = world.flow()
        if flow is None:
            world.say("nobody is there to speak to")
            return
        name, act = ("introduce", People.introduce) if first else self._whims.one_of(_DRAWN)
        try:
            await act(self, flow)
        except InvalidInput:
            raise
        except GovernanceFlowError as error:
            name = f"{name}: {type(error).__name__}"
        world.happened[name] += 1

    async def introduce(self, flow: Flow) -> None:
        """Put a motion before the assembly; an answer that was lost is asked for again."""
        motion_id = self._world.new_id()
        self._world.say(f"introduce {motion_id}")
        fields: dict[str, Any] = {"title": "Mend the bridge", "text": "Before the flood."}
        for _ in range(2):
            try:
                await flow.orchestrator.introduce_motion(
                    motion_id=motion_id, introduced_by="ada", ballots={"ada": "yes"}, **fields
                )
            except StoreError:
                flow = self._world.flow() or flow
            else:
                return

    async def amend(self, flow: Flow) -> None:
        """Amend a motion."""
        motion_id, by = self._any_motion(), self._anybody()
        self._world.say(f"amend {motion_id} by {by}")
        await flow.orchestrator.amend_motion(motion_id, by, text="After the flood.")

    async def withdraw(self, flow: Flow) -> None:
        """Withdraw a motion, one that can be most of the time."""
        accounts = self._world.referee.accounts.values()
        early = [UUID(account.id) for account in accounts if account.state in law.WITHDRAWABLE]
        choose_early = early and self._whims.happens(0.8)
        motion_id = self._whims.one_of(early) if choose_early else self._any_motion()
        by = "ada" if self._whims.happens(0.6) else self._anybody()
        self._world.say(f"withdraw {motion_id} by {by}")
        await flow.orchestrator.withdraw_motion(motion_id, by)

    async def resolve(self, flow: Flow) -> None:
        """Decide about a motion."""
        motion_id = self._blocked_motion()
        by, decision = self._anybody(), self._whims.one_of(list(Resolution))
        self._world.say(f"resolve {motion_id} by {by}: {decision}")
        await flow.orchestrator.resolve_escalation(motion_id, by, decision)

    async def retry(self, flow: Flow) -> None:
        """Try a motion again, or take it up."""
        motion_id, by = self._blocked_motion(), self._anybody()
        self._world.say(f"retry {motion_id} by {by}")
        await flow.orchestrator.retry_motion(motion_id, by)

    async def process(self, flow: Flow) -> None:
        """Push a motion."""
        motion_id = self._any_motion()
        self._world.say(f"process {motion_id}")
        await flow.orchestrator.process_motion(motion_id)

    async def route(self, flow: Flow) -> None:
        """Ask for a routing, for the state the motion is in or for another one."""
        motion_id = self._any_motion()
        account = self._world.referee.accounts.get(str(motion_id))
        states = list(GovernanceState)
        guess = GovernanceState(account.state) if account else states[0]
        state = guess if self._whims.happens(0.7) else self._whims.one_of(states)
        self._world.say(f"route {motion_id} in {state}")
        await flow.orchestrator.route_to_branch(motion_id, state)

    async def halt(self, flow: Flow) -> None:
        """Halt the pipeline, and resume it after a while, most of the time."""
        self._world.say("halt")
        await flow.orchestrator.halt_pipeline(CHAIR, "a storm")

    async def resume(self, flow: Flow) -> None:
        """Resume the pipeline."""
        self._world.say("resume")
        await flow.orchestrator.resume_pipeline(CHAIR, "it is over")

    async def forge(self, flow: Flow) -> None:
        """Report what nobody was asked to do, or with a token that nobody was given."""
        motion_id, branch = self._any_motion(), self._whims.one_of(list(GovernanceBranch))
        account = self._world.referee.accounts.get(str(motion_id))
        known = [UUID(account.last["event_id"])] if account and account.last else []
        routing_id = self._whims.one_of([None, self._world.new_id(), *known, *known])
        token = self._whims.one_of([None, 1, 1_000_000])
        self._world.say(f"forge {motion_id}: {branch} for {routing_id} under {token}")
        result = BranchResult(
            motion_id,
            branch,
            success=True,
            output={"forged": True},
            next_state=self._whims.one_of([None, *GovernanceState]),
            actor=self._whims.one_of([None, *PEOPLE]),
            routing_id=routing_id,
            lease_token=token,
        )
        await flow.orchestrator.handle_completion(motion_id, result)

    async def ask(self, flow: Flow) -> None:
        """Ask how things stand."""
        self._world.say("ask")
        before = self._world.referee.position
        status = await flow.orchestrator.get_pipeline_status()
        if before == status.position == self._world.referee.position:
            # Nothing happened meanwhile: there is one right answer.
            self._world.counting.compare_status(status)

    def _any_motion(self) -> UUID:
        known = [UUID(account) for account in self._world.referee.accounts]
        return self._whims.one_of(known or [UUID(int=7)])

    def _blocked_motion(self) -> UUID:
        """Return a motion that waits for somebody, or any."""
        waiting = [
            UUID(account.id)
            for account in self._world.referee.accounts.values()
            if account.waits_for in ("AwaitPerson", "AwaitTakingUp")
        ]
        return self._whims.one_of(waiting) if waiting else self._any_motion()

    def _anybody(self) -> str:
        return self._whims.one_of(PEOPLE)


WEIGHTS: Mapping[str, tuple[Act, int]] = {
    "introduce": (People.introduce, 6),
    "amend": (People.amend, 4),
    "withdraw": (People.withdraw, 3),
    "resolve": (People.resolve, 10),
    "retry": (People.retry, 6),
    "process": (People.process, 6),
    "route": (People.route, 4),
    "halt": (People.halt, 4),
    "resume": (People.resume, 6),
    "forge": (People.forge, 5),
    "ask": (People.ask, 2),
}
_DRAWN = [(name, act) for name, (act, weight) in WEIGHTS.items() for _ in range(weight)]


async def clerk(world: World, service: str) -> None:
    """Work outside for a service: fetch assignments, and hand in what comes of them."""
    while True:
        calm = not world.whims.slow
        await asyncio.sleep(CALM_CLERK_SECONDS if calm else world.whims.between(5, 25))
        flow = world.flow()
        served = (
            account.routing and account.routing["service"] == service
            for account in world.referee.accounts.values()
        )
        if flow is None or not any(served):
            continue
        try:
            fetched = await flow.external.fetch(
                [service],
                by="clerk",
                limit=5 if calm else world.whims.one_of((1, 5)),
                lease_seconds=60.0,
            )
            for assignment in fetched:
                token = assignment.lease_token or 0
                match world.whims.pick({"works": 1} if calm else CLERKS):
                    case "gives it back and works":
                        await flow.external.release(assignment.routing_id, token)
                        world.send_off(world.office.complete_later(assignment))
                        continue
                    case "asks for more time":
                        await flow.external.extend(assignment.routing_id, token, 90.0)
                world.send_off(world.office.complete(assignment))
        except GovernanceFlowError as error:
            world.happened[f"clerk: {type(error).__name__}"] += 1
