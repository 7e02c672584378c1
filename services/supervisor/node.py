"""What the supervisor knows about the node it runs: facts that hold from its start to its end.

From these and the options in force a role's plan is made.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from services.shared.config.options import Options
from services.shared.records.record import record
from services.shared.runtime.link_passing import RENDEZVOUS
from services.shared.runtime.role_plan import Identity, RolePlan
from services.supervisor.plan import NodePlan
from services.supervisor.roles import RoleSpec


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

    `rendezvous` has both ends of the rendezvous for links, by `RoleSpec.link`, or nothing.
    """

    plan: NodePlan
    listeners: Mapping[str, OpenListener]
    rendezvous: Mapping[str, int]
    program: str
    argv: tuple[str, ...]
    pid: int
    started_ns: int
    commit: str

    def role_plan(self, spec: RoleSpec, *, options: Options, identity: Identity, incarnation: int) -> RolePlan:
        """What this incarnation of the role is told; the descriptors in it are the supervisor's."""
        sockets = {name: self.listeners[name].fd for name in spec.listeners if name in self.listeners}
        if spec.link in self.rendezvous:
            sockets[RENDEZVOUS] = self.rendezvous[spec.link]
        return RolePlan(
            role=spec.name,
            options=options,
            identity=identity,
            sockets=sockets,
            ports={name: listener.port for name, listener in self.listeners.items()},
            node_pid=self.pid,
            started_ns=self.started_ns,
            incarnation=incarnation,
            argv=self.argv,
            git_commit=self.commit,
        )

    def close_listeners(self, names: tuple[str, ...]) -> None:
        """Closes the supervisor's hold on these listeners, once."""
        for name in names:
            listener = self.listeners.get(name)
            if listener is not None:
                os.close(listener.fd)

    @property
    def addresses(self) -> dict[str, str]:
        """`host:port` by listener, as the log shows it."""
        return {name: listener.address for name, listener in self.listeners.items()}
