"""A bounded pool of connections, for any driver.

Ours, so that whatever stands in an address (several hosts, ``sslmode``) reaches the driver as it
is, so that a failure to connect is reported as what it was, and so that nothing runs in the
background: a connection is opened when one is needed, and dropped when it proves broken.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Lock
from typing import Generic, TypeVar

from governance_flow.domain.errors import StoreBusy, StoreUnavailable

C = TypeVar("C")


class Pool(Generic[C]):
    """At most ``size`` connections, lent one at a time, the most recently used first.

    ``usable`` says whether a connection that comes back may be lent again; if not, ``dispose``
    closes it.
    """

    def __init__(
        self,
        connect: Callable[[], C],
        *,
        size: int,
        wait_seconds: float,
        usable: Callable[[C], bool],
        dispose: Callable[[C], None],
    ) -> None:
        self._connect = connect
        self._size = size
        self._wait_seconds = wait_seconds
        self._usable = usable
        self._dispose = dispose
        self._places = BoundedSemaphore(size)
        self._guard = Lock()
        self._idle: deque[C] = deque()
        self._closed = False

    @contextmanager
    def borrow(self) -> Iterator[C]:
        """Lend a connection for the length of the block.

        Raises StoreBusy if none came back in time, StoreUnavailable if the pool is closed, and
        whatever ``connect`` raises.
        """
        if not self._places.acquire(timeout=self._wait_seconds):
            raise StoreBusy(
                f"all {self._size} connections were in use for {self._wait_seconds:g} s: "
                "transactions take too long, or too many run at once"
            )
        try:
            connection = self._take()
            try:
                yield connection
            finally:
                self._give_back(connection)
        finally:
            self._places.release()

    def discard_idle(self) -> None:
        """Close the connections that nobody uses: one was found broken, so these may be too."""
        with self._guard:
            discarded, self._idle = self._idle, deque()
        for connection in discarded:
            self._dispose(connection)

    def close(self) -> None:
        """Lend nothing any more, and close every connection, those in use as they come back."""
        self._closed = True
        self.discard_idle()

    def _take(self) -> C:
        with self._guard:
            if self._closed:
                raise StoreUnavailable("the store was closed; open it again to use it")
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _give_back(self, connection: C) -> None:
        with self._guard:
            if not self._closed and self._usable(connection):
                self._idle.append(connection)
                return
        self._dispose(connection)
