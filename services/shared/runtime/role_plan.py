"""What a role process is told when it starts, and what it hands back.

Contract of a role: its module has `run(plan: RolePlan) -> int`; the result is the exit code of the process. The process
is a fork of the supervisor without threads, with every descriptor closed but 0 to 2, `plan.sockets` and `plan.control`.
It ignores the terminal's and the supervisor's signals: orders come over the control channel. Standard output and error
are read by the supervisor and written to the log. The role must end soon after `Stop`, and at once when the control
channel ends, since that means that the supervisor is gone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.shared.config.options import Options
from services.shared.records.record import field, record

NATS_LISTENER: Final = "nats"
WEBSOCKET_LISTENER: Final = "websocket"
CLUSTER_LISTENER: Final = "cluster"
MONITORING_LISTENER: Final = "monitoring"


@record
class Identity:
    """Who this node is, made afresh at every start of the supervisor, kept over restarts of a role.

    `server_id` is a public nkey of type N, `xkey` a public curve key; the seeds are the private halves, as text.
    """

    server_id: str
    server_name: str
    xkey: str
    seed: str = ""
    xkey_seed: str = ""

    def __repr__(self) -> str:
        return f"Identity(server_id={self.server_id!r}, server_name={self.server_name!r})"


@record
class RolePlan:
    """One start of one role.

    `sockets` maps a listener's name (`nats`, `websocket`, `cluster`, `monitoring`) to the descriptor of a listening,
    non-blocking socket; a wildcard address is a dual-stack IPv6 socket, so peers over IPv4 show up as `::ffff:a.b.c.d`.
    `ports` has the real port of every listener of the node, also of those that other roles serve. `control` is the
    descriptor for `ControlChannel`, None when the role runs without a supervisor. `node_pid` is the pid that users see.
    `started_ns` is the wall clock at the start of the node; `incarnation` counts the starts of this role from 0.
    """

    role: str
    options: Options
    identity: Identity
    sockets: Mapping[str, int]
    ports: Mapping[str, int] = field(default_factory=dict)
    control: int | None = None
    node_pid: int
    started_ns: int
    incarnation: int = 0
    argv: tuple[str, ...] = ()
    git_commit: str = ""
