"""The projection "motions": every motion as people are shown it, and counters over all of them.

A row is what ``summarise`` says of the motion, but for what the halts of the pipeline add to its
deadline: they move the deadlines of motions that nothing else happens to, so they are kept once
and added when a row is read. The counters change by the difference between a motion before and
after a batch, so that nothing ever has to be counted.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from governance_flow.application.summaries import summarise
from governance_flow.application.times import to_us
from governance_flow.domain.events import PipelineHalted, PipelineResumed
from governance_flow.domain.next_action import (
    AwaitPerson,
    AwaitPlace,
    AwaitTakingUp,
    next_action,
)
from projections.motion_rows import COLUMNS, row_of
from projections.tables import generation_queries, run_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from governance_flow.application.ports.database import Transaction
    from governance_flow.application.ports.projection import Batch
    from governance_flow.application.queries import Queries
    from governance_flow.domain.motion import Motion
    from governance_flow.domain.states import GovernanceState

NAME = "motions"
BLOCKED = "blocked"
WAITING = "waiting"
FOR_PERSON = "for a person"


class MotionsProjection:
    """Keeps a row for each motion, and the counters."""

    name = NAME
    by_motion = True
    layout = 2

    def create(self, tx: Transaction, generation: int) -> None:
        """Make the tables of a generation if they are not there."""
        run_all(tx, queries(tx, generation), "create_")

    def drop(self, tx: Transaction, generation: int) -> None:
        """Drop the tables of a generation."""
        run_all(tx, queries(tx, generation), "drop_")

    def apply(self, tx: Transaction, batch: Batch, generation: int) -> None:
        """Bring the rows and the counters to the end of the batch."""
        sql = queries(tx, generation)
        _keep_halts(tx, sql, batch)
        changed: Counter[str] = Counter()
        rows = []
        for change in batch.motions:
            if change.after is None:
                continue
            if change.before is not None:
                for counter in counters_of(change.before):
                    changed[counter] -= 1
            for counter in counters_of(change.after):
                changed[counter] += 1
            after = summarise(change.after, batch.pipeline)
            rows.append(row_of(after, change.after, batch.pipeline.halts))
        _upsert(tx, sql, rows)
        _count(tx, sql, changed)


def queries(tx: Transaction, generation: int) -> Queries:
    """Return the statements for the tables of a generation."""
    return generation_queries("sql/motions.sql", tx.dialect, generation)


def counters_of(motion: Motion) -> list[str]:
    """Return the counters a motion is counted in, which are named by state, or as above."""
    counters = [motion.state.value]
    if motion.block is not None:
        counters += [BLOCKED, blocked_in(motion.state)]
    match next_action(motion):
        case AwaitPlace() if motion.tabled_until is None:
            counters.append(WAITING)
        case AwaitPerson() | AwaitTakingUp():
            counters.append(FOR_PERSON)
        case _:
            pass
    return counters


def blocked_in(state: GovernanceState) -> str:
    """Return the name of the counter of the motions that are blocked in a state."""
    return f"{BLOCKED} in {state.value}"


def _keep_halts(tx: Transaction, sql: Queries, batch: Batch) -> None:
    """Note the halts that began or ended in this batch."""
    changes = sum(
        isinstance(item.event, PipelineHalted | PipelineResumed) for item in batch.pipeline_events
    )
    if not changes:
        return
    # Each of those events added a halt, or ended the last one.
    halts = list(enumerate(batch.pipeline.halts, 1))[-changes:]
    tx.execute_many(
        sql.keep_halt,
        [
            {
                "number": number,
                "start_us": to_us(halt.start),
                "end_us": None if halt.end is None else to_us(halt.end),
            }
            for number, halt in halts
        ],
    )


def _upsert(tx: Transaction, sql: Queries, rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    if tx.dialect == "postgres":
        tx.execute(sql.upsert_motions, {name: [row[name] for row in rows] for name in COLUMNS})
    else:
        tx.execute_many(sql.upsert_motion, rows)


def _count(tx: Transaction, sql: Queries, changed: Counter[str]) -> None:
    # In order of name: two transactions that update the same rows never wait in a circle.
    amounts = sorted((name, amount) for name, amount in changed.items() if amount)
    if not amounts:
        return
    if tx.dialect == "postgres":
        names, numbers = zip(*amounts, strict=True)
        tx.execute(sql.count, {"counter": list(names), "amount": list(numbers)})
    else:
        tx.execute_many(
            sql.count_one, [{"counter": name, "amount": amount} for name, amount in amounts]
        )
