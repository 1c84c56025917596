"""The head row, which decides what may be appended, against what the events say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from governance_flow.application.audit.faults import Check, Fault
from governance_flow.application.audit.words import missing, time_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from governance_flow.application.audit.positions import PositionCheck
    from governance_flow.application.audit.walk import StreamWalk
    from governance_flow.application.ports.event_store import Head


def end_faults(head: Head | None, seen: PositionCheck) -> Iterator[Fault]:
    """Compare the head row with the end of the log."""
    last = seen.last_position
    if head is None:
        yield Fault(Check.HEAD, "the head row is missing: nothing can be appended")
        return
    if head.position > last:
        message = missing("position", last + 1, head.position)
        where = f"from the end of the log: the head says {head.position}"
        yield Fault(Check.POSITIONS, f"{message} {where}", position=last + 1)
    elif head.position < last:
        message = f"stands behind the end of the log: the head says {head.position}"
        yield Fault(Check.POSITIONS, message, position=head.position + 1)
    elif head.committed_at_us != seen.last_committed_at_us:
        message = (
            f"the head says the last commit was at {time_of(head.committed_at_us)}, "
            f"the last event was committed at {time_of(seen.last_committed_at_us)}"
        )
        yield Fault(Check.HEAD, message, position=last)


def state_faults(head: Head, walk: StreamWalk) -> Iterator[Fault]:
    """Compare what the head row allows with what the streams came to."""
    if not walk.pipeline_broken:
        pipeline = walk.pipeline
        if head.halt_epoch != pipeline.halt_epoch:
            yield _fault("halt epoch", head.halt_epoch, pipeline.halt_epoch)
        if head.halted != pipeline.halted:
            yield _fault("halted", head.halted, pipeline.halted)
    if not walk.motions_broken and head.admitted != walk.admitted:
        yield _fault("number of admitted motions", head.admitted, walk.admitted)


def _fault(name: str, stands: object, should: object) -> Fault:
    return Fault(Check.HEAD, f"the head row's {name} is {stands}, the events say {should}")
