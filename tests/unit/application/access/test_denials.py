"""How many denials a place may collect in a minute, and what is counted of how many places."""

from __future__ import annotations

import pytest

from governance_flow.application.access import denials
from governance_flow.application.access.denials import DenialLimit, DenialReason
from governance_flow.application.access.permissions import ROLES, Permission, Role
from tests.support.clock import ManualClock


def test_so_many_are_allowed_and_then_one_has_to_wait(clock: ManualClock) -> None:
    limit = DenialLimit(3)
    clock.advance(20)

    waits = [limit.exceeded("a", clock.now()) for _ in range(5)]

    assert waits == [None, None, None, 40, 40]


def test_every_minute_begins_anew(clock: ManualClock) -> None:
    limit = DenialLimit(1)
    assert limit.exceeded("a", clock.now()) is None
    assert limit.exceeded("a", clock.now()) is not None

    clock.advance(60)

    assert limit.exceeded("a", clock.now()) is None


def test_places_are_counted_apart(clock: ManualClock) -> None:
    limit = DenialLimit(1)

    assert [limit.exceeded(client, clock.now()) for client in "abc"] == [None] * 3
    assert limit.exceeded("b", clock.now()) is not None


def test_only_so_many_places_are_counted_and_the_latest_ones(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denials, "CLIENTS_MAX", 2)
    limit = DenialLimit(1)
    for client in ("a", "b", "a", "c"):
        limit.exceeded(client, clock.now())

    assert len(limit._counts) == 2
    assert limit.exceeded("a", clock.now()) is not None, "it was denied again after b"
    assert limit.exceeded("b", clock.now()) is None


@pytest.mark.parametrize("reason", DenialReason)
def test_whether_we_know_who_asks_decides_between_401_and_403(reason: DenialReason) -> None:
    known = {"not_permitted", "other_branch", "forged_request"}

    assert reason.is_about_identity == (reason.value not in known)


def test_every_permission_is_some_roles_and_work_only_a_branchs() -> None:
    assert frozenset().union(*ROLES.values()) == frozenset(Permission)
    assert [role for role in Role if Permission.WORK in ROLES[role]] == [Role.BRANCH]
    assert not ROLES[Role.OPERATOR] & {Permission.INTRODUCE, Permission.WORK}
