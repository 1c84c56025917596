"""One of several processes that write to one store and follow it at the same time.

    python -m tests.support.order_process ADDRESS WRITERS APPENDS TOTAL

prints how many events its follower saw, and a digest of their order, as JSON.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from uuid import uuid4

from governance_flow.domain.errors import ConcurrencyConflict
from governance_flow.infrastructure.database.opening import open_database
from governance_flow.infrastructure.group_commit import GroupCommitEventStore
from tests.support.appends import an_append

PAGE = 100


async def write(store: GroupCommitEventStore, appends: int) -> None:
    """Append two events at a time to a stream, with a conflict now and then."""
    stream = uuid4()
    for number in range(appends):
        await store.append(an_append(stream, after=2 * number, events=2))
        if number % 5 == 0:
            try:
                await store.append(an_append(stream, after=0))
            except ConcurrencyConflict:
                continue
            raise AssertionError("a conflict went unnoticed")


async def follow(store: GroupCommitEventStore, total: int) -> tuple[int, str]:
    """Read page after page until so many events were seen."""
    digest, seen, position = hashlib.sha256(), 0, 0
    while seen < total:
        page = await store.read_all(after_position=position, limit=PAGE)
        for event in page:
            digest.update(f"{event.id} {event.originator_id} {event.originator_version};".encode())
            position = event.id
        seen += len(page)
        if not page:
            await store.wait_for_append(after_position=position, timeout_seconds=1)
    return seen, digest.hexdigest()


async def main(address: str, writers: int, appends: int, total: int) -> None:
    """Write and follow at once."""
    database = open_database(address, busy_seconds=60)
    store = GroupCommitEventStore(database)
    following = asyncio.create_task(follow(store, total))
    await asyncio.gather(*(write(store, appends) for _ in range(writers)))
    seen, digest = await following
    await store.close()
    await database.close()
    sys.stdout.write(json.dumps({"seen": seen, "digest": digest}) + "\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *(int(argument) for argument in sys.argv[2:5])))
