"""A client of Python's ssl module without a socket of its own: TLS over any connected trio socket."""

from __future__ import annotations

import ssl

import trio


class TlsPeer:
    """The client's side. Errors of the ssl module are raised as they are."""

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext, *, session: ssl.SSLSession | None = None):
        self.stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname="localhost", session=session)

    async def _pump(self) -> None:
        if data := self._outgoing.read():
            await self.stream.send_all(data)

    async def _read_more(self) -> None:
        await self._pump()
        data = await self.stream.receive_some(65_536)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def handshake(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._read_more()
            except ssl.SSLError:
                await self._pump()
                raise
            else:
                await self._pump()
                return

    async def receive(self) -> bytes:
        """Some plaintext, or nothing at the end of the stream."""
        while True:
            try:
                return self.tls.read(65_536)
            except ssl.SSLWantReadError:
                await self._read_more()
            except ssl.SSLZeroReturnError:
                return b""

    async def send(self, data: bytes) -> None:
        self.tls.write(data)
        await self._pump()

    async def close_notify(self) -> None:
        try:
            self.tls.unwrap()
        except ssl.SSLWantReadError:
            pass
        await self._pump()
