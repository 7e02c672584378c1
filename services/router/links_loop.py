"""Takes the links of the node's other roles and gives them to the engine, as connections of the system account."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final

import trio

from services.router.rib.limits import UNLIMITED_PAYLOAD, UNLIMITED_SUBSCRIPTIONS
from services.shared.engine.forwarding import Forwarding, Handover
from services.shared.runtime.link_passing import take_links
from services.shared.wire.close_reasons import CloseReason

FIRST_LINK_CID: Final = 1 << 62
"""Links are numbered from here, far from what clients ever get."""


def is_link(cid: int) -> bool:
    """True for the client id of a link: what comes from there was said by a role of this node."""
    return cid >= FIRST_LINK_CID


def link_handover(cid: int, *, account: int) -> Handover:
    """How the engine holds a link: admitted, trusted, without pings."""
    return Handover(
        cid=cid,
        account=account,
        permit=None,
        verbose=False,
        pedantic=False,
        echo=False,
        headers=True,
        no_responders=True,
        payload_max=UNLIMITED_PAYLOAD,
        subs_max=UNLIMITED_SUBSCRIPTIONS,
        ping_interval_ns=0,
        first_pong_info=b"",
        about=b"",
        system=True,
        connect_within_ns=None,
        link=True,
    )


class Links:
    """The links that this router has."""

    __slots__ = ("_engine", "_next_cid")

    def __init__(self, engine: Forwarding) -> None:
        self._engine = engine
        self._next_cid = FIRST_LINK_CID

    async def take_loop(self, rendezvous: int, system_account: Callable[[], int]) -> None:
        """Takes links for ever. Owns the descriptor."""
        with socket.socket(fileno=rendezvous) as door:
            while True:
                await trio.lowlevel.wait_readable(door)
                for fd in take_links(door):
                    self._engine.adopt(fd, link_handover(self._next_cid, account=system_account()))
                    self._next_cid += 1

    def drop(self) -> None:
        """Ends all links, because the system account is another one now; their roles make new ones."""
        for cid in range(FIRST_LINK_CID, self._next_cid):
            self._engine.close(cid, CloseReason.CLIENT_CLOSED)
