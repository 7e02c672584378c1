"""The connections that ended last, for monitoring (reference: operations 6.3).

Remembering one is cheap, since it happens for every connection while hardly anybody asks: what the engine reported is
kept as it is and read on demand. Bounded twice: by connections, and by the subscriptions of all of them together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

from services.shared.engine.forwarding import ConnectionView, SubscriptionView, Traffic
from services.shared.records.record import record
from services.shared.wire.close_reasons import CloseReason

SUBSCRIPTIONS_MAX: Final = 100_000
"""Subscriptions remembered of all closed connections together; the oldest connections lose theirs first."""

_TEXTS: Final = {int(reason): reason.text for reason in CloseReason}


@record
class Closed:
    """What is left of a connection. `stopped_ns` is wall-clock time; `note` is its note as JSON."""

    cid: int
    account: int | None
    reason: int
    stopped_ns: int
    note: bytes
    last: tuple[Any, ...] = ((0, 0, 0, 0), 0, 0, 0, 0, 0, 0)
    """traffic, stalls, subscriptions, pending, opened, last input, round trip: see `engine/py/src/events.rs`"""
    subscriptions: list[tuple[Any, ...]]

    @property
    def view(self) -> ConnectionView:
        """The connection as the engine saw it last."""
        traffic, stalls, subscriptions, pending, opened, last_in, rtt = self.last
        return ConnectionView(
            self.cid, self.account, Traffic(*traffic), stalls, subscriptions, pending, opened, last_in, rtt, self.note,
            None,
        )  # fmt: skip

    @property
    def reason_text(self) -> str:
        """Why it ended."""
        return _TEXTS[self.reason]

    @property
    def subscription_views(self) -> list[SubscriptionView]:
        """Its subscriptions, as far as they are still remembered."""
        return [SubscriptionView(*sub) for sub in self.subscriptions]


class ClosedRing:
    """Remembers the last connections that ended, up to a number of them."""

    __slots__ = ("_ring", "_subscriptions", "unopened")

    def __init__(self, connections_max: int) -> None:
        self._ring: deque[Closed] = deque(maxlen=max(connections_max, 0))
        self._subscriptions = 0
        self.unopened = 0
        """Connections that ended before the engine had them; it does not count those."""

    def __len__(self) -> int:
        return len(self._ring)

    def __iter__(self) -> Iterator[Closed]:
        """Oldest first."""
        return iter(self._ring)

    def add(self, closed: Closed) -> None:
        """Remembers a connection; the oldest is forgotten when there are too many."""
        ring = self._ring
        if not ring.maxlen:
            return
        if len(ring) == ring.maxlen:
            self._subscriptions -= len(ring[0].subscriptions)
        ring.append(closed)
        if closed.subscriptions:
            self._subscriptions += len(closed.subscriptions)
            self._shed()

    def add_unopened(self, closed: Closed) -> None:
        """Remembers a connection that ended before the engine had it."""
        self.unopened += 1
        self.add(closed)

    def resize(self, connections_max: int) -> None:
        """Another number of connections, from now on; keeps the newest."""
        self._ring = deque(self._ring, maxlen=max(connections_max, 0))
        self._subscriptions = sum(len(closed.subscriptions) for closed in self._ring)

    def _shed(self) -> None:
        if self._subscriptions <= SUBSCRIPTIONS_MAX:
            return
        for closed in self._ring:
            self._subscriptions -= len(closed.subscriptions)
            closed.subscriptions.clear()
            if self._subscriptions <= SUBSCRIPTIONS_MAX // 2:
                return
