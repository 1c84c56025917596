"""Where motions come in: past the docket, if nobody waits in it and a worker stands ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from governance_flow.application.ports.assignments import Keep, OpenAssignment
    from governance_flow.application.services.motion_commands import MotionCommands
    from governance_flow.application.services.motions import Draft


class Hands(Protocol):
    """A worker of this process, as far as whoever introduces a motion needs it."""

    def promise(self) -> AbstractContextManager[Keep | None]:
        """Keep room for an assignment while the block lasts; None if there is none."""
        ...

    def take(self, kept: OpenAssignment, keep: Keep) -> None:
        """Begin on an assignment that was leased under ``keep``."""
        ...


class Doorway:
    """Admits motions with their introduction, in one append instead of three commits.

    A worker that looks and finds nobody waiting, and places free, opens it. Others may have come
    since: the append says what must hold, and the store decides. Then the motion goes to the
    docket, as it does wherever no worker runs beside whoever introduces it.
    """

    def __init__(self, commands: MotionCommands) -> None:
        self._commands = commands
        self._hands: Hands | None = None

    def open(self, hands: Hands) -> None:
        """Let motions in, and what follows from that be begun by ``hands``."""
        self._hands = hands

    def close(self) -> None:
        """Let every motion go to the docket."""
        self._hands = None

    async def admit(self, draft: Draft) -> bool:
        """Commit an introduction and the admission; False if nothing was committed.

        Raises ConcurrencyConflict if there is a motion of that id, or a StoreError.
        """
        hands = self._hands
        if hands is None:
            return False
        with hands.promise() as keep:
            if keep is None:
                return False
            done = await self._commands.admit_at_once(draft, keep)
        if done is None:
            # Until the worker has looked again, nobody need try in vain.
            self.close()
            return False
        if done.kept is not None:
            hands.take(done.kept, keep)
        return True
