"""Beginning a coroutine before deciding how to wait for it."""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine, Generator
from types import CoroutineType
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Begun(Generic[T]):
    """Something awaitable that has run up to its first wait; ``done`` if it never waits.

    Foreign code is called under a time limit, and a timer costs more than most calls, which answer
    at once. Begun first, only what really waits needs one. It runs in the caller's task throughout.
    Raises, when it is made, whatever is raised before the first wait.
    """

    __slots__ = ("_awaitable", "_waits_for", "done", "result")

    def __init__(self, awaitable: Awaitable[T]) -> None:
        self._awaitable = awaitable
        self._waits_for: Any = None
        self.done = False
        self.result: T
        if type(awaitable) is CoroutineType or isinstance(awaitable, Coroutine):
            try:
                self._waits_for = awaitable.send(None)
            except StopIteration as finished:
                self.done, self.result = True, finished.value

    def __await__(self) -> Generator[Any, Any, T]:
        """Wait for the rest."""
        if self.done:
            return self.result
        if not isinstance(self._awaitable, Coroutine):
            return (yield from self._awaitable.__await__())
        return (yield from self._rest(self._awaitable))

    def _rest(self, coroutine: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
        """Go on as ``await`` would have, had it not been begun: pass everything through."""
        try:
            while True:
                try:
                    sent = yield self._waits_for
                except GeneratorExit:
                    coroutine.close()
                    raise
                except BaseException as error:  # noqa: BLE001 - handed to where it belongs
                    self._waits_for = coroutine.throw(error)
                else:
                    self._waits_for = coroutine.send(sent)
        except StopIteration as finished:
            result: T = finished.value
            return result
