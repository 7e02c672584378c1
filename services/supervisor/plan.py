"""What a node consists of: the options boiled down to roles to start and addresses to listen on. Pure.

A role whose `needs` names a listener that the options do not ask for is not started.
"""

from __future__ import annotations

from typing import Final

from services.shared.config.options import Options
from services.shared.records.record import record, replace
from services.shared.runtime.listeners import USUAL, Manner
from services.shared.runtime.role_plan import (
    CLUSTER_LISTENER,
    MONITORING_LISTENER,
    NATS_LISTENER,
    WEBSOCKET_LISTENER,
)
from services.supervisor.roles import LINKS_FROM, LINKS_TO, ROLES, RoleSpec

UP_HTTP_PORT: Final = 8222
UP_DATA_DIR: Final = "data"


class PlanError(Exception):
    """The options contradict each other; the text is nats-server's `[FTL]` line."""


@record
class ListenerSpec:
    """An address to listen on before anything starts. `port` -1 picks a free one.

    `manner` is shared where several routers of the node have a socket each, late where routes come before clients.
    """

    name: str
    host: str
    port: int
    scheme: str
    manner: Manner = USUAL

    def failure(self, reason: str) -> str:
        """The `[FTL]` text when it can't be listened on (operations 4.1)."""
        match self.name:
            case "monitoring":
                return f"Can't start monitoring: can't listen to the monitor port: {reason}"
            case "websocket":
                return f"Unable to listen for websocket connections: {reason}"
            case "cluster":
                return f"Error listening on router port: {max(self.port, 0)} - {reason}"
            case _:
                host = f"[{self.host}]" if ":" in self.host else self.host
                return f'Error listening on port: {host}:{max(self.port, 0)}, "{reason}"'


@record
class NodePlan:
    """The roles to start, in this order, and what to listen on, in this order."""

    roles: tuple[RoleSpec, ...]
    listeners: tuple[ListenerSpec, ...]

    @property
    def has_links(self) -> bool:
        """Whether some role makes links and another takes them."""
        return {LINKS_TO, LINKS_FROM} <= {role.link for role in self.roles}


def plan_node(options: Options, *, roles: tuple[RoleSpec, ...] = ROLES) -> NodePlan:
    """The plan of a node with these roles to choose from. Raises PlanError."""
    wanted = _listeners(options)
    names = {listener.name for listener in wanted}
    started = tuple(
        each for role in roles if not role.needs or role.needs in names for each in _copies(role, options.fleet.routers)
    )
    if not started:
        wanting = ", ".join(f"{role.name} (needs a {role.needs} port)" for role in roles)
        raise PlanError(f"Nothing to run: {wanting}")
    served = {name for role in started for name in role.listeners}
    return NodePlan(roles=started, listeners=tuple(listener for listener in wanted if listener.name in served))


def _copies(role: RoleSpec, routers: int) -> tuple[RoleSpec, ...]:
    """A role as it is; a router as often as wanted. The first takes the links of the node's other roles."""
    if role.number == 0:
        return (role,)
    more = (
        replace(role, name=f"{role.name}-{number}", comm=f"{role.comm}-{number}", link="", number=number)
        for number in range(2, routers + 1)
    )
    return (role, *more)


def options_for_up(options: Options) -> Options:
    """The options of `natsfleet up`: those given, else monitoring on 8222 and data in ./data."""
    monitored = options.http_port != 0 or options.https_port != 0
    fleet = options.fleet if options.fleet.data_dir else replace(options.fleet, data_dir=UP_DATA_DIR)
    return replace(options, http_port=options.http_port if monitored else UP_HTTP_PORT, fleet=fleet)


def client_manner(options: Options) -> Manner:
    """How clients are listened for. Where routes are configured these are dialled first, as nats-server does."""
    cluster = options.cluster
    late = cluster is not None and cluster.port != 0 and bool(cluster.routes)
    return Manner(shared=options.fleet.routers > 1, late=late)


def _listeners(options: Options) -> list[ListenerSpec]:
    listeners = []
    if options.http_port != 0 and options.https_port != 0:
        ports = f"HTTP ({options.http_port}) and HTTPs ({options.https_port})"
        raise PlanError(f"Can't start monitoring: can't specify both {ports} ports")
    if options.https_port != 0 and options.tls is None:
        raise PlanError("Can't start monitoring: TLS cert and key required for HTTPS")
    if options.http_port != 0 or options.https_port != 0:
        listeners.append(
            ListenerSpec(
                name=MONITORING_LISTENER,
                host=options.http_host or options.host,
                port=options.http_port or options.https_port,
                scheme="http" if options.http_port != 0 else "https",
            )
        )
    manner = client_manner(options)
    websocket = options.websocket
    if websocket is not None and websocket.port != 0:
        scheme = "ws" if websocket.tls is None else "wss"
        listeners.append(
            ListenerSpec(
                name=WEBSOCKET_LISTENER, host=websocket.host, port=websocket.port, scheme=scheme, manner=manner
            )
        )
    cluster = options.cluster
    if cluster is not None and cluster.port != 0:
        listeners.append(ListenerSpec(name=CLUSTER_LISTENER, host=cluster.host, port=cluster.port, scheme="nats"))
    scheme = "nats" if options.tls is None else "tls"
    nats = ListenerSpec(name=NATS_LISTENER, host=options.host, port=options.port, scheme=scheme, manner=manner)
    listeners.append(nats)
    return listeners
