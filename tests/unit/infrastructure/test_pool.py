"""The pool lends what is usable, no more than there may be."""

from __future__ import annotations

import pytest

from governance_flow.domain.errors import StoreBusy, StoreUnavailable
from governance_flow.infrastructure.database.pool import Pool


class Connection:
    def __init__(self, number: int) -> None:
        self.number = number
        self.usable = True
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Connector:
    def __init__(self) -> None:
        self.made: list[Connection] = []

    def __call__(self) -> Connection:
        self.made.append(Connection(len(self.made)))
        return self.made[-1]


@pytest.fixture
def connector() -> Connector:
    return Connector()


@pytest.fixture
def pool(connector: Connector) -> Pool[Connection]:
    return Pool(
        connector,
        size=2,
        wait_seconds=0.01,
        usable=lambda connection: connection.usable,
        dispose=Connection.close,
    )


def test_a_connection_is_made_when_needed_and_lent_again(
    pool: Pool[Connection], connector: Connector
) -> None:
    assert connector.made == []
    for _ in range(3):
        with pool.borrow() as connection:
            assert connection.number == 0


def test_the_one_used_last_is_lent_first(pool: Pool[Connection]) -> None:
    with pool.borrow(), pool.borrow() as second:
        pass
    del second
    with pool.borrow() as connection:
        assert connection.number == 0  # came back last


def test_more_than_there_may_be_are_not_lent(pool: Pool[Connection]) -> None:
    with (
        pool.borrow(),
        pool.borrow(),
        pytest.raises(StoreBusy, match="all 2 connections"),
        pool.borrow(),
    ):
        pass
    with pool.borrow(), pool.borrow():
        pass


def test_a_broken_connection_is_closed_and_replaced(
    pool: Pool[Connection], connector: Connector
) -> None:
    with pool.borrow() as connection:
        connection.usable = False
    assert connector.made[0].closed
    with pool.borrow() as connection:
        assert connection.number == 1


def test_a_place_is_given_back_when_connecting_fails() -> None:
    def refuse() -> Connection:
        raise StoreUnavailable("nobody there")

    pool = Pool(refuse, size=1, wait_seconds=0.01, usable=lambda _: True, dispose=lambda _: None)
    for _ in range(3):
        with pytest.raises(StoreUnavailable, match="nobody there"), pool.borrow():
            pass


def test_idle_connections_are_discarded_and_those_in_use_are_not(
    pool: Pool[Connection], connector: Connector
) -> None:
    with pool.borrow() as used:
        with pool.borrow():
            pass
        pool.discard_idle()
        assert not used.closed
    assert connector.made[1].closed
    with pool.borrow() as connection:
        assert connection is used


def test_a_closed_pool_closes_what_comes_back_and_lends_nothing(
    pool: Pool[Connection],
) -> None:
    with pool.borrow() as used:
        pool.close()
        closed_while_used = used.closed
    assert not closed_while_used
    assert used.closed
    with pytest.raises(StoreUnavailable, match="closed"), pool.borrow():
        pass
