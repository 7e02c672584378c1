"""The routes of a router (reference: operations 6.5). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from services.router.views.connz import Clock
from services.shared.engine.forwarding import ConnectionView
from services.shared.member.routes.mesh import Peer
from services.shared.wire.times import duration_text, rfc3339, uptime_text


def routez(
    rows: Iterable[tuple[Peer, ConnectionView]], clock: Clock, *, server_id: str, server_name: str
) -> dict[str, Any]:
    """All routes that are up."""
    routes = [_route(peer, view, clock) for peer, view in rows]
    return {
        "server_id": server_id,
        "server_name": server_name,
        "now": rfc3339(clock.wall_ns),
        "num_routes": len(routes),
        "routes": routes,
    }


def statistics(rows: Iterable[tuple[Peer, ConnectionView]]) -> list[dict[str, Any]]:
    """All routes as servers tell each other of them (reference: operations 8.4)."""
    return [
        {
            "rid": peer.cid,
            "name": peer.info.server_name or peer.info.server_id,
            "sent": {"msgs": view.traffic.out_msgs, "bytes": view.traffic.out_bytes},
            "received": {"msgs": view.traffic.in_msgs, "bytes": view.traffic.in_bytes},
            "pending": view.pending_bytes,
        }
        for peer, view in rows
    ]


def joined(peers: Sequence[Peer], views: Iterable[ConnectionView]) -> list[tuple[Peer, ConnectionView]]:
    """Each connection with what the engine says of it."""
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
    row |= {
        "uptime": uptime_text(clock.wall_ns - start),
        "idle": uptime_text(clock.wall_ns - last),
        "pending_size": view.pending_bytes,
        "in_msgs": view.traffic.in_msgs,
        "out_msgs": view.traffic.out_msgs,
        "in_bytes": view.traffic.in_bytes,
        "out_bytes": view.traffic.out_bytes,
        "subscriptions": view.subscriptions,
    }
    return row | {"account": peer.place.account} if peer.place.account else row
