"""Which connections there are to one server, and over which of them it hears of an account."""

from __future__ import annotations

import pytest

from services.shared.member.routes.pool import FIRST, POOL_SIZE_MAX, Place, Pooling, missing, slot_of
from services.shared.member.routes.route_info import RouteInfo

OWN = Pooling(size=3, pinned=("P", "$SYS"), accounts=frozenset({"P", "$SYS", "X"}))
PINNED = [Place(account="P"), Place(account="$SYS")]


def info(*, size: int, index: int = 0, account: str = "") -> RouteInfo:
    """INFO of a peer."""
    return RouteInfo(server_id="B", pool_size=size, pool_index=index, account=account, members={})


@pytest.mark.parametrize(("account", "slot"), [("X", 2), ("$G", 2), ("Y", 0)])
def test_an_account_has_the_slot_that_its_name_gives(account: str, slot: int) -> None:
    """Reference 0.4."""
    assert slot_of(account, size=3) == OWN.slot_of(account) == slot
    assert slot_of(account, size=1) == slot_of(account, size=0) == 0


def test_an_account_with_a_connection_of_its_own_has_no_slot() -> None:
    assert OWN.slot_of("P") is None
    assert Pooling(pinned=("P",)).slot_of("P") == 0


@pytest.mark.parametrize(("own", "theirs", "size"), [(3, 3, 3), (3, 1, 3), (3, 5, 5), (3, 0, 0), (0, 3, 0), (3, -1, 0)])
def test_of_two_sizes_the_larger_counts(own: int, theirs: int, size: int) -> None:
    assert Pooling(size=own).size_with(info(size=theirs)) == size


def test_a_peer_does_not_get_any_number_of_connections() -> None:
    assert OWN.size_with(info(size=1_000_000)) == POOL_SIZE_MAX


def test_slots_are_dialled_one_after_another_and_accounts_at_once() -> None:
    peer = info(size=3)
    assert missing(OWN, peer, up=(FIRST,), dialled=()) == [Place(slot=1), *PINNED]
    assert missing(OWN, peer, up=(FIRST,), dialled=(Place(slot=1), PINNED[0])) == [PINNED[1]]
    assert missing(OWN, peer, up=(Place(slot=1), Place(slot=2), *PINNED), dialled=()) == [FIRST]
    assert missing(OWN, peer, up=(FIRST, Place(slot=1), Place(slot=2), *PINNED), dialled=()) == []


def test_a_server_without_a_pool_has_one_connection() -> None:
    assert missing(OWN, info(size=0), up=(FIRST,), dialled=()) == []
    assert OWN.place(info(size=0, index=2)) == FIRST
    assert OWN.judge(info(size=0, index=2), solicited=False) is None
