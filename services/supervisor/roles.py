"""The role table, as data: where a role's code is, what its process is called, which listeners it serves.

Loaded before anything else of a starting node, so it imports next to nothing; the names of listeners are those of
`services.shared.runtime.role_plan`, which a test compares.
"""

from __future__ import annotations

from typing import Final

from services.shared.records.record import record

LINKS_TO: Final = "to"
LINKS_FROM: Final = "from"


@record
class RoleSpec:
    """One row of the role table.

    `module` has `run(plan) -> int`. An `essential` role decides about the node: it is ready when all of these are, and
    a lame duck node ends when they have finished. `link` says which end of the node's rendezvous for links it gets
    (`shared.runtime.link_passing`): it makes them (`from`) or takes them (`to`).
    Roles of a lower `stop_stage` are gone before the next are asked. `number` counts the routers of a node from 1 and is 0
    for all others.
    """

    name: str
    module: str
    comm: str
    listeners: tuple[str, ...] = ()
    needs: str = ""
    link: str = ""
    essential: bool = False
    stop_stage: int = 0
    stop_grace_ns: int = 5_000_000_000
    number: int = 0


ROLES: Final = (
    RoleSpec(
        name="router",
        module="services.router.app",
        comm="nf-router",
        listeners=("nats", "websocket", "cluster"),
        link=LINKS_TO,
        essential=True,
        stop_stage=1,
        number=1,
    ),
    RoleSpec(
        name="monitor",
        module="services.monitor.app",
        comm="nf-monitor",
        listeners=("monitoring",),
        needs="monitoring",
        link=LINKS_FROM,
        stop_stage=1,
    ),
)
