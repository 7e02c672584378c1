"""What a server without peers, leafnodes and JetStream says about them (reference: operations 6.5 to 6.7, 6.11). Pure."""

from __future__ import annotations

from typing import Any

from services.shared.wire.times import rfc3339


def routez(*, server_id: str, server_name: str, now_ns: int) -> dict[str, Any]:
    """No routes."""
    return {
        "server_id": server_id, "server_name": server_name, "now": rfc3339(now_ns), "num_routes": 0, "routes": [],
    }  # fmt: skip


def gatewayz(*, server_id: str, now_ns: int) -> dict[str, Any]:
    """No gateways."""
    return {"server_id": server_id, "now": rfc3339(now_ns), "outbound_gateways": {}, "inbound_gateways": {}}


def leafz(*, server_id: str, now_ns: int) -> dict[str, Any]:
    """No leafnodes."""
    return {"server_id": server_id, "now": rfc3339(now_ns), "leafnodes": 0, "leafs": []}


def jsz(*, server_id: str, now_ns: int) -> dict[str, Any]:
    """JetStream is off."""
    none = {
        "memory": 0, "storage": 0, "reserved_memory": 0, "reserved_storage": 0, "accounts": 0, "ha_assets": 0,
        "api": {"level": 0, "total": 0, "errors": 0},
    }  # fmt: skip
    return none | {
        "server_id": server_id,
        "now": rfc3339(now_ns),
        "disabled": True,
        "config": {"max_memory": 0, "max_storage": 0},
        "streams": 0,
        "consumers": 0,
        "messages": 0,
        "bytes": 0,
        "total": 0,
    }
