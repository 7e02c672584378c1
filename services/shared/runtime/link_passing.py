"""How the processes of a node get links to the router: one end of a socket pair is passed over a Unix socket.

The supervisor makes one rendezvous per node, a pair of datagram sockets, and keeps both ends open for as long as the
node lives. A role makes the link itself and sends one end; the router takes it when it comes to it. So either side may
restart at any time: what was sent waits in the socket, and a role whose link ended simply sends another one.
"""

from __future__ import annotations

import os
import socket
from typing import Final

RENDEZVOUS: Final = "link"
"""The name of the rendezvous among the sockets of a role's plan."""
_HELLO: Final = b"link"
_PASSED_MAX: Final = 4


def make_rendezvous() -> tuple[int, int]:
    """Both ends: the router's first."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    return ours.detach(), theirs.detach()


def send_link(rendezvous: int) -> socket.socket:
    """Makes a link and passes its other end; returns ours, non-blocking. Raises OSError when nobody takes links."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with theirs, socket.socket(fileno=os.dup(rendezvous)) as door:
        door.settimeout(0)
        try:
            socket.send_fds(door, [_HELLO], [theirs.fileno()])
        except OSError:
            ours.close()
            raise
    ours.setblocking(False)
    return ours


def take_links(rendezvous: socket.socket) -> list[int]:
    """The ends that were passed since the last call, as non-blocking descriptors; empty when there are none."""
    taken: list[int] = []
    while True:
        try:
            _, passed, _, _ = socket.recv_fds(rendezvous, len(_HELLO), _PASSED_MAX)
        except BlockingIOError:
            return taken
        for fd in passed:
            os.set_blocking(fd, False)
            os.set_inheritable(fd, False)
            taken.append(fd)
        if not passed:
            return taken
