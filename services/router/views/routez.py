"""The routes of a router (reference: operations 6.5). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

from services.router.views.connz import Clock
from services.router.views.subscriptions import subscription_detail
from services.shared.engine.forwarding import ConnectionView, SubscriptionView
from services.shared.identity.permissions import Permissions
from services.shared.member.compression import answer
from services.shared.member.routes.mesh import Peer, shown_subjects
from services.shared.records.record import record, replace
from services.shared.wire.times import duration_text, rfc3339, uptime_text


class Routes(Protocol):
    """The questions about routes that an engine answers."""

    def routes(self) -> list[ConnectionView]:
        """Views of all routes."""

    def compressions(self, cids: Sequence[int]) -> list[str | None]:
        """For each connection its mode of compression, None without one."""


Row: TypeAlias = tuple[Peer, ConnectionView, str]
"""A peer, what the engine says of its connection, and the mode of compression."""


@record
class Interest:
    """What the servers behind connections want, by connection, as far as it is to be shown."""

    subs: Mapping[int, Sequence[SubscriptionView]]
    in_detail: bool
    account_name: Callable[[int], str]


def routez(
    rows: Iterable[Row], clock: Clock, *, server_id: str, server_name: str, permissions: Permissions, interest: Interest
) -> dict[str, Any]:
    """All routes that are up; `permissions` are those of this server's cluster."""
    routes = [_route(row, clock) | _wanted(interest.subs.get(row[0].cid, ()), interest) for row in rows]
    return {
        "server_id": server_id,
        "server_name": server_name,
        "now": rfc3339(clock.wall_ns),
        **_both(shown_subjects(permissions.publish), shown_subjects(permissions.subscribe)),
        "num_routes": len(routes),
        "routes": routes,
    }


def statistics(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """All routes as servers tell each other of them (reference: operations 8.4)."""
    return [
        {
            "rid": peer.cid,
            "name": peer.info.server_name or peer.info.server_id,
            "sent": {"msgs": view.traffic.out_msgs, "bytes": view.traffic.out_bytes},
            "received": {"msgs": view.traffic.in_msgs, "bytes": view.traffic.in_bytes},
            "pending": view.pending_bytes,
        }
        for peer, view, _ in rows
    ]


def _both(imported: object, exported: object) -> dict[str, Any]:
    """What is imported and exported, where that is not everything."""
    return {name: value for name, value in (("import", imported), ("export", exported)) if value}


def joined(peers: Sequence[Peer], engine: Routes, *, compression: str) -> list[Row]:
    """Each peer with what the engine says of its connection; `compression` is what we are configured for."""
    by_cid = {view.cid: view for view in engine.routes()}
    present = [peer for peer in peers if peer.cid in by_cid]
    modes = engine.compressions([peer.cid for peer in present])
    return [
        (peer, by_cid[peer.cid], mode or answer("", local=compression, remote=peer.info.compression))
        for peer, mode in zip(present, modes, strict=True)
    ]


def _route(row: Row, clock: Clock) -> dict[str, Any]:
    peer, view, compression = row
    start, last = clock.wall_of(view.opened_ns), clock.wall_of(view.last_in_ns)
    members: dict[str, Any] = {
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
        members["rtt"] = duration_text(view.rtt_ns)
    members |= {
        "uptime": uptime_text(clock.wall_ns - start),
        "idle": uptime_text(clock.wall_ns - last),
        **_both(peer.info.members.get("import"), peer.info.members.get("export")),
        "pending_size": view.pending_bytes,
        "in_msgs": view.traffic.in_msgs,
        "out_msgs": view.traffic.out_msgs,
        "in_bytes": view.traffic.in_bytes,
        "out_bytes": view.traffic.out_bytes,
        "subscriptions": view.subscriptions,
    }
    if peer.place.account:
        members["account"] = peer.place.account
    return members | {"compression": compression}


def _wanted(subs: Sequence[SubscriptionView], interest: Interest) -> dict[str, Any]:
    if not subs:
        return {}
    if not interest.in_detail:
        return {"subscriptions_list": [sub.subject.decode(errors="replace") for sub in subs]}
    return {"subscriptions_list_detail": [_detail(sub, interest.account_name(sub.account)) for sub in subs]}


def _detail(sub: SubscriptionView, account: str) -> dict[str, Any]:
    """Interest has no id of its own: it is shown by what it is about."""
    words = [b"R", account.encode(), sub.subject, *([sub.queue] if sub.queue else [])]
    return subscription_detail(replace(sub, sid=b" ".join(words)))
