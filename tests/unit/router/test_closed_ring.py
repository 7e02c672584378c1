"""The memory of closed connections and its bounds."""

from __future__ import annotations

from services.router.closed_ring import SUBSCRIPTIONS_MAX, Closed, ClosedRing
from services.shared.wire.close_reasons import CloseReason


def closed(cid: int, *, subscriptions: int = 0) -> Closed:
    subs = [(cid, 0, b"s", b"", b"1", 0, 0)] * subscriptions
    return Closed(
        cid=cid, account=0, reason=CloseReason.CLIENT_CLOSED, stopped_ns=1, note=b"{}",
        last=((1, 2, 3, 4), 5, 6, 7, 8, 9, 10), subscriptions=subs,
    )  # fmt: skip


def cids(ring: ClosedRing) -> list[int]:
    return [each.cid for each in ring]


def test_the_oldest_are_forgotten_first() -> None:
    ring = ClosedRing(2)
    for cid in range(4):
        ring.add(closed(cid))
    assert cids(ring) == [2, 3]


def test_a_ring_for_nobody_stays_empty() -> None:
    ring = ClosedRing(0)
    ring.add(closed(1))
    assert len(ring) == 0


def test_a_smaller_ring_keeps_the_newest() -> None:
    ring = ClosedRing(4)
    for cid in range(4):
        ring.add(closed(cid))
    ring.resize(2)
    assert cids(ring) == [2, 3]


def test_subscriptions_of_all_together_are_bounded() -> None:
    ring = ClosedRing(10_000)
    for cid in range(300):
        ring.add(closed(cid, subscriptions=1_024))
    kept = [len(each.subscriptions) for each in ring]
    assert sum(kept) <= SUBSCRIPTIONS_MAX
    assert kept[-1] == 1_024 and kept[0] == 0
    assert len(ring) == 300


def test_what_was_seen_last_is_read_back() -> None:
    view = closed(7).view
    assert (view.cid, view.traffic.out_bytes, view.stalls, view.subscriptions, view.rtt_ns) == (7, 4, 5, 6, 10)
    assert closed(7).reason_text == "Client Closed"


def test_connections_that_never_reached_the_engine_are_counted() -> None:
    ring = ClosedRing(1)
    ring.add_unopened(closed(1))
    ring.add_unopened(closed(2))
    assert (ring.unopened, cids(ring)) == (2, [2])
