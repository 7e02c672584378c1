"""A server of a cluster played by a test, line by line."""

from __future__ import annotations

import itertools
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from tests.kit.s2 import IDENTIFIER, StreamReader, pack_plain
from tests.kit.servers import Server

EXPECT_S = 5.0
CHUNK_BYTES = 65_536
_NUMBERS = itertools.count()


class RoutePeer:
    """One connection to a route port, or from a server; `info` is what the server said of itself first."""

    def __init__(self, stream: trio.SocketStream | trio.SSLStream[trio.SocketStream]) -> None:
        self._stream = stream
        self.answers_pings = True
        self._received = b""
        self._identifier = b""
        self.server_id = f"PEER{next(_NUMBERS)}"
        self.unpacked = StreamReader()
        self.info: dict[str, Any] = {}

    async def send(self, data: bytes) -> None:
        """Sends bytes as they are; an end of the connection is noticed by the next expectation."""
        await self.send_raw(pack_plain(data, identifier=self._identifier) if self._identifier else data)

    async def send_raw(self, data: bytes) -> None:
        """The same below compression."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    def compress(self, *, identifier: bytes = IDENTIFIER) -> None:
        """From here on both directions are compressed; what we send is packed without any effort."""
        self._identifier = identifier

    async def negotiate(self, compression: str | None) -> None:
        """The INFO in clear that says what this peer is able to compress; None says nothing of it."""
        await self.send(b'CONNECT {"cluster":"C"}\r\n')
        await self.introduce(**({"compression": compression} if compression else {}))

    async def introduce(self, **members: Any) -> None:
        """An INFO under a name that nobody else has."""
        info = {"server_id": self.server_id, "cluster": "C"} | members
        await self.send(b"INFO " + json.dumps(info).encode() + b"\r\n")

    async def introduced(self, **members: Any) -> None:
        """Introduces itself under a name of its own, and waits until it was taken in."""
        await self.send(b'CONNECT {"cluster":"C"}\r\n')
        await self.introduce(**members)
        await self.send(b"PING\r\n")
        while (line := await self.line()) != b"PONG":
            assert line and not line.startswith(b"-ERR"), line

    async def join(self, server_id: str, *, cluster: str = "C", **members: Any) -> None:
        """Introduces itself the short way (reference: wire protocol 2.16) and waits until it was taken in."""
        await self.introduce_as(server_id, cluster=cluster, **members)
        assert await self.is_taken_in(), "the server closed the connection"

    async def introduce_as(self, server_id: str, *, cluster: str = "C", **members: Any) -> None:
        """Introduces itself and does not wait for anything."""
        connect = json.dumps({"name": server_id, "cluster": cluster, "headers": True})
        info = json.dumps({"server_id": server_id, "cluster": cluster, "headers": True} | members)
        await self.send(f"CONNECT {connect}\r\nINFO {info}\r\n".encode())

    async def is_taken_in(self) -> bool:
        """Whether the server answers, instead of closing the connection."""
        await self.send(b"PING\r\n")
        while (line := await self.line()) not in (b"PONG", b""):
            pass
        return line == b"PONG"

    async def line(self) -> bytes:
        """The next line without its end, b"" at the end. PINGs are not returned, but answered if wanted."""
        while True:
            with trio.fail_after(EXPECT_S):
                while b"\n" not in self._received:
                    if not await self._receive():
                        return b""
            line, _, self._received = self._received.partition(b"\n")
            line = line.removesuffix(b"\r")
            if line.upper() != b"PING":
                return line
            if self.answers_pings:
                await self.send(b"PONG\r\n")

    async def message(self) -> tuple[bytes, bytes]:
        """The next message: its line and its payload. What comes before it is skipped."""
        while not (line := await self.line()).startswith((b"RMSG ", b"HMSG ")):
            assert line, "the server closed the connection"
        size = int(line.rpartition(b" ")[2])
        with trio.fail_after(EXPECT_S):
            while len(self._received) < size + 2:
                assert await self._receive(), "the server closed the connection"
        payload, self._received = self._received[:size], self._received[size + 2 :]
        return line, payload

    async def interest(self, word: bytes) -> bytes:
        """The next line about interest that has this word in it; others are skipped."""
        while True:
            line = await self.line()
            assert line, "the server closed the connection"
            if line.startswith((b"RS+ ", b"RS- ")) and word in line.split():
                return line

    async def settled(self) -> list[bytes]:
        """Everything that the server says until it has answered a PING."""
        await self.send(b"PING\r\n")
        lines = []
        while (line := await self.line()) not in (b"PONG", b""):
            lines.append(line)
        return lines

    async def closing_words(self) -> list[bytes]:
        """Everything that the server says until it closes."""
        lines = []
        while line := await self.line():
            lines.append(line)
        return lines

    async def close(self) -> None:
        """Ends the connection."""
        await self._stream.aclose()

    async def _receive(self) -> bool:
        try:
            data = await self._stream.receive_some(CHUNK_BYTES)
        except trio.BrokenResourceError:  # a reset is an end, too
            data = b""
        self._received += self.unpacked.read(data) if self._identifier else data
        return bool(data)


@asynccontextmanager
async def route_peer(server: Server, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[RoutePeer]:
    """A connection to the route port that has read INFO, over TLS if there is a context."""
    async with await trio.open_tcp_stream("127.0.0.1", server.port("cluster")) as plain:
        stream = plain if tls is None else trio.SSLStream(plain, tls, server_hostname="localhost")
        peer = RoutePeer(stream)
        greeting = await peer.line()
        assert greeting.startswith(b"INFO "), greeting
        peer.info = json.loads(greeting[5:])
        yield peer


class RouteDoor:
    """The route port of a server that is played by a test: `members` stand in its INFO."""

    def __init__(self, listener: trio.SocketListener, members: dict[str, Any]) -> None:
        self._listener = listener
        self._members = members
        self._open: list[RoutePeer] = []

    @property
    def port(self) -> int:
        """Where servers reach it."""
        port: int = self._listener.socket.getsockname()[1]
        return port

    async def next(self, *, answers_pings: bool = True, within_s: float = EXPECT_S) -> RoutePeer:
        """The next connection of a server, which has introduced itself. It is taken in, unless PINGs are not answered."""
        peer = await self.accept(within_s=within_s)
        peer.answers_pings = answers_pings
        while not (line := await peer.line()).startswith(b"INFO "):
            assert line.startswith(b"CONNECT "), line
        peer.info = json.loads(line[5:])
        if answers_pings:
            # Nobody may be reading when the PING comes, or the server sends none for a while.
            await peer.send(b"PONG\r\n")
        return peer

    async def accept(self, *, within_s: float = EXPECT_S) -> RoutePeer:
        """The next connection of a server, which has been sent INFO."""
        with trio.fail_after(within_s):
            peer = RoutePeer(await self._listener.accept())
        self._open.append(peer)
        await peer.send(f"INFO {json.dumps(self._members)}\r\n".encode())
        return peer

    async def all_within(self, seconds: float, *, answers_pings: bool = True) -> list[RoutePeer]:
        """All connections that servers open within this time."""
        peers: list[RoutePeer] = []
        with trio.move_on_after(seconds):
            while True:
                peers.append(await self.next(answers_pings=answers_pings))
        return peers

    async def close(self) -> None:
        """Ends all of its connections."""
        for peer in self._open:
            await peer.close()
        await self._listener.aclose()


@asynccontextmanager
async def route_door(server_id: str, *, cluster: str = "C", **members: Any) -> AsyncIterator[RouteDoor]:
    """A port that servers can dial."""
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    about = {"server_id": server_id, "cluster": cluster, "headers": True, "host": "127.0.0.1"}
    about["port"] = listener.socket.getsockname()[1]
    door = RouteDoor(listener, about | members)
    try:
        yield door
    finally:
        with trio.CancelScope(shield=True):
            await door.close()
