"""Opening a node: its plan, pid file and listeners, everything that can keep it from starting.

The first thing that fails ends the start, with the text that nats-server logs (operations 4.1).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from services.shared.config.options import Options
from services.shared.runtime.commit import own_commit
from services.shared.runtime.link_passing import make_rendezvous
from services.shared.runtime.listeners import USUAL, ListenError, Manner, join_host_port, open_listener
from services.shared.runtime.role_plan import CLUSTER_LISTENER
from services.supervisor.node import Node, OpenListener
from services.supervisor.plan import ListenerSpec, NodePlan, PlanError, plan_node
from services.supervisor.roles import LINKS_FROM, LINKS_TO, RoleSpec

if TYPE_CHECKING:
    from services.supervisor.fellows import Fellowship


class StartError(Exception):
    """The node can't start; the text is the `[FTL]` line."""


def open_node(
    options: Options, *, roles: tuple[RoleSpec, ...], program: str, argv: tuple[str, ...], started_ns: int, secret: str
) -> Node:
    """Writes the pid file and opens the listeners of this process's node. Raises StartError.

    `secret` nobody can guess: several routers of the node know each other by it.
    """
    if options.pid_file:
        try:
            write_pid_file(options.pid_file)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            text = f"Could not write pidfile: open {options.pid_file}: {reason[:1].lower()}{reason[1:]}"
            raise StartError(text) from error
    try:
        plan = plan_node(options, roles=roles)
    except PlanError as error:
        raise StartError(str(error)) from error
    listeners = {listener.name: _open_listener(listener) for listener in plan.listeners}
    own, fellowship = _fellows(plan, options, listeners=listeners, secret=secret)
    return Node(
        plan=plan,
        listeners=listeners,
        own_listeners=own,
        fellowship=fellowship,
        rendezvous=dict(zip((LINKS_TO, LINKS_FROM), make_rendezvous(), strict=True)) if plan.has_links else {},
        program=program,
        argv=argv,
        pid=os.getpid(),
        started_ns=started_ns,
        commit=own_commit(),
    )


def _fellows(
    plan: NodePlan, options: Options, *, listeners: Mapping[str, OpenListener], secret: str
) -> tuple[dict[str, dict[str, OpenListener]], Fellowship | None]:
    """What several routers of one node have of their own: listeners by role, and how they find each other."""
    if options.fleet.routers == 1:
        return {}, None
    # Loaded only where there are several.
    from services.supervisor.fellows import Fellowship, own_listeners, reachable

    ports = {name: listener.port for name, listener in listeners.items()}
    own: dict[str, dict[str, OpenListener]] = {}
    addresses = {}
    for role in plan.roles:
        if role.number == 0:
            continue
        specs = own_listeners(role, options, open_ports=ports)
        own[role.name] = {spec.name: _open(spec, port=spec.port, manner=spec.manner) for spec in specs}
        route = (own[role.name] if CLUSTER_LISTENER in own[role.name] else listeners)[CLUSTER_LISTENER]
        addresses[role.name] = reachable(route.bound_host, route.port)
    return own, Fellowship(addresses=addresses, secret=secret)


def write_pid_file(path: str) -> None:
    """Writes this process's decimal pid without a newline (operations 3.4). Raises OSError."""
    with open(path, "w", encoding="ascii") as file:
        file.write(str(os.getpid()))


def _open_listener(spec: ListenerSpec) -> OpenListener:
    port = spec.port
    if spec.manner != USUAL:
        # Sockets that share a port, or do not listen yet, do not notice another program's: so it has to be free first.
        probe = _open(spec, port=port, manner=USUAL)
        os.close(probe.fd)
        port = probe.port
    return _open(spec, port=port, manner=spec.manner)


def _open(spec: ListenerSpec, *, port: int, manner: Manner) -> OpenListener:
    try:
        opened = open_listener(name=spec.name, host=spec.host, port=port, manner=manner)
    except ListenError as error:
        raise StartError(spec.failure(str(error))) from error
    return OpenListener(
        fd=opened.fd,
        port=opened.port,
        address=join_host_port(spec.host or "0.0.0.0", opened.port),
        bound_host=opened.bound_host,
    )
