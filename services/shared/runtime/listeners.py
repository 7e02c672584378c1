"""Listening sockets, opened as nats-server opens them.

A wildcard host (`0.0.0.0`, `::` or none) gives one dual-stack IPv6 socket where the machine has IPv6; a host name gives
its first address, IPv4 preferred. Sockets are non-blocking, with a long backlog, so that connections wait in the kernel
while a role restarts. Errors carry the text that nats-server's users know (operations 4.1).
"""

from __future__ import annotations

import errno
import os
import socket
import time
from collections.abc import Sequence
from typing import Final

from services.shared.records.record import record

BACKLOG_CONNECTIONS: Final = 4_096
"""The kernel cuts it to net.core.somaxconn."""
IN_USE_PATIENCE_NS: Final = 250_000_000
"""How long a port may be in use. When a node was killed its roles die right after it, not with it, and hold its ports
until then: 2 ms on an idle machine, 40 ms were seen on a busy one. Who starts a node again must not depend on that."""
IN_USE_PAUSE_S: Final = 0.005
WILDCARDS: Final = frozenset({"", "0.0.0.0", "::", "[::]"})


class ListenError(Exception):
    """The address can't be listened on; the text is nats-server's (`listen tcp H:P: bind: ...`)."""


@record
class Listener:
    """An open listening socket. `host` is the text of the configuration, `port` the real one."""

    name: str
    fd: int
    host: str
    port: int
    bound_host: str


def join_host_port(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


@record
class Manner:
    """How a socket is opened. `shared`: those opened later with the same port get a part of its connections each.

    `late`: the port is taken, but connections are refused until `start_listening`.
    """

    shared: bool = False
    late: bool = False


USUAL: Final = Manner()


def open_listener(*, name: str, host: str, port: int, manner: Manner = USUAL) -> Listener:
    """Opens a listening socket; port -1 picks a free one. Raises ListenError."""
    wanted = max(port, 0)
    last: ListenError | None = None
    for family, address in _candidates(host, wanted):
        try:
            return _open(name=name, host=host, wanted=wanted, family=family, address=address, manner=manner)
        except _FamilyUnusableError as error:
            last = error
    raise last or ListenError(f"listen tcp: lookup {host}: no such host")


def start_listening(fd: int) -> None:
    """Lets connections in on a socket that was opened to do so late. Raises OSError."""
    with socket.socket(fileno=os.dup(fd)) as opened:
        opened.listen(BACKLOG_CONNECTIONS)


class _FamilyUnusableError(ListenError):
    """This machine does not speak the address family; another may do."""


def _open(*, name: str, host: str, wanted: int, family: socket.AddressFamily, address: str, manner: Manner) -> Listener:
    try:
        opened = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _FamilyUnusableError(f"listen tcp {join_host_port(host, wanted)}: socket: {_reason(error)}") from error
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if manner.shared:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host not in WILDCARDS))
        _listen(opened, address, wanted, late=manner.late)
        opened.setblocking(False)
        bound_host, bound_port = opened.getsockname()[:2]
    except OSError as error:
        opened.close()
        unusable = family == socket.AF_INET6 and error.errno == errno.EADDRNOTAVAIL
        kind = _FamilyUnusableError if unusable else ListenError
        raise kind(f"listen tcp {join_host_port(host, wanted)}: bind: {_reason(error)}") from error
    return Listener(name=name, fd=opened.detach(), host=host, port=bound_port, bound_host=bound_host)


def _listen(opened: socket.socket, address: str, port: int, *, late: bool) -> None:
    """Binds and listens; a port in use gets a moment to become free. Raises OSError."""
    deadline_ns = time.monotonic_ns() + IN_USE_PATIENCE_NS
    is_bound = False
    while True:
        try:
            if not is_bound:
                opened.bind((address, port))
            is_bound = True
            if not late:
                opened.listen(BACKLOG_CONNECTIONS)
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic_ns() >= deadline_ns:
                raise
        time.sleep(IN_USE_PAUSE_S)


def _candidates(host: str, port: int) -> Sequence[tuple[socket.AddressFamily, str]]:
    """Where to listen, best first: one entry but for a wildcard, which falls back to IPv4 without IPv6."""
    if host in WILDCARDS:
        return [(socket.AF_INET6, "::"), (socket.AF_INET, "0.0.0.0")]
    try:
        # Bytes where possible: for text Python loads the codec of international names, which takes a millisecond.
        name = host.strip("[]")
        wanted = name.encode() if name.isascii() else name
        found = socket.getaddrinfo(wanted, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise ListenError(f"listen tcp: lookup {host}: no such host") from error
    families = (socket.AF_INET, socket.AF_INET6)
    usable = [(family, str(address[0])) for family, _, _, _, address in found if family in families]
    return sorted(usable, key=lambda entry: entry[0] != socket.AF_INET)[:1]


def _reason(error: OSError) -> str:
    text = os.strerror(error.errno) if error.errno else str(error)
    return text[:1].lower() + text[1:]
