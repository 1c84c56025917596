"""Hears what other processes commit, through LISTEN and NOTIFY."""

from __future__ import annotations

import logging
import selectors
import socket
from collections.abc import Collection
from contextlib import suppress
from threading import Thread

import psycopg
from psycopg import sql

from governance_flow.application.queries import load_queries
from governance_flow.domain.errors import StoreError
from governance_flow.infrastructure.database.hints import Channel, Hints
from governance_flow.infrastructure.database.postgres_connection import Connection, Server

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 1.0

_SQL = load_queries("governance_flow.infrastructure", "sql/session.sql", "postgres")


class PostgresListener:
    """A thread with a connection of its own that turns notifications into hints.

    It survives the loss of its connection: it connects again, for ever, once a second. Meanwhile
    nobody is woken, which is all a lost hint costs. What comes from one of ``own``, the server's
    processes for this database's other connections, was published when it was committed.
    """

    def __init__(self, server: Server, hints: Hints, own: Collection[int]) -> None:
        self._server = server
        self._hints = hints
        self._own = own
        # A byte into this pair of sockets ends the thread's wait at once.
        self._ended, self._end = socket.socketpair()
        self._thread = Thread(target=self._run, name="store-listen", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and close its connection. May be repeated."""
        with suppress(OSError):
            self._end.send(b"!")
        self._thread.join()
        self._end.close()
        self._ended.close()

    def _run(self) -> None:
        while True:
            try:
                with self._server.connect() as connection:
                    if self._listen(connection):
                        return
            except (StoreError, psycopg.Error) as error:
                logger.warning("lost the wake-up connection, polling until it is back: %s", error)
            with self._waiting_for(None) as selector:
                if self._told_to_end(selector, RECONNECT_SECONDS):
                    return

    def _listen(self, connection: Connection) -> bool:
        """Publish hints until told to end (True); a lost connection raises."""
        connection.autocommit = True
        channel = connection.execute(_SQL.channel).fetchone()
        if channel is not None:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel[0])))
        # Whatever was committed before this moment was announced to nobody here.
        position = connection.execute(_SQL.position).fetchone()
        self._hints.publish(Channel.EVENTS, position[0] if position else None)
        self._hints.publish(Channel.WORK)
        with self._waiting_for(connection) as selector:
            while not self._told_to_end(selector, None):
                # Not connection.notifies(): this thread runs in the middle of everybody's commits.
                connection.pgconn.consume_input()
                while notice := connection.pgconn.notifies():
                    if notice.be_pid not in self._own:
                        self._publish(notice.extra.decode())
        return True

    def _publish(self, payload: str) -> None:
        name, _, number = payload.partition(" ")
        with suppress(ValueError):  # somebody else's words on our channel
            self._hints.publish(Channel(name), int(number) if number else None)

    def _waiting_for(self, connection: Connection | None) -> selectors.BaseSelector:
        selector = selectors.DefaultSelector()
        selector.register(self._ended, selectors.EVENT_READ)
        if connection is not None:
            selector.register(connection.fileno(), selectors.EVENT_READ)
        return selector

    def _told_to_end(self, selector: selectors.BaseSelector, seconds: float | None) -> bool:
        """Wait until there is something to be heard or the time is up; True when told to end."""
        return any(key.fileobj is self._ended for key, _ in selector.select(seconds))
