"""The connections to one other server: which there are, which is missing, which stays of two (reference: wire protocol 2.7).

Promise: a connection has a place, a slot of the pool or one account, and no place is taken twice. Each server says over
which slot it tells of an account by its own pool size, so that two sizes go together. Pure.
Deliberately absent: who dials when (`upkeep_loop`), what a server says of itself (`mesh`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from services.shared.member.routes.route_info import RouteInfo
from services.shared.records.record import record
from services.shared.wire.close_reasons import CloseReason
from services.shared.wire.quote import quote

POOL_SIZE_MAX: Final = 64
"""A peer may want more connections than we, but not any number of them."""

_FNV_START: Final = 2166136261
_FNV_PRIME: Final = 16777619
_FNV_MASK: Final = 0xFFFFFFFF


@record
class Place:
    """What a connection is for: the accounts of a slot, or one account. A server without a pool has slot 0 for all."""

    slot: int = 0
    account: str = ""


FIRST: Final = Place()


@record
class Rejection:
    """Why a server may not join over a connection. `text` is sent as `-ERR`; empty closes without a word.

    `duplicate_of` is the server that has a connection in this `place` already.
    """

    reason: CloseReason
    text: str = ""
    self_route: bool = False
    duplicate_of: str = ""
    place: Place = FIRST


@record
class Pooling:
    """How many connections this server wants to each other one: `size` of them and one for each of the `pinned` accounts.

    A `size` of 0 is one connection for everything. `accounts` are those that exist here.
    """

    size: int = 0
    pinned: tuple[str, ...] = ()
    accounts: frozenset[str] = frozenset()

    def slot_of(self, account: str) -> int | None:
        """The slot of an account, None when it has a connection of its own."""
        if self.size and account in self.pinned:
            return None
        return slot_of(account, size=self.size)

    def size_with(self, info: RouteInfo) -> int:
        """How many connections there are with a server beside those for one account: 0 when one is for everything."""
        if not self.size or info.pool_size <= 0:
            return 0
        return max(self.size, min(info.pool_size, POOL_SIZE_MAX))

    def judge(self, info: RouteInfo, *, solicited: bool) -> Rejection | None:
        """Whether a connection may have the place that its INFO asks for (reference: 2.5)."""
        if info.account:
            return self._judge_account(info)
        size = self.size_with(info)
        if not size:
            return None
        if solicited and info.pool_index:
            return _violation(f"Route pool index should not be set but is set to {info.pool_index}")
        if not 0 <= info.pool_index < size:
            return _violation(f"Invalid route pool index: {info.pool_index} - pool size is {size}")
        return None

    def _judge_account(self, info: RouteInfo) -> Rejection | None:
        account = quote(info.account)
        if info.account not in self.accounts:
            return _violation(f"Unable to lookup account {account}: account missing")
        if not self.size_with(info):
            return _violation(f"Not possible to have a dedicated route for account {account} between those servers")
        if info.account not in self.pinned:
            return _violation(f"No route for account {account}")
        return None

    def place(self, info: RouteInfo) -> Place:
        """The place that the other side asks for, once it was judged."""
        return Place(slot=info.pool_index, account=info.account) if self.size_with(info) else FIRST

    def members(self, place: Place | None) -> dict[str, Any]:
        """What INFO says of it; a place only when we are the one who chooses it."""
        chosen = place or FIRST
        return {
            "route_pool_size": self.size or None,
            "route_pool_idx": chosen.slot or None,
            "route_account": chosen.account,
        }


def slot_of(account: str, *, size: int) -> int:
    """The slot of an account in a pool: FNV-1a of its name, modulo the size."""
    value = _FNV_START
    for byte in account.encode():
        value = (value ^ byte) * _FNV_PRIME & _FNV_MASK
    return value % size if size > 1 else 0


def missing(own: Pooling, info: RouteInfo, *, up: Collection[Place], dialled: Collection[Place]) -> list[Place]:
    """What is to be dialled now of the connections to a server beside those that are up or being dialled.

    Slots are opened one after another, connections for one account all at once (reference: 2.4).
    """
    size = own.size_with(info)
    slots = [place for slot in range(max(1, size)) if (place := Place(slot=slot)) not in up]
    busy = any(not place.account for place in dialled)
    accounts = [Place(account=account) for account in own.pinned] if size else []
    return ([] if busy else slots[:1]) + [place for place in accounts if place not in up and place not in dialled]


def _violation(text: str) -> Rejection:
    return Rejection(reason=CloseReason.PROTOCOL_VIOLATION, text=text)
