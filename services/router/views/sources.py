"""Where the endpoints of a router have their figures from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from services.router.admission.desk import Desk
from services.router.closed_ring import ClosedRing
from services.router.newcomers import arrived, unsettled_note
from services.router.rib.accounts import AccountNumbers
from services.shared.engine.forwarding import AccountView, ConnectionView, Forwarding
from services.shared.records.record import record

if TYPE_CHECKING:
    from services.shared.member.routes.mesh import Peer


@record
class Sources:
    """The parts of a router that know, and its clock. `unique_id` names events, `peers` are the servers with routes."""

    server_id: str
    engine: Forwarding
    desk: Desk
    numbers: AccountNumbers
    ring: ClosedRing
    wall_ns: Callable[[], int]
    unique_id: Callable[[], str]
    peers: Callable[[], Sequence[Peer]]

    def accounts(self) -> list[tuple[str, AccountView]]:
        """All configured accounts, by number."""
        configured = self.desk.rules.directory.accounts
        named = ((self.numbers.name(view.number), view) for view in self.engine.accounts())
        return [(name, view) for name, view in named if name in configured]

    def totals(self) -> dict[str, int]:
        """Counters of the whole router, with those who never got as far as the engine."""
        totals = self.engine.totals()
        totals["total_connections"] += self.ring.unopened
        return totals

    def note(self, view: ConnectionView) -> dict[str, Any]:
        """What is noted about an open connection, also about one that has not said anything yet."""
        if view.about:
            note: dict[str, Any] = json.loads(view.about)
            return note
        newcomer = self.desk.newcomer(view.cid)
        if newcomer is None and view.arrival is not None:
            newcomer = arrived(view.cid, view.arrival)
        if newcomer is None:
            raise LookupError(f"nobody knows where connection {view.cid} came from")
        note = unsettled_note(newcomer)
        return note if view.account is None else note | {"account": self.numbers.name(view.account)}
