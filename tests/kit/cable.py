"""A cable between two servers that can be damaged: bytes stop in one direction or both, and no connection ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum

import trio

CHUNK_BYTES = 1 << 16


class Damage(Enum):
    """Which way nothing goes any more."""

    TO_LISTENER = "what the dialling side says is not heard"
    TO_DIALLER = "what the side that was dialled says is not heard"
    BOTH = "nothing is heard on either side"


class Cable:
    """Connections to `port` go on to another port of this machine. Damage holds for all of them, and for new ones."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._damage: Damage | None = None
        self._mended = trio.Event()
        self._mended.set()
        self._dead: set[trio.SocketStream] = set()
        self._open: set[trio.SocketStream] = set()

    def damage(self, damage: Damage) -> None:
        """From now on bytes wait, and ends of connections, too."""
        self._damage = damage
        self._mended = trio.Event()

    def mend(self, *, forget: bool) -> None:
        """New connections work again. What waits on old ones arrives now; with `forget` they stay silent for ever."""
        if forget and self._damage is not None:
            self._dead |= self._open
        self._damage = None
        self._mended.set()

    async def run(self, listeners: list[trio.SocketListener]) -> None:
        """Serves for ever."""
        await trio.serve_listeners(self._carry, listeners)

    async def _carry(self, dialler: trio.SocketStream) -> None:
        try:
            async with await trio.open_tcp_stream("127.0.0.1", self._target) as listener, dialler:
                self._open |= {dialler, listener}
                try:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._pump, dialler, listener, Damage.TO_LISTENER)
                        nursery.start_soon(self._pump, listener, dialler, Damage.TO_DIALLER)
                finally:
                    self._open -= {dialler, listener}
                    self._dead -= {dialler, listener}
        except OSError:
            await dialler.aclose()  # nobody is at the other end

    async def _pump(self, source: trio.SocketStream, sink: trio.SocketStream, way: Damage) -> None:
        try:
            while True:
                data = await source.receive_some(CHUNK_BYTES)
                while self._damage in (way, Damage.BOTH):
                    await self._mended.wait()
                if source in self._dead:
                    await trio.sleep_forever()
                if not data:
                    await sink.send_eof()
                    return
                await sink.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            # A reset ends both directions.
            await trio.aclose_forcefully(source)
            await trio.aclose_forcefully(sink)


@asynccontextmanager
async def cable_to(target: int) -> AsyncIterator[Cable]:
    """A cable whose listening end is a free port."""
    cable = Cable(target)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        cable.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(cable.run, listeners)
        yield cable
        nursery.cancel_scope.cancel()
