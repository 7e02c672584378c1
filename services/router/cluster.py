"""A router as a member of a cluster: what it says of itself to other servers, and how the engine carries routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from services.router.admission.advertising import split_host_port
from services.router.admission.directory import Directory
from services.router.rib.accounts import AccountNumbers
from services.router.rules import client_urls, cluster_name, websocket_urls
from services.shared.config.addresses import is_ip_address
from services.shared.config.options import ClusterOptions, Options, TlsOptions
from services.shared.config.route_urls import parse_route_url
from services.shared.engine.forwarding import Forwarding, Handover, compile_permit
from services.shared.engine.layers import Layers
from services.shared.identity.permissions import Permissions
from services.shared.member.routes.handshake_loop import RouteLayers
from services.shared.member.routes.mesh import Member
from services.shared.member.routes.pool import Place, Pooling
from services.shared.member.vouching import Vouching
from services.shared.records.record import replace
from services.shared.runtime.role_plan import CLUSTER_LISTENER, Identity
from services.shared.telemetry.release import COMPATIBLE_RELEASE, PRODUCT, PRODUCT_VERSION
from services.shared.wire.close_reasons import CloseReason

ROUTE_PAYLOAD_BYTES: Final = 64 << 20
"""Other servers have limits of their own for what clients publish. At least this much is taken in a message of theirs."""

ROUTE_INTEREST_MAX: Final = 10_000_000
"""Subjects and queue groups that one server may want; a bound on memory, far from what a cluster has."""

ROUTE_PING_INTERVAL_NS: Final = 30_000_000_000


def member(options: Options, cluster: ClusterOptions, *, identity: Identity, ports: Mapping[str, int]) -> Member:
    """What this server says of itself to other servers."""
    host, port = cluster.host, ports.get(CLUSTER_LISTENER, cluster.port)
    if cluster.advertise:
        host, port = split_host_port(cluster.advertise, default_port=port)
    shown = f"[{host}]" if ":" in host else host
    return Member(
        server_id=identity.server_id,
        server_name=identity.server_name or identity.server_id,
        version=COMPATIBLE_RELEASE,
        go=f"{PRODUCT} {PRODUCT_VERSION}",
        host=host,
        port=port,
        ip=f"nats-route://{shown}:{port}/" if cluster.advertise else "",
        headers=not options.no_header_support,
        max_payload_bytes=options.max_payload_bytes,
        cluster=cluster_name(cluster, identity),
        cluster_dynamic=not cluster.name,
        auth_required=bool(cluster.user),
        connect_urls=client_urls(options, ports),
        ws_connect_urls=websocket_urls(options, ports),
        advertises=not cluster.no_advertise,
        compression=cluster.compression.mode,
        tls=cluster.tls is not None,
        permissions=cluster.permissions or Permissions(),
    )


def pooling(cluster: ClusterOptions, directory: Directory) -> Pooling:
    """How many connections this server wants to each other one. The system account always has one of its own."""
    if cluster.pool_size < 0:
        return Pooling(accounts=frozenset(directory.accounts))
    system = (directory.system_account,) if directory.system_account is not None else ()
    pinned = dict.fromkeys(name for name in (*cluster.accounts, *system) if name in directory.accounts)
    return Pooling(size=cluster.pool_size, pinned=tuple(pinned), accounts=frozenset(directory.accounts))


def name_accounts(engine: Forwarding, pooling: Pooling, directory: Directory, numbers: AccountNumbers) -> None:
    """Makes accounts known to other servers by their names."""
    for name, account in directory.accounts.items():
        engine.name_account(numbers.number(name), name, system=account.is_system, slot=pooling.slot_of(name))


def route_layers(cluster: ClusterOptions) -> RouteLayers:
    """What routes have under their protocol. Raises ValueError when the TLS files cannot be used."""
    if cluster.tls is None:
        return RouteLayers(rtt_thresholds_ns=cluster.compression.rtt_thresholds_ns)
    # Imported here: only clusters with TLS need it.
    from services.shared.runtime.tls import build_tls_client, build_tls_server

    # Between servers each side shows a certificate and wants to see one (reference: operations 2.2).
    tls = replace(cluster.tls, verify=True)
    hosts = [parse_route_url(text).host for text in cluster.routes]
    return RouteLayers(
        rtt_thresholds_ns=cluster.compression.rtt_thresholds_ns,
        server=build_tls_server(tls),
        client=build_tls_client(tls),
        tls_timeout_s=tls.timeout_ns / 1e9,
        tls_name=next((host for host in hosts if not is_ip_address(host)), ""),
        vouching=_vouching(cluster, tls, hosts),
    )


def _vouching(cluster: ClusterOptions, tls: TlsOptions, hosts: Sequence[str]) -> Vouching | None:
    if not tls.verify_and_map and not tls.check_known_urls:
        return None
    return Vouching(
        user=cluster.user if tls.verify_and_map else "", hosts=tuple(hosts) if tls.check_known_urls else ()
    )  # fmt: skip


class EngineCarrier:
    """Routes that are up belong to the engine."""

    __slots__ = ("_engine", "_headers", "_numbers", "_payload_max", "_permit", "_ping_interval_ns")

    def __init__(self, engine: Forwarding, numbers: AccountNumbers, options: Options) -> None:
        self._engine = engine
        self._numbers = numbers
        permissions = options.cluster.permissions if options.cluster is not None else None
        self._permit = None if permissions is None else compile_permit(permissions)
        self._headers = not options.no_header_support
        self._payload_max = max(options.max_payload_bytes, ROUTE_PAYLOAD_BYTES)
        self._ping_interval_ns = min(options.ping_interval_ns, ROUTE_PING_INTERVAL_NS)

    def next_cid(self) -> int:
        """A number for a route."""
        return self._engine.next_cid()

    def carry(self, fd: int, layers: Layers, place: Place | None, *, cid: int, headers: bool) -> None:
        """Gives the socket of a route away, with what is over it."""
        account = place.account if place is not None else ""
        handover = Handover(
            cid=cid,
            account=self._numbers.number(account) if account else 0,
            one_account=bool(account),
            pool_slot=place.slot if place is not None else None,
            permit=self._permit,
            verbose=False,
            pedantic=False,
            echo=False,
            headers=headers and self._headers,
            no_responders=False,
            payload_max=self._payload_max,
            subs_max=ROUTE_INTEREST_MAX,
            ping_interval_ns=self._ping_interval_ns,
            first_pong_info=b"",
            about=b"",
            system=False,
            connect_within_ns=None,
            kind="route",
        )
        self._engine.adopt(fd, handover, received=layers.received, tls=layers.tls, s2=layers.s2)

    def tell_peer(self, cid: int, line: bytes) -> None:
        """Sends a line."""
        self._engine.tell_peer(cid, line)

    def forget_interest(self, cid: int, account: str) -> None:
        """What the peer told over this connection that it wants in an account does not hold any more."""
        self._engine.forget_interest(cid, account)

    def close(self, cid: int, reason: CloseReason) -> None:
        """Ends a route."""
        self._engine.close(cid, reason)

    def last_heard_ns(self, cid: int) -> int:
        """When something came over a route, by the engine's clock; 0 when it is gone."""
        return next((view.last_in_ns for view in self._engine.routes() if view.cid == cid), 0)

    def proceed(self, cid: int) -> None:
        """Reads on after an INFO."""
        self._engine.proceed(cid)
