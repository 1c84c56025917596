"""Follows the log for users of the library's interface."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from threading import Event

from eventsourcing.persistence import ApplicationRecorder, Notification, Subscription

from governance_flow.infrastructure.database.hints import Channel, Hints

PAGE_EVENTS = 500
POLL_SECONDS = 0.5
"""How long a subscription goes without looking when no hint comes."""


class HintedSubscription(Subscription[ApplicationRecorder]):
    """Yields every event after a position, as it is recorded, without end.

    It reads when a hint comes, and from time to time without one. Nothing runs in the background:
    whoever iterates does the reading, so a slow reader holds at most one page.
    """

    def __init__(
        self,
        recorder: ApplicationRecorder,
        hints: Hints,
        *,
        gt: int | None,
        topics: Sequence[str],
    ) -> None:
        super().__init__(recorder=recorder, gt=gt, topics=topics)
        self._hints = hints
        self._woken = Event()
        self._page: deque[Notification] = deque()
        self._position = gt or 0

    def stop(self) -> None:
        """End the iteration, from any thread."""
        super().stop()
        self._woken.set()

    def __next__(self) -> Notification:
        """Return the next event, however long it takes to come."""
        with self._hints.listening(Channel.EVENTS, self._woken.set):
            while not self._has_been_stopped:
                if self._page:
                    notification = self._page.popleft()
                    self._position = notification.id
                    return notification
                # Cleared before looking, so that a hint in between is not lost.
                self._woken.clear()
                self._page.extend(
                    self._recorder.select_notifications(
                        self._position, PAGE_EVENTS, topics=self._topics, inclusive_of_start=False
                    )
                )
                if not self._page:
                    self._woken.wait(POLL_SECONDS)
        raise StopIteration
