"""Hears what other processes commit, through LISTEN and NOTIFY."""

from __future__ import annotations

import logging
import selectors
import socket
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
    nobody is woken, which is all a lost hint costs.
    """

    def __init__(self, server: Server, hints: Hints) -> None:
        self._server = server
        self._hints = hints
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
            if self._wait(None, RECONNECT_SECONDS):
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
        while not self._wait(connection, None):
            for notice in connection.notifies(timeout=0):
                self._publish(notice.payload)
        return True

    def _publish(self, payload: str) -> None:
        name, _, number = payload.partition(" ")
        with suppress(ValueError):  # somebody else's words on our channel
            self._hints.publish(Channel(name), int(number) if number else None)

    def _wait(self, connection: Connection | None, timeout_seconds: float | None) -> bool:
        """Wait until the connection can be read or the time is up; True when told to end."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._ended, selectors.EVENT_READ)
            if connection is not None:
                selector.register(connection.fileno(), selectors.EVENT_READ)
            ready = selector.select(timeout_seconds)
        return any(key.fileobj is self._ended for key, _ in ready)
