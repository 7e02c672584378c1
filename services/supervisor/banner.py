"""The lines a starting node leaves in the log, in nats-server's order (operations 5.2). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.shared.config.options import Options
from services.shared.runtime.role_plan import (
    CLUSTER_LISTENER,
    MONITORING_LISTENER,
    NATS_LISTENER,
    WEBSOCKET_LISTENER,
    Identity,
)
from services.shared.telemetry.log import Level
from services.shared.telemetry.release import COMPATIBLE_RELEASE, PRODUCT, PRODUCT_VERSION
from services.supervisor.plan import NodePlan

PAYLOAD_BYTES_ADVISED_MAX = 8 * 1024 * 1024
_BCRYPT_PREFIX = "$2"

Line = tuple[Level, str]


def starting_lines(options: Options, *, identity: Identity, commit: str) -> Iterator[Line]:
    """From `Starting nats-server` to the warnings about options."""
    yield "INF", "Starting nats-server"
    yield "INF", f"  Version:  {COMPATIBLE_RELEASE}"
    if commit:
        yield "INF", f"  Git:      [{commit}]"
    yield "DBG", f"  Product:  {PRODUCT} {PRODUCT_VERSION}"
    if options.cluster is not None and options.cluster.name:
        yield "INF", f"  Cluster:  {options.cluster.name}"
    yield "INF", f"  Name:     {identity.server_name}"
    yield "INF", f"  ID:       {identity.server_id}"
    if has_plain_passwords(options):
        yield "WRN", "Plaintext passwords detected, use nkeys or bcrypt"
    if options.config_file:
        yield "INF", f"Using configuration file: {options.config_file} ({options.config_digest})"
    if options.max_payload_bytes > PAYLOAD_BYTES_ADVISED_MAX:
        yield "WRN", "Maximum payloads over 8.00 MB are generally discouraged and could lead to poor performance"


def monitor_lines(plan: NodePlan, *, addresses: Mapping[str, str]) -> Iterator[Line]:
    """`Starting http monitor on H:P`, once its role is being started. `addresses` has `host:port` by listener."""
    for listener in plan.listeners:
        if listener.name == MONITORING_LISTENER:
            yield "INF", f"Starting {listener.scheme} monitor on {addresses[MONITORING_LISTENER]}"


def ready_lines(options: Options, plan: NodePlan, *, addresses: Mapping[str, str]) -> Iterator[Line]:
    """From the WebSocket lines to those of the cluster; written only when clients are really served."""
    for listener in plan.listeners:
        address = addresses[listener.name]
        if listener.name == WEBSOCKET_LISTENER:
            yield "INF", f"Listening for websocket clients on {listener.scheme}://{address}"
            if listener.scheme == "ws":
                yield "WRN", "Websocket not configured with TLS. DO NOT USE IN PRODUCTION!"
        elif listener.name == NATS_LISTENER:
            yield "INF", f"Listening for client connections on {address}"
            if options.proxy_protocol:
                yield "INF", "PROXY protocol enabled for client connections"
            if options.tls is not None:
                yield "INF", f"TLS {'available' if options.allow_non_tls else 'required'} for client connections"
                if options.tls.handshake_first_delay_ns == 0:
                    yield "WRN", 'Clients that are not using "TLS Handshake First" option will fail to connect'
    yield "INF", "Server is ready"
    if CLUSTER_LISTENER in addresses and options.cluster is not None:
        if options.cluster.name:
            yield "INF", f"Cluster name is {options.cluster.name}"
        else:
            yield "WRN", "Cluster name was dynamically generated, consider setting one"
        yield "INF", f"Listening for route connections on {addresses[CLUSTER_LISTENER]}"


def has_plain_passwords(options: Options) -> bool:
    """Whether a password in the options is not a bcrypt hash. Users known by certificate need none."""
    maps_certificates = options.tls is not None and options.tls.verify_and_map
    users = [*options.authorization.users, *(user for account in options.accounts for user in account.users)]
    if options.authorization.password and not _is_bcrypt(options.authorization.password):
        return True
    return any(
        user.user and not _is_bcrypt(user.password) and not (maps_certificates and not user.password) for user in users
    )


def _is_bcrypt(password: str) -> bool:
    return password.startswith(_BCRYPT_PREFIX)
