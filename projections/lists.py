"""Lists of motions by what they wait for, and the board: read from indexes, never counted."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from governance_flow.application.ports.overview import OVERDUE_COUNTED_MAX, MotionFilter
from governance_flow.application.ports.read_model import Listing, StateCounts
from governance_flow.application.times import to_us
from governance_flow.domain.states import GovernanceState, is_terminal
from projections import motions
from projections.motion_rows import FOR_PERSON, Halts, introducer_key, running_time_us
from projections.reading import summaries

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from governance_flow.application.ports.database import Row, Transaction
    from governance_flow.application.ports.read_model import Place
    from governance_flow.application.queries import Queries
    from projections.reading import Live
    from projections.registry import Generation

BEGINNING_US = -(2**63)
LOOKED_AT_MAX = 2_000
"""Where conditions have to be tried row by row, a page looks at no more rows than about these."""

_CHUNK = 500
_STATES = tuple(state for state in GovernanceState if not is_terminal(state))


@dataclass(frozen=True, slots=True)
class Source:
    """The index that a list is read from, and what is still to be tried of each of its rows."""

    query: str
    params: Mapping[str, object]
    untried: MotionFilter
    place_first: bool = True
    """Whether the rows begin with the time they are in order of; else it is the introduction."""

    def placed(self, row: Row) -> tuple[Place, Row]:
        """Return where a row stands in the list, and the row itself."""
        if self.place_first:
            return (row[0], UUID(row[1])), row[1:]
        return (row[2], UUID(row[0])), row


@dataclass(frozen=True, slots=True)
class BoardRead:
    """The board as one transaction saw it."""

    behind: Generation
    by_state: Mapping[GovernanceState, StateCounts]
    waits_for_person: int
    overdue: int
    overdue_more: bool


def page(
    tx: Transaction,
    live: Live,
    wanted: MotionFilter,
    *,
    now: datetime,
    limit: int,
    after: Place | None,
) -> Listing:
    """Return a page of the list that the filter makes."""
    source = _source(tx, motions.queries(tx, live.motions.number), wanted, now)
    all_match = source.untried == MotionFilter()
    chunk = limit + 1 if all_match else max(limit + 1, _CHUNK)
    last = after
    found: list[Row] = []
    looked_at = 0
    while True:
        after_us, after_id = last or (BEGINNING_US, UUID(int=0))
        rows = tx.execute(
            source.query,
            {**source.params, "limit": chunk, "after_us": after_us, "after_id": str(after_id)},
        )
        for raw in rows:
            if len(found) == limit:
                return Listing(tuple(summaries(tx, live, found)), last)
            last, row = source.placed(raw)
            if all_match or _matches(row, source.untried):
                found.append(row)
        looked_at += len(rows)
        if len(rows) < chunk:
            return Listing(tuple(summaries(tx, live, found)), None)
        if looked_at >= LOOKED_AT_MAX:
            return Listing(tuple(summaries(tx, live, found)), last)


def board(tx: Transaction, live: Live, now: datetime) -> BoardRead:
    """Return the states side by side."""
    sql = motions.queries(tx, live.motions.number)
    counters = {name: int(amount) for name, amount in tx.execute(sql.read_counters)}
    late = [
        state
        for (state,) in tx.execute(
            sql.overdue_states,
            {"until_us": _running_now_us(tx, sql, now), "limit": OVERDUE_COUNTED_MAX + 1},
        )
    ]
    overdue = Counter(late[:OVERDUE_COUNTED_MAX])
    rows = tx.execute(sql.oldest_in_states, {"states": [state.value for state in _STATES]})
    oldest = {summary.state: summary for summary in summaries(tx, live, rows)}
    return BoardRead(
        behind=live.motions,
        by_state={
            state: StateCounts(
                motions=counters.get(state, 0),
                blocked=counters.get(motions.blocked_in(state), 0),
                overdue=overdue[state],
                oldest=oldest.get(state),
            )
            for state in GovernanceState
        },
        waits_for_person=counters.get(motions.FOR_PERSON, 0),
        overdue=overdue.total(),
        overdue_more=len(late) > OVERDUE_COUNTED_MAX,
    )


def _source(tx: Transaction, sql: Queries, wanted: MotionFilter, now: datetime) -> Source:
    """Choose the index: the rarest condition picks it, the others are tried row by row."""
    if wanted.waiting:
        until: dict[str, object] = {"until_us": to_us(now)}
        return Source(sql.page_of_docket, until, replace(wanted, waiting=False))
    if wanted.overdue:
        until = {"until_us": _running_now_us(tx, sql, now)}
        return Source(sql.page_of_overdue, until, replace(wanted, overdue=False))
    introducer = wanted.introduced_by
    in_state: dict[str, object] = {
        "state": None if wanted.state is None else wanted.state.value,
        "blocked": wanted.blocked,
        "active": wanted.active,
    }
    tried = replace(wanted, state=None, blocked=None, active=None)
    if wanted.blocked:
        return Source(sql.page_of_blocked, in_state, tried, place_first=False)
    if wanted.waits_for_person:
        return Source(sql.page_for_person, {}, replace(wanted, waits_for_person=False))
    if introducer is not None:
        by = {"introducer": introducer_key(introducer)}
        return Source(sql.page_of_introducer, by, replace(wanted, introduced_by=None))
    if wanted.state is not None:
        return Source(sql.page_in_state, in_state, tried, place_first=False)
    return Source(
        sql.page_of_active if wanted.active else sql.page, in_state, tried, place_first=False
    )


def _matches(row: Row, wanted: MotionFilter) -> bool:
    """Return whether what the index did not see to holds of a row."""
    _, _, _, state, _, blocked, waiting, shown = row
    if wanted.state not in (None, state) or wanted.blocked not in (None, bool(blocked)):
        return False
    if wanted.active not in (None, not is_terminal(GovernanceState(state))):
        return False
    if wanted.waiting and not waiting:
        return False
    told: dict[str, Any] = json.loads(shown)
    if wanted.waits_for_person and told["action_kind"] not in FOR_PERSON:
        return False
    # Who stands in the docket, the only index that comes before that of deadlines, has none.
    return not wanted.overdue and wanted.introduced_by in (None, told["introduced_by"])


def _running_now_us(tx: Transaction, sql: Queries, now: datetime) -> int:
    halts = Halts.of(tx.execute(sql.all_halts))
    return running_time_us(halts.intervals, now)
