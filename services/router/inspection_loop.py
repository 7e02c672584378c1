"""What lets others look at a router: requests of the system account, links to the node's other roles, what has ended."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import trio

from services.router.admission.desk import Desk
from services.router.closed_ring import ClosedRing
from services.router.links_loop import links_loop
from services.router.own_traffic import OwnTraffic
from services.router.rib.accounts import AccountNumbers
from services.router.system_requests import NO_SYSTEM_ACCOUNT, SystemRequests
from services.shared.config.options import Options
from services.shared.engine.forwarding import Forwarding
from services.shared.runtime.link_passing import RENDEZVOUS
from services.shared.runtime.role_plan import RolePlan
from services.shared.telemetry.log import Logger

if TYPE_CHECKING:
    from services.router.views.endpoints import RouterEndpoints
    from services.shared.member.routes.mesh import Peer


_ID_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_CHARS = 22


class Inspection:
    """Wires the parts of a router that show it. `next_message` numbers what the server says of itself."""

    __slots__ = ("_desk", "_endpoints", "_engine", "_in_force", "_next_message", "_numbers", "_plan", "peers",
                 "requests", "ring")  # fmt: skip

    def __init__(
        self, plan: RolePlan, *, engine: Forwarding, own: OwnTraffic, desk: Desk, numbers: AccountNumbers,
        next_message: Callable[[], int], log: Logger,
    ) -> None:  # fmt: skip
        self._plan = plan
        self._engine = engine
        self._desk = desk
        self._numbers = numbers
        self._next_message = next_message
        self._endpoints: RouterEndpoints | None = None
        self._in_force = plan.options, plan.started_ns
        self.peers: Callable[[], Sequence[Peer]] = tuple
        self.ring = ClosedRing(plan.options.max_closed_clients)
        self.requests = SystemRequests(
            own, numbers=numbers, server_id=plan.identity.server_id, load=self._load, log=log
        )

    def open(self, nursery: trio.Nursery) -> None:
        """Answers from now on: in the system account; without one, in an account that only links are in."""
        name = self._desk.rules.directory.system_account
        number = self._numbers.number(name or NO_SYSTEM_ACCOUNT)
        if name is None:
            self._engine.install_account(number)
        self.requests.listen(number)
        self._serve_accounts()
        if RENDEZVOUS in self._plan.sockets:
            rendezvous = self._plan.sockets[RENDEZVOUS]
            nursery.start_soon(partial(links_loop, rendezvous, self._engine, account=number), name="links")

    def follow(self, options: Options, *, loaded_ns: int) -> None:
        """Other options are in force since `loaded_ns`, wall time; the desk has their rules already."""
        self.ring.resize(options.max_closed_clients)
        self._serve_accounts()
        self._in_force = options, loaded_ns
        if self._endpoints is not None:
            self._endpoints.follow(*self._in_force)

    def _serve_accounts(self) -> None:
        """Every account may ask about itself, as long as there is a system account that answers."""
        directory = self._desk.rules.directory
        if directory.system_account is not None:
            for account in directory.accounts.values():
                self.requests.serve(self._numbers.number(account.name), is_system=account.is_system)

    def _load(self) -> RouterEndpoints:
        # Only routers that somebody asks need this.
        from services.router.views.endpoints import RouterEndpoints
        from services.router.views.sources import Sources

        sources = Sources(
            server_id=self._plan.identity.server_id, engine=self._engine, desk=self._desk, numbers=self._numbers,
            ring=self.ring, wall_ns=time.time_ns, unique_id=unique_id, peers=self.peers,
        )  # fmt: skip
        self._endpoints = RouterEndpoints(self._plan, sources, next_message=self._next_message)
        self._endpoints.follow(*self._in_force)
        return self._endpoints


def unique_id() -> str:
    """A name that no other event has."""
    return "".join(random.choices(_ID_DIGITS, k=_ID_CHARS))
