"""The web server of the monitor: uvicorn on a socket of the supervisor, which obeys no signals.

With TLS it accepts by itself, since it has to look at the first bytes of a connection: whoever speaks plain HTTP to an
HTTPS port is told so (reference: operations 6.1). Everything is bounded: connections that come up, and their time.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Final

import uvicorn

COMING_UP_MAX: Final = 256
COMING_UP_S: Final = 10.0
HEAD_BYTES: Final = 65_536
PAUSE_S: Final = 0.1
"""Rest after the system had no descriptor or memory for a connection."""

_METHODS: Final = (b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO")
_REFUSAL: Final = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"
_HANDSHAKE: Final = b"\x16"
"""What every TLS connection starts with."""


class WebServer(uvicorn.Server):
    """Serves one listening socket, over TLS if there is a context; `on_start` is called when it does.

    The context may be replaced at any time, for those who come from then on.
    """

    def __init__(self, config: uvicorn.Config, *, secure: ssl.SSLContext | None, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self.secure = secure
        self._on_start = on_start
        self._room = asyncio.Semaphore(COMING_UP_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to accept."""
        if self.secure is None:
            await super().startup(sockets)
        else:
            await super().startup([])
            for listener in sockets or ():
                self._start(self._accept_loop(listener))
        self._on_start()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none: orders come over the control channel."""
        yield

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept_loop(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._room.acquire()
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                self._room.release()
                await asyncio.sleep(PAUSE_S)
                continue
            self._start(self._bring_up(connection))

    async def _bring_up(self, connection: socket.socket) -> None:
        try:
            async with asyncio.timeout(COMING_UP_S):
                first = await _peek(connection)
                if first[:1] == _HANDSHAKE:
                    await asyncio.get_running_loop().connect_accepted_socket(
                        self._protocol, connection, ssl=self.secure
                    )
                    return
                if first in _METHODS:
                    connection.recv(HEAD_BYTES)  # what is left unread would make the end a reset
                    await asyncio.get_running_loop().sock_sendall(connection, _REFUSAL)
                    connection.shutdown(socket.SHUT_WR)
                connection.close()
        except (OSError, TimeoutError):
            connection.close()  # not our kind of peer, or gone
        finally:
            self._room.release()

    def _protocol(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)


async def _peek(connection: socket.socket) -> bytes:
    """The first bytes of a connection, which stay there to be read."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(connection)
    return connection.recv(len(_METHODS[0]), socket.MSG_PEEK)
