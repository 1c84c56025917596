"""Connections to PostgreSQL: what an address means, what a session is set to, what is refused."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from time import monotonic
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.string import TextLoader

from governance_flow.application.queries import load_queries
from governance_flow.domain.errors import InvalidInput, StoreReadOnly, StoreUnavailable
from governance_flow.infrastructure.database.postgres_errors import NoAnswer, store_error

RV = TypeVar("RV")

_DEFAULTS = {
    "application_name": "governance-flow",
    "connect_timeout": "10",
    # A server that vanished without a word is noticed in about half a minute.
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}

_ISOLATION = {
    # For the statements that are transactions of their own; what says BEGIN says its own.
    "default_transaction_isolation": "read committed",
}

_SERVER_KEEPALIVES = {
    # And so is a client, by the server.
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long things may take before they are given up, in seconds.

    ``statement`` and ``lock`` bound what the server does for us. ``idle`` and ``transaction`` are
    for the case that we vanish: then the server must end our transaction, which may hold the head
    row and with that everybody up. ``answer`` is for the case that the server vanishes.
    """

    statement: float = 30.0
    lock: float = 10.0
    idle: float = 20.0
    transaction: float = 30.0
    answer: float = 40.0

    def server_settings(self) -> dict[str, str]:
        """Return the bounds, and what else is the same for every session, as its settings."""
        bounds = {
            "statement_timeout": self.statement,
            "lock_timeout": self.lock,
            "idle_in_transaction_session_timeout": self.idle,
            # Between two messages of one pipeline a session does not count as idle.
            "transaction_timeout": self.transaction,
        }
        settings = {name: str(round(1000 * seconds)) for name, seconds in bounds.items()}
        return settings | _ISOLATION | _SERVER_KEEPALIVES


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A psycopg connection whose every wait for an answer ends."""

    answer_seconds: float = Timeouts().answer
    server_process: int = 0
    """Which of the server's processes is at the other end; known even when that is lost."""

    def wait(self, gen: Generator[Any, Any, RV], *args: Any, **kwargs: Any) -> RV:
        """Consume a generator of psycopg's, but fail if the answer takes too long."""
        return super().wait(self._bounded(gen), *args, **kwargs)

    def _bounded(self, gen: Generator[Any, Any, RV]) -> Generator[Any, Any, RV]:
        deadline = monotonic() + self.answer_seconds
        ready: Any = None
        while True:
            try:
                wanted = gen.send(ready)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            ready = yield wanted
            if not ready and monotonic() > deadline:
                gen.close()
                self.close()
                raise NoAnswer(f"no answer for {self.answer_seconds:g} s")


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL address, ready to connect to.

    ``conninfo`` is what the user wrote (any URI or string that libpq takes, with several hosts or
    TLS settings) and our defaults for what it does not say; ``where`` is the part without secrets.
    """

    conninfo: str
    where: str
    password: str | None
    timeouts: Timeouts

    @classmethod
    def at(cls, address: str, timeouts: Timeouts) -> Server:
        """Read an address. Raises InvalidInput, without repeating it: it may hold a password."""
        try:
            settings = conninfo_to_dict(address)
        except psycopg.Error:
            raise InvalidInput(
                "the PostgreSQL address cannot be read; it should look like "
                "postgresql://user@host:5432/database?sslmode=require "
                "(write special characters in a password as %XX)"
            ) from None
        password = settings.get("password")
        host = settings.get("host") or settings.get("hostaddr") or "the local socket"
        where = f"PostgreSQL database {settings.get('dbname') or 'of the same name'} on {host}"
        return cls(
            conninfo=make_conninfo("", **{**_DEFAULTS, **settings}),
            where=where,
            password=str(password) if password else None,
            timeouts=timeouts,
        )

    def connect(self) -> Connection:
        """Open a session. Raises StoreUnavailable, or StoreReadOnly for a hot standby."""
        try:
            connection = Connection.connect(self.conninfo)
        except psycopg.Error as error:
            raise self._cannot_connect(error) from None
        try:
            connection.answer_seconds = self.timeouts.answer
            connection.server_process = connection.info.backend_pid
            # Ids cross the boundary as text, as in SQLite.
            connection.adapters.register_loader("uuid", TextLoader)
            self._set_up(connection)
        except psycopg.Error as error:
            connection.close()
            raise store_error(error, self.where) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _set_up(self, connection: Connection) -> None:
        queries = load_queries("governance_flow.infrastructure", "sql/session.sql", "postgres")
        settings = self.timeouts.server_settings()
        connection.autocommit = True
        row = connection.execute(
            queries.set_up, {"names": list(settings), "values": list(settings.values())}
        ).fetchone()
        connection.autocommit = False
        if row is not None and row[0]:
            raise StoreReadOnly(
                f"{self.where} is a hot standby: it takes no writes, and shows commits in another "
                "order than the primary; connect to the primary (with several hosts: "
                "target_session_attrs=read-write)",
                where=self.where,
            )

    def _cannot_connect(self, error: psycopg.Error) -> StoreUnavailable:
        # libpq gives no error state here, so what the server said is all there is to go by.
        said = str(error).strip().replace("\n", " ")
        if self.password:
            said = said.replace(self.password, "***")
        return StoreUnavailable(
            f"{self.where}: cannot connect; check that the server runs and can be reached, and the "
            f"database, user and password in the address (PostgreSQL says: {said})",
            where=self.where,
        )
