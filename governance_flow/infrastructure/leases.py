"""Assignments, and the leases under which workers hold them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from uuid import UUID

from governance_flow.application.ports.assignments import (
    AssignmentCounts,
    AssignmentCursor,
    ClaimedAssignment,
    HeldLease,
    LeasedAssignment,
    LeaseInfo,
    OpenAssignment,
    Wish,
)
from governance_flow.application.ports.database import Row, Transaction
from governance_flow.application.queries import Queries
from governance_flow.application.times import seconds_to_us
from governance_flow.infrastructure.database.base import StoreTransaction
from governance_flow.infrastructure.operational_rows import OperationalRows

_NOBODY = UUID(int=0)
_START = AssignmentCursor(-(2**63), _NOBODY)
_OPEN_COLUMNS = 10
"""How many columns come before those of the lease."""


class SqlLeases(OperationalRows):
    """The port Leases on an SQL database."""

    @property
    def _leases_sql(self) -> Queries:
        return self._queries("assignments.sql")

    async def reserve_token(self) -> int:
        """Return a fencing token that was never given out before."""
        rows = await self._database.write(lambda tx: tx.execute(self._leases_sql.next_lease_token))
        token: int = rows[0][0]
        return token

    async def close(self, routing_id: UUID) -> None:
        """Remove the row of a routing that is not open, held or not."""
        params = {"routing_id": str(routing_id)}
        await self._database.write(lambda tx: tx.execute(self._leases_sql.close_assignment, params))

    async def claim(
        self, services: Sequence[str], *, owner: str, limit: int, lease_seconds: float
    ) -> list[ClaimedAssignment]:
        """Take at most ``limit`` assignments of these services that are due and free."""
        [claimed] = await self.claim_each([Wish(frozenset(services), owner, limit, lease_seconds)])
        return claimed

    async def claim_each(self, wishes: Sequence[Wish]) -> list[list[ClaimedAssignment]]:
        """Claim for one after the other, in one transaction; return what each has got."""

        def work(tx: StoreTransaction) -> list[list[ClaimedAssignment]]:
            [[(token,)]] = tx.execute_batch([(self._leases_sql.next_lease_token, {})])
            exhausted: set[frozenset[str]] = set()
            claimed: list[list[ClaimedAssignment]] = [[] for _ in wishes]
            for numbers in alike(wishes):
                services = wishes[numbers[0]].services
                if any(services <= others for others in exhausted):
                    continue
                rest = self._claim(tx, [wishes[number] for number in numbers], token)
                for number in numbers:
                    limit = wishes[number].limit
                    claimed[number], rest = rest[:limit], rest[limit:]
                if len(claimed[numbers[-1]]) < wishes[numbers[-1]].limit:
                    exhausted.add(services)
            return claimed

        return await self._database.write(work)

    def _claim(
        self, tx: StoreTransaction, wishes: Sequence[Wish], token: int
    ) -> list[ClaimedAssignment]:
        """Claim for some who wish for the same; return it in the order of the wishes."""
        takers, place = [], 0
        for wish in wishes:
            last_place = place + wish.limit
            taker = {"owner": wish.owner, "first_place": place + 1, "last_place": last_place}
            takers.append(taker)
            place = last_place
        rows = tx.execute(
            self._leases_sql.claim,
            {
                "services": sorted(wishes[0].services),
                "takers": json.dumps(takers),
                "token": token,
                "limit": place,
                "now_us": tx.now_us(),
                "lease_expires_at_us": tx.now_us() + seconds_to_us(wishes[0].lease_seconds),
            },
        )
        return sorted(map(_claimed, rows), key=lambda row: (row.not_before_us, row.routing_id))

    async def extend(self, leases: Sequence[HeldLease], *, lease_seconds: float) -> set[UUID]:
        """Let the leases run for so long from now; return the routings that are still held."""
        if not leases:
            return set()

        def work(tx: Transaction) -> list[Row]:
            return tx.execute(
                self._leases_sql.extend_lease,
                {
                    "routing_ids": [str(lease.routing_id) for lease in leases],
                    "tokens": [lease.lease_token for lease in leases],
                    "lease_expires_at_us": tx.now_us() + seconds_to_us(lease_seconds),
                },
            )

        return {UUID(routing_id) for (routing_id,) in await self._database.write(work)}

    async def delegate(self, lease: HeldLease, *, lease_seconds: float) -> bool:
        """Let one lease run for so long, for somebody who has taken the work away."""

        def work(tx: Transaction) -> list[Row]:
            return tx.execute(
                self._leases_sql.delegate_lease,
                {
                    "routing_id": str(lease.routing_id),
                    "token": lease.lease_token,
                    "until_us": tx.now_us() + seconds_to_us(lease_seconds),
                },
            )

        return bool(await self._database.write(work))

    async def overdue_delegations(self, *, limit: int) -> list[LeasedAssignment]:
        """Return what was delegated and not completed in time, the longest overdue first."""

        def work(tx: Transaction) -> list[Row]:
            return tx.execute(
                self._leases_sql.overdue_delegations, {"now_us": tx.now_us(), "limit": limit}
            )

        return [_leased(row) for row in await self._database.read(work)]

    async def release(self, lease: HeldLease) -> bool:
        """Give the routing back, at once claimable; False if it was not held any more."""
        params = {"routing_id": str(lease.routing_id), "token": lease.lease_token}
        rows = await self._database.write(
            lambda tx: tx.execute(self._leases_sql.release_lease, params)
        )
        return bool(rows)

    async def release_all(self, owner: str) -> None:
        """Give back every routing that this owner holds."""
        params = {"owner": owner}
        await self._database.write(lambda tx: tx.execute(self._leases_sql.release_all, params))

    async def holder(self, routing_id: UUID) -> LeaseInfo | None:
        """Return the lease of a routing, or None if it has no open assignment."""
        params = {"routing_id": str(routing_id)}
        rows = await self._database.read_row(
            lambda tx: tx.execute(self._leases_sql.read_lease, params)
        )
        return LeaseInfo(*rows[0]) if rows else None

    async def due_deadlines(self, *, limit: int) -> list[OpenAssignment]:
        """Return the assignments whose deadline has passed, the longest overdue first."""

        def work(tx: Transaction) -> list[Row]:
            return tx.execute(
                self._leases_sql.due_deadlines, {"now_us": tx.now_us(), "limit": limit}
            )

        return [OpenAssignment(*_open(row)) for row in await self._database.read(work)]

    async def list_open(
        self, *, limit: int, service: str | None = None, after: AssignmentCursor | None = None
    ) -> list[LeasedAssignment]:
        """Return a page of open assignments in the order in which they are or were claimable."""
        after = after or _START
        params: dict[str, object] = {
            "after_us": after.not_before_us,
            "after_id": str(after.routing_id),
            "limit": limit,
        }
        query = self._leases_sql.list_all
        if service is not None:
            query = self._leases_sql.list_service
            params["service"] = service
        rows = await self._database.read_once(lambda tx: tx.execute(query, params))
        return [_leased(row) for row in rows]

    async def counts(self) -> AssignmentCounts:
        """Return how many assignments are open and how many are held."""

        def work(tx: Transaction) -> list[Row]:
            return tx.execute(self._leases_sql.count_assignments, {"now_us": tx.now_us()})

        [row] = await self._database.read(work)
        return AssignmentCounts(*row)


def _open(row: Row) -> Row:
    routing_id, motion_id, *rest = row[:_OPEN_COLUMNS]
    return (UUID(routing_id), UUID(motion_id), *rest)


def _claimed(row: Row) -> ClaimedAssignment:
    return ClaimedAssignment(*_open(row), *row[_OPEN_COLUMNS:])


def _leased(row: Row) -> LeasedAssignment:
    return LeasedAssignment(*(*_open(row), LeaseInfo(*row[_OPEN_COLUMNS:])))


def alike(wishes: Sequence[Wish]) -> list[list[int]]:
    """Return the numbers of those wishes that can be claimed for together, in order of turn.

    Who wishes for exactly the same can, unless somebody in between wants some of it too.
    """
    groups: list[list[int]] = []
    for number, wish in enumerate(wishes):
        for group in reversed(groups):
            other = wishes[group[0]]
            if (other.services, other.lease_seconds) == (wish.services, wish.lease_seconds):
                group.append(number)
                break
            if other.services & wish.services:
                groups.append([number])
                break
        else:
            groups.append([number])
    return groups
