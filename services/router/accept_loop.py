"""Takes connections from a listening socket, a bounded number at a time."""

from __future__ import annotations

import socket
from collections.abc import Callable

import trio

from services.shared.telemetry.log import Logger

ACCEPTS_MAX = 64
"""Connections taken before other tasks get their turn."""

PAUSE_S = 0.1
"""Rest after the system had no descriptor or memory for a connection."""


async def accept_loop(
    listener: socket.socket, on_connection: Callable[[socket.socket, str, int], None], log: Logger
) -> None:
    """Calls `on_connection(socket, ip, port)` for each connection, for ever. The sockets are non-blocking."""
    while True:
        await trio.lowlevel.wait_readable(listener)
        for _ in range(ACCEPTS_MAX):
            try:
                connection, address = listener.accept()
            except BlockingIOError:
                break
            except ConnectionAbortedError:
                continue
            except OSError as error:
                log.error(f"Error accepting a connection: {error}; trying again in {PAUSE_S} s")
                await trio.sleep(PAUSE_S)
                break
            connection.setblocking(False)
            ip = address[0]
            on_connection(connection, ip.removeprefix("::ffff:"), address[1])
