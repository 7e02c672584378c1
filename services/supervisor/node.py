"""What the supervisor knows about the node it runs: facts that hold from its start to its end.

From these and the options in force a role's plan is made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from services.shared.config.options import Options
from services.shared.records.record import record
from services.shared.runtime.link_passing import RENDEZVOUS
from services.shared.runtime.role_plan import Identity, RolePlan
from services.supervisor.plan import NodePlan
from services.supervisor.roles import RoleSpec

if TYPE_CHECKING:
    from services.supervisor.fellows import Fellowship


@record
class OpenListener:
    """A listener of the plan that is open. `address` is the configured host with the real port."""

    fd: int
    port: int
    address: str
    bound_host: str


@record
class Node:
    """`program` names the executable in messages and file names; `started_ns` is the wall clock.

    `rendezvous` has both ends of the rendezvous for links, by `RoleSpec.link`, or nothing. `own_listeners` are those that a
    role has for itself, by role and name, `fellowship` is set where the node has several routers.
    """

    plan: NodePlan
    listeners: Mapping[str, OpenListener]
    own_listeners: Mapping[str, Mapping[str, OpenListener]]
    fellowship: Fellowship | None
    rendezvous: Mapping[str, int]
    program: str
    argv: tuple[str, ...]
    pid: int
    started_ns: int
    commit: str

    def role_plan(self, spec: RoleSpec, *, options: Options, identity: Identity, incarnation: int) -> RolePlan:
        """What this incarnation of the role is told; the descriptors in it are the supervisor's."""
        listeners = {**self.listeners, **self.own_listeners.get(spec.name, {})}
        sockets = {name: listeners[name].fd for name in spec.listeners if name in listeners}
        if spec.link in self.rendezvous:
            sockets[RENDEZVOUS] = self.rendezvous[spec.link]
        return RolePlan(
            role=spec.name,
            options=self.options_for(spec, options),
            identity=identity,
            sockets=sockets,
            ports={name: listener.port for name, listener in listeners.items()},
            node_pid=self.pid,
            started_ns=self.started_ns,
            incarnation=incarnation,
            argv=self.argv,
            git_commit=self.commit,
        )

    def options_for(self, spec: RoleSpec, options: Options) -> Options:
        """The node's options as this role gets them."""
        return options if self.fellowship is None else self.fellowship.options_for(spec, options)

    def ports_of(self, spec: RoleSpec) -> dict[str, int]:
        """The ports that a role listens on, by listener."""
        listeners = {**self.listeners, **self.own_listeners.get(spec.name, {})}
        return {name: listeners[name].port for name in spec.listeners if name in listeners}

    def close_listeners(self, names: tuple[str, ...]) -> None:
        """Closes the supervisor's hold on these listeners, once."""
        for listeners in (self.listeners, *self.own_listeners.values()):
            for name in names:
                listener = listeners.get(name)
                if listener is not None:
                    os.close(listener.fd)

    @property
    def addresses(self) -> dict[str, str]:
        """`host:port` by listener, as the log shows it."""
        return {name: listener.address for name, listener in self.listeners.items()}
