"""Several routers in one node (`fleet { routers: N }`): what each gets of its own, and how they find each other.

They share the addresses for clients: the kernel spreads connections over one socket each. Beside that each is a server of
its own, with a name, a server id and a listener for routes; each dials those before it. Where the options have no cluster
the node makes one of its own, on the loopback interface, which neither clients nor views are told of.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.shared.config.options import ClusterOptions, Options
from services.shared.records.record import record, replace
from services.shared.runtime.listeners import WILDCARDS, join_host_port
from services.shared.runtime.role_plan import CLUSTER_LISTENER, NATS_LISTENER, WEBSOCKET_LISTENER
from services.supervisor.plan import ListenerSpec, client_manner
from services.supervisor.roles import RoleSpec

SHARED_LISTENERS: Final = (NATS_LISTENER, WEBSOCKET_LISTENER)
"""Where all routers of a node take connections from the same address."""

HIDDEN_USER: Final = "fellow"
LOOPBACK: Final = "127.0.0.1"
FREE_PORT: Final = -1


@record
class Address:
    """Where a router's listener for routes can be reached from this machine."""

    host: str
    port: int


@record
class Fellowship:
    """The routers of a node. `addresses` are those of their listeners for routes, by role; empty with one router.

    `secret` opens the cluster that the node made for itself.
    """

    addresses: Mapping[str, Address]
    secret: str

    def options_for(self, role: RoleSpec, options: Options) -> Options:
        """The options of a role: those of the node, and for routers how they find those before them."""
        own = self.addresses.get(role.name)
        if own is None:
            return options
        cluster = options.cluster if _has_cluster(options) else None
        if cluster is None:
            cluster = ClusterOptions(
                name=f"node-{self.secret[:16]}", host=LOOPBACK, user=HIDDEN_USER, password=self.secret,
                no_advertise=True, hidden=True,
            )  # fmt: skip
        earlier = list(self.addresses.values())[: list(self.addresses).index(role.name)]
        routes = tuple(_url(cluster, address) for address in earlier)
        return replace(options, cluster=replace(cluster, port=own.port, routes=(*cluster.routes, *routes)))


ALONE: Final = Fellowship(addresses={}, secret="")
"""One router, which has no fellows."""


def name_of(name: str, number: int) -> str:
    """What the router with this number is called: the first like the node; empty where names are made of ids."""
    return name if number == 1 or not name else f"{name}-{number}"


def own_listeners(role: RoleSpec, options: Options, *, open_ports: Mapping[str, int]) -> tuple[ListenerSpec, ...]:
    """What a router listens on beside what the plan lists; `open_ports` are the real ports of what it lists."""
    if role.number == 0 or options.fleet.routers == 1:
        return ()
    cluster = options.cluster if _has_cluster(options) else None
    host = cluster.host if cluster is not None else LOOPBACK
    route = ListenerSpec(name=CLUSTER_LISTENER, host=host, port=FREE_PORT, scheme="nats")
    if role.number == 1:
        return () if cluster is not None else (route,)
    hosts = {NATS_LISTENER: options.host, WEBSOCKET_LISTENER: options.websocket.host if options.websocket else ""}
    manner = client_manner(options)
    shared = (
        ListenerSpec(name=name, host=hosts[name], port=open_ports[name], scheme="nats", manner=manner)
        for name in SHARED_LISTENERS
        if name in open_ports
    )
    return (*shared, route)


def reachable(bound_host: str, port: int) -> Address:
    """Where a listener is reached from this machine."""
    return Address(host=LOOPBACK if bound_host in WILDCARDS else bound_host, port=port)


def _has_cluster(options: Options) -> bool:
    return options.cluster is not None and options.cluster.port != 0


def _url(cluster: ClusterOptions, address: Address) -> str:
    target = join_host_port(address.host, address.port)
    if not cluster.user:
        return f"nats-route://{target}"
    # Loaded only where routes have credentials.
    from urllib.parse import quote

    return f"nats-route://{quote(cluster.user, safe='')}:{quote(cluster.password, safe='')}@{target}"
