"""Who carries routes that are up: what the loops of the mesh want of it."""

from __future__ import annotations

from typing import Protocol

from services.shared.engine.layers import Layers
from services.shared.member.routes.pool import Place
from services.shared.wire.close_reasons import CloseReason


class Carrier(Protocol):
    """Who carries routes that are up."""

    def next_cid(self) -> int:
        """A number for a route."""

    def carry(self, fd: int, layers: Layers, place: Place | None, *, cid: int, headers: bool) -> None:
        """Takes over the socket of a route, with what is over it.

        The server behind it hears there of the accounts of `place`, or of all.
        """

    def tell_peer(self, cid: int, line: bytes) -> None:
        """Sends a line."""

    def forget_interest(self, cid: int, account: str) -> None:
        """What the peer told over this connection that it wants in an account does not hold any more."""

    def close(self, cid: int, reason: CloseReason) -> None:
        """Ends a route; `MeshLoops.closed` hears of it."""

    def proceed(self, cid: int) -> None:
        """Reads on after an INFO."""

    def last_heard_ns(self, cid: int) -> int:
        """When something came over a route, by a clock of the carrier's; 0 when it is gone."""
