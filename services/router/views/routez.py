"""The routes of a router (reference: operations 6.5). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from services.router.views.connz import Clock
from services.router.views.subscriptions import subscription_detail
from services.shared.engine.forwarding import ConnectionView, SubscriptionView
from services.shared.member.routes.mesh import Peer
from services.shared.records.record import replace
from services.shared.wire.times import duration_text, rfc3339, uptime_text


def routez(
    rows: Iterable[tuple[Peer, ConnectionView]], clock: Clock, *, server_id: str, server_name: str,
    options: Mapping[str, Any], interest: Mapping[int, Sequence[SubscriptionView]], account_name: Callable[[int], str],
) -> dict[str, Any]:  # fmt: skip
    """All routes that are up. `interest` is what the servers behind them want, by connection, if it is to be shown."""
    routes = [
        _route(peer, view, clock) | _interest(interest.get(peer.cid, ()), options, account_name) for peer, view in rows
    ]
    return {
        "server_id": server_id,
        "server_name": server_name,
        "now": rfc3339(clock.wall_ns),
        "num_routes": len(routes),
        "routes": routes,
    }


def joined(peers: Sequence[Peer], views: Iterable[ConnectionView]) -> list[tuple[Peer, ConnectionView]]:
    """Each peer with what the engine says of its connection."""
    by_cid = {view.cid: view for view in views}
    return [(peer, by_cid[peer.cid]) for peer in peers if peer.cid in by_cid]


def _route(peer: Peer, view: ConnectionView, clock: Clock) -> dict[str, Any]:
    start, last = clock.wall_of(view.opened_ns), clock.wall_of(view.last_in_ns)
    row: dict[str, Any] = {
        "rid": peer.cid,
        "remote_id": peer.info.server_id,
        "remote_name": peer.info.server_name or peer.info.server_id,
        "did_solicit": peer.solicited,
        "is_configured": peer.explicit,
        "ip": peer.ip,
        "port": peer.port,
        "start": rfc3339(start),
        "last_activity": rfc3339(last),
    }
    if view.rtt_ns:
        row["rtt"] = duration_text(view.rtt_ns)
    return row | {
        "uptime": uptime_text(clock.wall_ns - start),
        "idle": uptime_text(clock.wall_ns - last),
        "pending_size": view.pending_bytes,
        "in_msgs": view.traffic.in_msgs,
        "out_msgs": view.traffic.out_msgs,
        "in_bytes": view.traffic.in_bytes,
        "out_bytes": view.traffic.out_bytes,
        "subscriptions": view.subscriptions,
    }


def _interest(
    wanted: Sequence[SubscriptionView], options: Mapping[str, Any], account_name: Callable[[int], str]
) -> dict[str, Any]:
    if not wanted:
        return {}
    if not options.get("subscriptions_detail"):
        return {"subscriptions_list": [sub.subject.decode(errors="replace") for sub in wanted]}
    return {"subscriptions_list_detail": [_detail(sub, account_name(sub.account)) for sub in wanted]}


def _detail(sub: SubscriptionView, account: str) -> dict[str, Any]:
    """Interest has no id of its own: it is shown by what it is about."""
    words = [b"R", account.encode(), sub.subject, *([sub.queue] if sub.queue else [])]
    return subscription_detail(replace(sub, sid=b" ".join(words)))
