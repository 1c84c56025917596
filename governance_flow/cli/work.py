"""Commands for people and programs that do a branch's work outside the worker."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer
from pydantic import ValidationError

from governance_flow.application.ports.assignments import AssignmentCursor
from governance_flow.application.ports.flow_orchestrator import BranchResult, CompletionOutcome
from governance_flow.cli.arguments import ByOption, MotionArgument, json_value, text_value
from governance_flow.cli.command import JsonOption, Place, command, opened
from governance_flow.cli.errors import Failed, UsedWrongly
from governance_flow.cli.output import (
    assignment_json,
    open_assignment_json,
    outcome_json,
    print_json,
)
from governance_flow.cli.rendering import assignments_table, claimed_view
from governance_flow.cli.terminal import plain, results, say
from governance_flow.domain.branch_configuration import ExternalBranch
from governance_flow.domain.branches import GovernanceBranch
from governance_flow.domain.states import GovernanceState

if TYPE_CHECKING:
    from governance_flow.bootstrap import Flow

PANEL = "Branches at work"
DEFAULT_LEASE_SECONDS = 3600.0

ServiceOption = Annotated[
    str | None,
    typer.Option("--service", metavar="SERVICE", help="Only for this service: duke_service, say."),
]
LeaseTokenOption = Annotated[
    int | None,
    typer.Option("--lease-token", metavar="T", help="The token that came with the claim."),
]
RoutingOption = Annotated[
    UUID, typer.Option("--routing", metavar="ID", help="The routing id of the assignment.")
]
BranchOption = Annotated[
    GovernanceBranch,
    typer.Option("--branch", case_sensitive=False, help="The branch that acts."),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    routing = "--routing 7f3e9c04-5f0e-4a77-8a36-2f0f6c1d9b11"
    one = f"0b8d1a52-6f6e-4a5e-9a62-1c2d3e4f5a6b {routing}"
    command(
        app,
        "assignments",
        "assignments --service duke_service",
        "assignments --claim 5 --by Bo --service duke_service --lease-seconds 600 --json",
        "assignments --extend 7f3e9c04-5f0e-4a77-8a36-2f0f6c1d9b11 --lease-token 3",
        "assignments --release 7f3e9c04-5f0e-4a77-8a36-2f0f6c1d9b11 --lease-token 3",
        panel=PANEL,
    )(assignments)
    command(
        app,
        "complete",
        f"complete {one} --branch duke --by Bo --lease-token 3 --output @results.json",
        f"complete {one} --branch conclave --by Cy --next-state RATIFIED",
        panel=PANEL,
    )(complete)
    command(
        app,
        "fail",
        f"fail {one} --branch duke --by Bo --error-type timeout_error --error 'no ferry today'",
        panel=PANEL,
    )(fail)


def assignments(
    place: Place,
    *,
    service: ServiceOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Rows a page.")] = 50,
    after: Annotated[
        str | None, typer.Option("--after", metavar="CURSOR", help="Go on behind a page.")
    ] = None,
    claim: Annotated[
        int | None, typer.Option("--claim", metavar="N", min=1, help="Take up to N, under a lease.")
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="With --claim: who takes them.")
    ] = None,
    lease_seconds: Annotated[
        float,
        typer.Option("--lease-seconds", help="With --claim or --extend: for how long from now."),
    ] = DEFAULT_LEASE_SECONDS,
    extend: Annotated[
        UUID | None, typer.Option("--extend", metavar="ROUTING", help="Let a lease run on.")
    ] = None,
    release: Annotated[
        UUID | None, typer.Option("--release", metavar="ROUTING", help="Give one back.")
    ] = None,
    lease_token: LeaseTokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what branches have to do; claim it, keep it, or give it back.

    Without --claim, --extend or --release it lists open assignments and who holds them. What is
    claimed is held until the lease ends: complete or fail it with its routing id and lease token
    before that, or somebody else may take it. Without --service, --claim takes work of the services
    that the configuration calls external.
    """
    if sum(asked is not None for asked in (claim, extend, release)) > 1:
        raise UsedWrongly("say one of --claim, --extend and --release")
    if claim is not None:
        number, name = claim, by
        if not name:
            raise UsedWrongly("--claim needs --by: who takes the assignments?")
        opened(
            place,
            lambda flow: _claim(flow, service, number, name, lease_seconds, as_json=as_json),
        )
        return
    routing_id = extend or release
    if routing_id is None:
        opened(place, lambda flow: _list(flow, place, service, limit, after, as_json=as_json))
        return
    if lease_token is None:
        raise UsedWrongly("--extend and --release need --lease-token, which came with the claim")
    token = lease_token

    async def hold(flow: Flow) -> None:
        if extend is not None:
            await flow.external.extend(routing_id, token, lease_seconds)
        else:
            await flow.external.release(routing_id, token)

    opened(place, hold)
    done = "extended" if extend is not None else "released"
    if as_json:
        print_json({"routing_id": str(routing_id), done: True})
    else:
        results().print(f"{done} {routing_id}")


async def _claim(
    flow: Flow, service: str | None, number: int, by: str, lease_seconds: float, *, as_json: bool
) -> None:
    services = [service] if service is not None else _external_services(flow)
    claimed = await flow.external.fetch(services, by=by, limit=number, lease_seconds=lease_seconds)
    if as_json:
        print_json({"assignments": [assignment_json(assignment) for assignment in claimed]})
    elif claimed:
        results().print(claimed_view(claimed))
    else:
        say("there is nothing to claim now")


def _external_services(flow: Flow) -> list[str]:
    branches = flow.configuration.branches
    services = [name for name, branch in branches.items() if isinstance(branch, ExternalBranch)]
    if not services:
        raise UsedWrongly(
            "no branch is configured as external, so workers do all the work; "
            "give --service, or a --config that says kind: external"
        )
    return services


async def _list(
    flow: Flow,
    place: Place,
    service: str | None,
    limit: int,
    after: str | None,
    *,
    as_json: bool,
) -> None:
    await flow.runner.catch_up((await flow.store.head()).position)
    rows = await flow.assignments.list_open(
        limit=limit + 1, service=service, after=None if after is None else _cursor(after)
    )
    page = rows[:limit]
    next_after = None
    if len(rows) > limit:
        due_us, routing_id = page[-1].cursor
        next_after = f"{due_us}:{routing_id}"
    if as_json:
        listed = [open_assignment_json(row) for row in page]
        print_json({"assignments": listed, "next_after": next_after})
        return
    if page:
        results().print(assignments_table(page, datetime.now(UTC)))
    else:
        say("there are no open assignments")
    if next_after is not None:
        words = ["assignments", "--limit", str(limit), "--after", next_after]
        words += ["--service", service] if service else []
        say(f"\nthere are more: {place.command(*words)}")


def _cursor(text: str) -> AssignmentCursor:
    due_us, _, routing_id = text.partition(":")
    try:
        return AssignmentCursor(int(due_us), UUID(routing_id))
    except ValueError as error:
        raise UsedWrongly(f"--after: {text!r} is not the next_after of a page") from error


def complete(
    place: Place,
    *,
    motion_id: MotionArgument,
    routing: RoutingOption,
    branch: BranchOption,
    by: ByOption,
    output: Annotated[
        str | None,
        typer.Option("--output", metavar="JSON|@FILE", help="What was produced; @- reads stdin."),
    ] = None,
    next_state: Annotated[
        GovernanceState | None,
        typer.Option(
            "--next-state",
            metavar="STATE",
            case_sensitive=False,
            help="The state proposed, if any.",
        ),
    ] = None,
    lease_token: LeaseTokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report that an assignment is done. Reported twice, it changes nothing.

    Exits 1 if the report is refused: a routing that is not open any more, another's lease, a
    skipped step, or somebody who has acted for another branch on the motion.
    """
    result = _result(
        motion_id=motion_id,
        branch=branch,
        success=True,
        output=json_value("--output", output),
        next_state=next_state,
        actor=by,
        routing_id=routing,
        lease_token=lease_token,
    )
    _report(place, result, as_json=as_json)


def fail(
    place: Place,
    *,
    motion_id: MotionArgument,
    routing: RoutingOption,
    branch: BranchOption,
    by: ByOption,
    error: Annotated[str, typer.Option("--error", metavar="TEXT|@FILE", help="What went wrong.")],
    error_type: Annotated[
        str | None,
        typer.Option(
            "--error-type",
            metavar="TYPE",
            help="validation_error returns it, permission_error and compliance_error have it "
            "reviewed, timeout_error tries again; all else, or none, waits for a person.",
        ),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", metavar="JSON|@FILE", help="What there is of it.")
    ] = None,
    lease_token: LeaseTokenOption = None,
    as_json: JsonOption = False,
) -> None:
    """Report that an assignment could not be done, and why. Reported twice, it changes nothing."""
    result = _result(
        motion_id=motion_id,
        branch=branch,
        success=False,
        output=json_value("--output", output),
        next_state=None,
        error=text_value("--error", error),
        error_type=error_type,
        actor=by,
        routing_id=routing,
        lease_token=lease_token,
    )
    _report(place, result, as_json=as_json)


def _result(**fields: Any) -> BranchResult:
    try:
        return BranchResult(**fields)
    except ValidationError as error:
        faults = (f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
        raise UsedWrongly("; ".join(faults)) from error


def _report(place: Place, result: BranchResult, *, as_json: bool) -> None:
    async def work(flow: Flow) -> CompletionOutcome:
        return await flow.orchestrator.handle_completion(result.motion_id, result)

    outcome = opened(place, work)
    if as_json:
        print_json(outcome_json(outcome))
    else:
        goes_to = f", next is {outcome.next_service}" if outcome.next_service else ""
        strategy = f" ({outcome.strategy})" if outcome.strategy else ""
        results().print(
            f"{outcome.status}{strategy}: motion {outcome.motion_id} is {outcome.state}{goes_to}"
        )
    if not outcome.accepted:
        raise Failed(plain(outcome.reason or "the completion was refused"))
