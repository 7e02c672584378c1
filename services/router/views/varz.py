"""The router at a glance (reference: operations 6.2, security 8.3 for statsz). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.router.admission.directory import AUTH_TIMEOUT_NS, TLS_GRACE_NS
from services.shared.config.options import Options, WebsocketOptions
from services.shared.config.route_urls import parse_route_url
from services.shared.member.cluster_face import shown_cluster
from services.shared.member.server_info import FEATURE_FLAGS
from services.shared.records.record import record
from services.shared.runtime.role_plan import CLUSTER_LISTENER, NATS_LISTENER, WEBSOCKET_LISTENER, Identity
from services.shared.telemetry.release import COMPATIBLE_RELEASE, PRODUCT, PRODUCT_VERSION
from services.shared.wire.times import SECOND_NS, rfc3339, seconds_number, uptime_text

_TLS_TIMEOUT_NS: Final = 2 * SECOND_NS


@record
class Standing:
    """What holds for a server until its next reload. `ports` are the real ones, `started_ns` and `loaded_ns` wall time.

    `certificate_ends` has the end of the certificate of each listener with TLS, as wall time.
    """

    identity: Identity
    options: Options
    ports: Mapping[str, int]
    git_commit: str
    system_account: str
    auth_required: bool
    started_ns: int
    loaded_ns: int
    certificate_ends: Mapping[str, int]


@record
class Machine:
    """What a server takes of its machine."""

    memory_bytes: int
    cpu_percent: float
    cores: int
    usable_cores: int


def varz(
    standing: Standing, machine: Machine, *, now_ns: int, totals: Mapping[str, int],
    http_requests: Mapping[str, int], routes: int = 0, remotes: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """All of it. `totals` are the engine's; `http_requests` counts requests to monitoring by path."""
    options = standing.options
    shown = _identity(standing)
    shown |= _limits(options)
    shown |= _parts(standing)
    shown |= {
        "tls_timeout": seconds_number(options.tls.timeout_ns if options.tls else _TLS_TIMEOUT_NS),
        "write_deadline": options.write_deadline_ns,
    }
    if options.write_timeout in ("close", "retry"):
        shown["write_timeout"] = options.write_timeout
    shown |= {
        "start": rfc3339(standing.started_ns),
        "now": rfc3339(now_ns),
        "uptime": uptime_text(now_ns - standing.started_ns),
        "mem": machine.memory_bytes,
        "cores": machine.cores,
        "gomaxprocs": machine.usable_cores,
        "cpu": machine.cpu_percent,
    }
    shown |= _traffic(totals, routes=routes, remotes=remotes)
    shown |= {
        "http_req_stats": dict(sorted(http_requests.items())),
        "config_load_time": rfc3339(standing.loaded_ns),
        "config_digest": options.config_digest,
    }
    shown |= _labels(standing)
    shown |= _troubles(totals)
    if NATS_LISTENER in standing.certificate_ends:
        shown["tls_cert_not_after"] = rfc3339(standing.certificate_ends[NATS_LISTENER])
    if options.proxies is not None:
        trusted = [{"key": key} for key in options.proxies.trusted]
        shown["proxies"] = {"trusted": trusted} if trusted else {}
    return shown


def _identity(standing: Standing) -> dict[str, Any]:
    options, identity = standing.options, standing.identity
    shown: dict[str, Any] = {
        "server_id": identity.server_id,
        "server_name": identity.server_name or identity.server_id,
        "version": COMPATIBLE_RELEASE,
        "proto": 1,
    }
    if standing.git_commit:
        shown["git_commit"] = standing.git_commit
    shown["go"] = f"{PRODUCT} {PRODUCT_VERSION}"
    shown["host"] = options.host
    shown["port"] = standing.ports.get(NATS_LISTENER, options.port)
    if standing.auth_required:
        shown["auth_required"] = True
    if options.tls is not None and not options.allow_non_tls:
        shown["tls_required"] = True
    if options.tls is not None and (options.tls.verify or options.tls.verify_and_map):
        shown["tls_verify"] = True
    return shown


def _limits(options: Options) -> dict[str, Any]:
    shown: dict[str, Any] = {"max_connections": options.max_connections}
    if options.max_subscriptions:
        shown["max_subscriptions"] = options.max_subscriptions
    tls_wait_ns = options.tls.timeout_ns + TLS_GRACE_NS if options.tls else AUTH_TIMEOUT_NS
    return shown | {
        "ping_interval": options.ping_interval_ns,
        "ping_max": options.ping_max,
        "http_host": options.http_host or options.host,
        "http_port": options.http_port,
        "http_base_path": options.http_base_path,
        "https_port": options.https_port,
        "auth_timeout": seconds_number(options.authorization.timeout_ns or tls_wait_ns),
        "max_control_line": options.max_control_line_bytes,
        "max_payload": options.max_payload_bytes,
        "max_pending": options.max_pending_bytes,
    }


def _parts(standing: Standing) -> dict[str, Any]:
    websocket = standing.options.websocket
    shown = {} if websocket is None or not websocket.port else _websocket(websocket, standing)
    return {"cluster": _cluster(standing), "gateway": {}, "leaf": {}, "mqtt": {}, "websocket": shown, "jetstream": {}}


def _cluster(standing: Standing) -> dict[str, Any]:
    cluster = shown_cluster(standing.options)
    if cluster is None:
        return {}
    end = standing.certificate_ends.get(CLUSTER_LISTENER)
    shown = {
        "name": cluster.name,
        "addr": cluster.host,
        "cluster_port": standing.ports.get(CLUSTER_LISTENER, cluster.port),
        "auth_timeout": seconds_number(cluster.auth_timeout_ns or AUTH_TIMEOUT_NS),
        "urls": [parse_route_url(text).address for text in cluster.routes],
        "tls_timeout": seconds_number(cluster.tls.timeout_ns if cluster.tls else _TLS_TIMEOUT_NS),
        "tls_required": cluster.tls is not None,
        "tls_verify": cluster.tls is not None,
        "pool_size": cluster.pool_size,
        "tls_cert_not_after": "" if end is None else rfc3339(end),
    }
    return {name: value for name, value in shown.items() if value}


def _websocket(options: WebsocketOptions, standing: Standing) -> dict[str, Any]:
    end = standing.certificate_ends.get(WEBSOCKET_LISTENER)
    tls = options.tls
    shown = {
        "host": options.host,
        "port": standing.ports.get(WEBSOCKET_LISTENER, options.port),
        "advertise": options.advertise,
        "no_auth_user": options.no_auth_user,
        "jwt_cookie": options.jwt_cookie,
        "handshake_timeout": options.handshake_timeout_ns,
        "auth_timeout": seconds_number(options.auth_timeout_ns or 0),
        "no_tls": options.no_tls,
        "tls_map": tls is not None and tls.verify_and_map,
        "tls_pinned_certs": list(tls.pinned_certs) if tls is not None else [],
        "same_origin": options.same_origin,
        "allowed_origins": list(options.allowed_origins),
        "compression": options.compression,
        "tls_cert_not_after": "" if end is None else rfc3339(end),
    }
    return {name: value for name, value in shown.items() if value}


def _traffic(totals: Mapping[str, int], *, routes: int, remotes: int) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "connections": totals["connections"],
        "total_connections": totals["total_connections"],
        "routes": routes,
        "remotes": remotes,
        "leafnodes": 0,
    }
    for side in ("in", "out"):
        msgs, count = totals[f"{side}_msgs"], totals[f"{side}_bytes"]
        shown |= {
            f"{side}_msgs": msgs,
            f"{side}_bytes": count,
            f"{side}_client_msgs": msgs - totals[f"routed_{side}_msgs"],
            f"{side}_client_bytes": count - totals[f"routed_{side}_bytes"],
        }
    return shown | {
        "slow_consumers": totals["slow_consumers"],
        "stale_connections": totals["stale_connections"],
        "stalled_clients": totals["stalled"],
        "subscriptions": totals["subscriptions"],
    }


def _labels(standing: Standing) -> dict[str, Any]:
    options = standing.options
    shown: dict[str, Any] = {}
    if options.server_tags:
        shown["tags"] = list(options.server_tags)
    if options.server_metadata:
        shown["metadata"] = dict(sorted(options.server_metadata.items()))
    shown["feature_flags"] = dict(FEATURE_FLAGS)
    if standing.system_account:
        shown["system_account"] = standing.system_account
    return shown


def _troubles(totals: Mapping[str, int]) -> dict[str, Any]:
    return {
        "slow_consumer_stats": by_kind(totals["slow_consumers"]),
        "stale_connection_stats": by_kind(totals["stale_connections"]),
        "disk_io_wait_stats": {"waiters": 0, "waits": 0, "wait_time": 0, "max_wait_time": 0},
    }


def by_kind(clients: int) -> dict[str, int]:
    """A counter by kinds of connections."""
    return {"clients": clients, "routes": 0, "gateways": 0, "leafs": 0}


def statsz(
    standing: Standing, machine: Machine, *, totals: Mapping[str, int], active_accounts: int,
    routes: Sequence[Mapping[str, Any]] = (), remotes: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """The short form that servers tell each other; `routes` are connections to `remotes` other servers."""
    sent = {"msgs": totals["out_msgs"], "bytes": totals["out_bytes"]}
    received = {"msgs": totals["in_msgs"], "bytes": totals["in_bytes"]}
    to_routes = {"msgs": totals["routed_out_msgs"], "bytes": totals["routed_out_bytes"]}
    from_routes = {"msgs": totals["routed_in_msgs"], "bytes": totals["routed_in_bytes"]}
    shown: dict[str, Any] = {
        "start": rfc3339(standing.started_ns),
        "mem": machine.memory_bytes,
        "cores": machine.cores,
        "cpu": machine.cpu_percent,
        "connections": totals["connections"],
        "total_connections": totals["total_connections"],
        "active_accounts": active_accounts,
        "subscriptions": totals["subscriptions"],
        "sent": sent,
        "sent_to_clients": {name: sent[name] - to_routes[name] for name in sent},
        "received": received,
        "received_from_clients": {name: received[name] - from_routes[name] for name in received},
        "slow_consumers": totals["slow_consumers"],
    }
    if totals["slow_consumers"]:
        shown["slow_consumer_stats"] = by_kind(totals["slow_consumers"])
    if totals["stale_connections"]:
        shown["stale_connections"] = totals["stale_connections"]
        shown["stale_connection_stats"] = by_kind(totals["stale_connections"])
    if totals["stalled"]:
        shown["stalled_clients"] = totals["stalled"]
    if routes:
        shown["routes"] = list(routes)
    return shown | {"active_servers": 1 + remotes, "gomaxprocs": machine.usable_cores}
