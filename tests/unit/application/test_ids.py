"""Ids: random, of version 4, and never given out twice, not even by a forked process."""

from __future__ import annotations

import os
from uuid import RFC_4122, UUID

import pytest

from governance_flow.application.ids import RandomIds


def test_no_id_is_given_out_twice() -> None:
    new_id = RandomIds()
    other = RandomIds()
    ids = [source() for _ in range(1500) for source in (new_id, other)]
    assert len(set(ids)) == 3000


def test_they_are_random_ids_as_the_standard_has_them() -> None:
    new_id = RandomIds()
    for made in (new_id() for _ in range(600)):
        assert (made.version, made.variant) == (4, RFC_4122)


def test_every_bit_that_is_free_is_random() -> None:
    new_id = RandomIds()
    ids = [new_id().int for _ in range(600)]
    ever_set, always_set = 0, -1
    for number in ids:
        ever_set |= number
        always_set &= number
    # The same in all of them: the four bits of the version, and two of the variant.
    fixed = UUID("ffffffff-ffff-0fff-3fff-ffffffffffff").int ^ (2**128 - 1)
    assert (ever_set ^ (2**128 - 1)) & ~fixed == 0
    assert always_set & ~fixed == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_gives_out_ids_of_its_own() -> None:
    new_id = RandomIds()
    new_id()  # the rest of the batch is ready now, in both
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - the other process
        os.write(writing, "".join(new_id().hex for _ in range(100)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    theirs = {said[start : start + 32] for start in range(0, len(said), 32)}
    assert len(theirs) == 100
    assert not theirs & {new_id().hex for _ in range(600)}
