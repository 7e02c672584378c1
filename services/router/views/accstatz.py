"""What the accounts of a router have moved (reference: operations 6.10). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.shared.engine.forwarding import AccountView
from services.shared.wire.times import rfc3339

MEMBERS: Final = {"accounts": "[]string", "include_unused": "bool"}
"""The options of a request, with their types."""


def account_stat(view: AccountView, *, name: str) -> dict[str, Any]:
    """The figures of one account. `sent` is what went to its clients."""
    traffic = view.traffic
    return {
        "acc": name,
        "name": name,
        "conns": view.connections,
        "leafnodes": 0,
        "total_conns": view.connections,
        "num_subscriptions": view.lookups.subscriptions,
        "sent": _data(traffic.out_msgs, traffic.out_bytes),
        "received": _data(traffic.in_msgs, traffic.in_bytes),
        "slow_consumers": view.slow_consumers,
    }


def connections_event(
    view: AccountView, *, name: str, event_id: str, now_ns: int, server: Mapping[str, Any]
) -> dict[str, Any]:
    """The event that tells how many connections an account has (reference: security 8.3)."""
    return {
        "type": "io.nats.server.advisory.v1.account_connections",
        "id": event_id,
        "timestamp": rfc3339(now_ns),
        "server": server,
        **account_stat(view, name=name),
    }


def _data(msgs: int, count: int) -> dict[str, Any]:
    none = {"msgs": 0, "bytes": 0}
    return {"msgs": msgs, "bytes": count, "gateways": none, "routes": none, "leafs": none}


def accstatz(
    accounts: Iterable[tuple[str, AccountView]], *, server_id: str, now_ns: int, unused: bool
) -> dict[str, Any]:
    """The figures of accounts by name; with `unused` also of those that have no connection."""
    return {
        "server_id": server_id,
        "now": rfc3339(now_ns),
        "account_statz": [account_stat(view, name=name) for name, view in accounts if unused or view.connections],
    }
