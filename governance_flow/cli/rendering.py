"""Tables for people. Everything that came from outside goes through ``plain`` first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from governance_flow.application.ports.assignments import LeasedAssignment
from governance_flow.application.ports.flow_orchestrator import (
    ActionNeeded,
    BranchAssignment,
    MotionPipelineState,
    PipelineStatus,
)
from governance_flow.application.times import from_us
from governance_flow.cli.terminal import plain
from governance_flow.cli.timeline import Entry, what_and_why
from governance_flow.domain.states import TERMINAL_STATES, GovernanceState

BAR_COLUMNS = 32
ISSUE_CHARACTERS_MAX = 300
"""An error may carry a page of text; a table shows how it begins."""

STATE_STYLES = {
    GovernanceState.TABLED: "yellow",
    GovernanceState.ACKNOWLEDGED: "green",
    GovernanceState.REJECTED: "dim",
    GovernanceState.WITHDRAWN: "dim",
}


def state_text(state: str) -> Text:
    """Return a state in its colour."""
    known = GovernanceState(state)
    return Text(known.value, style=STATE_STYLES.get(known, "cyan"))


def clock_time(moment: datetime | None) -> str:
    """Return a time to the second, UTC; a dash for none."""
    return "-" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def length_of_time(span: timedelta) -> str:
    """Return a length of time in its two largest units."""
    seconds = max(0, int(span.total_seconds()))
    days, seconds = divmod(seconds, 86_400)
    hours, seconds = divmod(seconds, 3_600)
    minutes, seconds = divmod(seconds, 60)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    first = next((index for index, (number, _) in enumerate(parts) if number), 3)
    shown = [f"{number} {unit}" for number, unit in parts[first : first + 2] if number]
    return " ".join(shown) or "0 s"


def motions(count: int) -> str:
    """Return a number of motions."""
    return f"{count:,} motion" if count == 1 else f"{count:,} motions"


def begins(text: str) -> str:
    """Return how a long text begins, in one line."""
    line = plain(text.partition("\n")[0])
    return line if len(line) <= ISSUE_CHARACTERS_MAX else f"{line[:ISSUE_CHARACTERS_MAX]}…"


def headed(title: str, body: RenderableType) -> Group:
    """Return a body below its title."""
    return Group(Text(title, style="bold"), indented(body), Text())


def to_type(line: str, columns: int = 2) -> Text:
    """Return a command to be copied: in one line, however long, so that it is not torn apart."""
    return Text(" " * columns + line, style="cyan", no_wrap=True, overflow="ignore")


def indented(body: RenderableType, columns: int = 2) -> Padding:
    """Return a body some columns in, no wider than it is."""
    return Padding(body, (0, 0, 0, columns), expand=False)


# -- The pipeline ----------------------------------------------------------------------------------


def states_table(status: PipelineStatus) -> Table:
    """Return how many motions are in each state, in the order of the flow."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    most = max([1, *status.motions_by_state.values()])
    for state in GovernanceState:
        count = status.motions_by_state.get(state, 0)
        style = STATE_STYLES.get(state, "cyan") if count else "dim"
        columns = max(1, round(count / most * BAR_COLUMNS)) if count else 0
        table.add_row(
            Text(state.value, style=style),
            Text(f"{count:,}", style=style),
            Text("━" * columns, style=style),
        )
    return table


def status_view(status: PipelineStatus) -> Group:
    """Return the pipeline at a glance."""
    total = sum(status.motions_by_state.values())
    places = status.admitted + status.free_places
    lines = [
        Text.assemble(
            (motions(total), "bold"),
            f": {status.active_motions:,} active, {total - status.active_motions:,} finished",
            *_alarming(f", {status.blocked_motions:,} blocked", status.blocked_motions, "red"),
            f", {status.waiting_motions:,} waiting for a place" if status.waiting_motions else "",
        ),
        Text(
            f"{status.free_places:,} of {places:,} places free"
            + (
                f", oldest motion {length_of_time(status.oldest_motion_age)}"
                if status.active_motions
                else ""
            ),
        ),
        Text(
            f"last 24 hours: {status.recent_completions:,} completions, "
            f"{status.recent_failures:,} failures, {status.finished_recently:,} motions finished",
        ),
    ]
    if status.lag.events:
        lag = f"{status.lag.events:,} events ({status.lag.seconds:.1f} s)"
        lines.append(Text(f"the read model is {lag} behind the store", style="yellow"))
    parts: list[RenderableType] = [
        indented(states_table(status)),
        Text(),
        *(indented(line) for line in lines),
    ]
    if status.halted:
        reason = plain(status.halt_reason or "")
        since = clock_time(status.halted_since)
        parts.append(indented(Text(f"HALTED since {since} UTC: {reason}", style="bold red")))
    return Group(*parts)


def _alarming(text: str, count: int, style: str) -> list[tuple[str, str]]:
    return [(text, style)] if count else []


# -- Motions ---------------------------------------------------------------------------------------


def motions_table(rows: Iterable[MotionPipelineState]) -> Table:
    """Return a list of motions, the id of each below its title so that it can be copied."""
    table = _table("MOTION", "STATE", "WAITS FOR")
    for motion in rows:
        title = Text(plain(motion.title), overflow="ellipsis", no_wrap=True)
        if motion.reference:
            title.append(f"  {plain(motion.reference)}", style="dim")
        state = state_text(motion.current_state)
        age = Text(_since(motion), style="dim")
        table.add_row(
            Group(title, Text(str(motion.motion_id), style="dim")),
            Group(state, age),
            _waits_for(motion),
        )
    return table


def _since(motion: MotionPipelineState) -> str:
    """Return how long a motion has been where it is, or the day on which it ended there."""
    if motion.current_state in TERMINAL_STATES:
        return f"{motion.entered_state_at.astimezone(UTC):%Y-%m-%d}"
    return length_of_time(motion.time_in_state)


def _waits_for(motion: MotionPipelineState) -> Text:
    if motion.parked is not None:
        return Text(f"parked: {begins(motion.parked)}", style="red")
    text = action_text(motion.next_action)
    if motion.blocking_issues:
        text.stylize("red")
    return text


def action_text(action: ActionNeeded | None) -> Text:
    """Return who must act, what they must do, and by when; a dash if nobody must."""
    if action is None:
        return Text("-", style="dim")
    text = Text.assemble((plain(action.who), "bold"), f": {begins(action.what)}")
    if action.by is not None:
        text.append(f", by {action.by.astimezone(UTC):%Y-%m-%d %H:%M} UTC", style="dim")
    return text


def motion_view(motion: MotionPipelineState, timeline: Sequence[Entry]) -> Group:
    """Return one motion: where it stands, and everything that has happened to it."""
    facts: list[tuple[str, RenderableType]] = [
        ("id", Text(str(motion.motion_id))),
        (
            "introduced",
            Text(f"{clock_time(motion.introduced_at)} UTC, by {plain(motion.introduced_by)}"),
        ),
    ]
    if motion.reference:
        facts.append(("reference", Text(plain(motion.reference))))
    since = f" since {clock_time(motion.entered_state_at)} UTC"
    facts.append(("state", state_text(motion.current_state).append(since, style="dim")))
    if motion.next_action is not None:
        facts.append(("waits for", action_text(motion.next_action)))
    facts += [("blocked by", Text(begins(issue), style="red")) for issue in motion.blocking_issues]
    if motion.parked is not None:
        facts.append(("parked", Text(begins(motion.parked), style="red")))
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for name, value in facts:
        grid.add_row(name, value)
    return Group(
        headed(plain(motion.title), grid), headed("What has happened", _timeline_table(timeline))
    )


def _timeline_table(timeline: Sequence[Entry]) -> Table:
    table = _table("WHEN (UTC)", "WHAT", "WHO", "WHY")
    table.columns[0].no_wrap = True
    before = ""
    for entry in timeline:
        what, why = what_and_why(entry.event)
        moment = clock_time(entry.committed_at)
        table.add_row(
            Text(moment if moment != before else "", style="dim"),
            Text(plain(what)),
            Text(plain(entry.who), style="dim"),
            Text(begins(why)),
        )
        before = moment
    return table


# -- Work ------------------------------------------------------------------------------------------


def assignments_table(rows: Iterable[LeasedAssignment], now: datetime) -> Table:
    """Return the open assignments, and who holds each."""
    table = _table("ROUTING / MOTION", "FOR", "TO", "DUE BY (UTC)", "HELD BY")
    for row in rows:
        deadline = None if row.deadline_us is None else from_us(row.deadline_us)
        table.add_row(
            Group(Text(str(row.routing_id)), Text(str(row.motion_id), style="dim")),
            Text(plain(row.service)),
            Text(f"{plain(row.purpose)}, attempt {row.attempt}"),
            Text(clock_time(deadline)),
            _holder(row, now),
        )
    return table


def _holder(row: LeasedAssignment, now: datetime) -> Text:
    starts = from_us(row.not_before_us)
    if row.lease.owner is not None and row.lease.expires_at_us is not None:
        until = from_us(row.lease.expires_at_us)
        if until > now:
            return Text(f"{plain(row.lease.owner)}, until {clock_time(until)}")
    if starts > now:
        return Text(f"nobody before {clock_time(starts)}", style="yellow")
    return Text("nobody", style="dim")


def claimed_view(assignments: Iterable[BranchAssignment]) -> Group:
    """Return assignments that were just claimed, with what is needed to complete them."""
    return Group(*(_claimed(assignment) for assignment in assignments))


def _claimed(assignment: BranchAssignment) -> RenderableType:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    facts = [
        ("motion", str(assignment.motion_id)),
        ("routing", str(assignment.routing_id)),
        ("lease token", str(assignment.lease_token)),
        ("to do", f"{assignment.purpose} ({assignment.service}, attempt {assignment.attempt})"),
        ("due by", f"{clock_time(assignment.deadline)} UTC" if assignment.deadline else "-"),
        ("text", begins(assignment.text)),
        *(("finding", finding) for finding in assignment.findings),
    ]
    for name, value in facts:
        grid.add_row(name, Text(plain(value)))
    return headed(plain(assignment.title), grid)


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
