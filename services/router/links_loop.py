"""Takes the links of the node's other roles and gives them to the engine, as connections of the system account."""

from __future__ import annotations

import socket
from typing import Final

import trio

from services.router.rib.limits import UNLIMITED_PAYLOAD, UNLIMITED_SUBSCRIPTIONS
from services.shared.engine.forwarding import Forwarding, Handover
from services.shared.runtime.link_passing import take_links

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
        kind="link",
    )


async def links_loop(rendezvous: int, engine: Forwarding, *, account: int) -> None:
    """Takes links into an account, for ever. Owns the descriptor."""
    cid = FIRST_LINK_CID
    with socket.socket(fileno=rendezvous) as door:
        while True:
            await trio.lowlevel.wait_readable(door)
            for fd in take_links(door):
                engine.adopt(fd, link_handover(cid, account=account))
                cid += 1
