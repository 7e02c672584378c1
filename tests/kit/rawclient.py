"""A NATS client made of bytes: sends exactly what a test says and expects exactly what a test wants, with deadlines.

It reads whole protocol items, so TCP chunking never matters. A PING of the server is answered and left out of what
`expect` sees, because it may arrive at any time; `expect_ping` is for the tests that are about it.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol

import trio

from tests.kit.protocol_items import ProtocolItems
from tests.kit.servers import Server

EXPECT_S = 10.0
CHUNK_BYTES = 65536


class ByteStream(Protocol):
    """What the client needs of a connection: a TCP, TLS or websocket stream."""

    async def send_all(self, data: bytes) -> None: ...

    async def receive_some(self, max_bytes: int | None = None) -> bytes: ...

    async def aclose(self) -> None: ...


class RawClient:
    """One connection. `info` is the latest INFO of the server as a dict; `info_line` its exact first bytes."""

    def __init__(self, stream: ByteStream) -> None:
        self.stream = stream
        self.info: dict[str, Any] = {}
        self.info_line = b""
        self.answers_pings = True
        self._items = ProtocolItems()
        self._at_end = False

    # -- sending

    async def send(self, data: bytes) -> None:
        """Sends bytes as they are. A connection the server closed meanwhile is noticed by the next expectation."""
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def send_pieces(self, data: bytes, *, size: int = 1) -> None:
        """Sends the same bytes cut into pieces, each in a segment of its own as far as TCP lets us."""
        for start in range(0, len(data), size):
            await self.send(data[start : start + size])
            await trio.lowlevel.checkpoint()

    async def send_connect(self, **options: Any) -> None:
        """Sends CONNECT with exactly the given members."""
        await self.send(b"CONNECT " + json.dumps(options).encode() + b"\r\n")

    async def connect(self, **options: Any) -> RawClient:
        """CONNECT (quiet unless told otherwise) and PING, waits for PONG: the server accepted us."""
        await self.send_connect(**{"verbose": False, "pedantic": False, **options})
        if options.get("verbose"):
            await self.expect(b"+OK\r\n")
        await self.ping_pong()
        if options.get("protocol"):
            await self.expect_info()
        return self

    async def ping_pong(self) -> None:
        """Sends PING and expects PONG as the very next item: all before it was processed, nothing else came back."""
        await self.send(b"PING\r\n")
        await self.expect(b"PONG\r\n")

    async def subscribe(self, subject: str, *, sid: str = "1", queue: str = "") -> None:
        """Subscribes and makes sure that the server has processed it (for connections that are not verbose)."""
        words = ["SUB", subject, *([queue] if queue else []), sid]
        await self.send(" ".join(words).encode() + b"\r\n")
        await self.ping_pong()

    async def publish(self, subject: str, payload: bytes = b"", *, reply: str = "") -> None:
        """Publishes and makes sure that the server has processed it (for connections that are not verbose)."""
        words = ["PUB", subject, *([reply] if reply else []), str(len(payload))]
        await self.send(" ".join(words).encode() + b"\r\n" + payload + b"\r\n")
        await self.ping_pong()

    # -- expecting

    async def next_item(self, *, within_s: float = EXPECT_S) -> bytes:
        """The next control line or message, terminators included; b"" when the server has closed."""
        with self._deadline(within_s, lambda: "the next item"):
            return await self._next_item()

    async def expect(self, wanted: bytes, *, within_s: float = EXPECT_S) -> None:
        """The next bytes must be exactly `wanted` (whole items)."""
        seen = b""
        with self._deadline(within_s, lambda: f"{wanted!r}, got {seen!r}"):
            while len(seen) < len(wanted):
                item = await self._next_item()
                seen += item
                if not item or not wanted.startswith(seen):
                    break
        assert seen == wanted, self._difference(repr(wanted), seen)

    async def expect_match(self, pattern: bytes, *, within_s: float = EXPECT_S) -> re.Match[bytes]:
        """The next item must match the whole regular expression; returns the match."""
        item = await self.next_item(within_s=within_s)
        match = re.fullmatch(pattern, item, re.DOTALL)
        assert match is not None, self._difference(f"a match of {pattern!r}", item)
        return match

    async def expect_err(self, text: str, *, within_s: float = EXPECT_S) -> None:
        """The next item must be `-ERR` with exactly this text."""
        await self.expect(f"-ERR '{text}'\r\n".encode(), within_s=within_s)

    async def expect_err_and_close(self, text: str, *, within_s: float = EXPECT_S) -> None:
        """`-ERR` with this text, then the end of the connection."""
        await self.expect_err(text, within_s=within_s)
        await self.expect_closed(within_s=within_s)

    async def expect_closed(self, *, within_s: float = EXPECT_S) -> None:
        """The server must close the connection without sending anything more."""
        item = await self.next_item(within_s=within_s)
        assert item == b"", self._difference("the end of the connection", item)
        assert not self._items.unfinished, self._difference("the end of the connection", self._items.unfinished)

    async def expect_info(self, **members: Any) -> dict[str, Any]:
        """The next item must be INFO with these members; becomes `info` and is returned."""
        item = await self.next_item()
        assert item.startswith(b"INFO "), self._difference("INFO", item)
        self.info = json.loads(item[5:])
        for name, value in members.items():
            assert self.info.get(name) == value, f"wanted {name}={value!r} in INFO, got {self.info}"
        return self.info

    async def expect_ping(self, *, within_s: float = EXPECT_S) -> None:
        """The next item must be a PING of the server; it is not answered. Needs `answers_pings = False`."""
        assert not self.answers_pings, "a client that answers PINGs does not see them"
        await self.expect(b"PING\r\n", within_s=within_s)

    async def expect_message(self, within_s: float = EXPECT_S) -> Message:
        """The next item must be MSG or HMSG."""
        return parse_message(await self.next_item(within_s=within_s))

    async def read_greeting(self) -> None:
        """Reads the first INFO of a fresh connection."""
        item = await self.next_item()
        assert item.startswith(b"INFO "), self._difference("INFO", item)
        self.info_line = item
        self.info = json.loads(item[5:])

    async def start_tls(self, context: ssl.SSLContext, *, hostname: str = "localhost") -> None:
        """Continues the connection inside TLS; nothing may have been received beyond the INFO."""
        assert not self._items.unfinished, f"bytes before TLS: {self._items.unfinished!r}"
        self.stream = await open_tls(self.stream, context, hostname=hostname)

    async def receive_raw(self, *, within_s: float) -> bytes:
        """Whatever arrives next, uncut; b"" if nothing does in that time. For tests about silence."""
        with trio.move_on_after(within_s):
            return await self.stream.receive_some(CHUNK_BYTES)
        return b""

    async def aclose(self) -> None:
        """Closes at once, without ceremony."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await trio.aclose_forcefully(self.stream)  # type: ignore[arg-type]

    # -- inside

    async def _next_item(self) -> bytes:
        while True:
            item = self._items.take()
            if item is None:
                if self._at_end:
                    return b""
                await self._receive()
            elif item == b"PING\r\n" and self.answers_pings:
                await self.send(b"PONG\r\n")
            else:
                return item

    async def _receive(self) -> None:
        try:
            data = await self.stream.receive_some(CHUNK_BYTES)
        except (trio.BrokenResourceError, ssl.SSLError):  # a reset is an end, too
            data = b""
        self._at_end = not data
        self._items.feed(data)

    @contextmanager
    def _deadline(self, seconds: float, wanted: Callable[[], str]):  # type: ignore[no-untyped-def]
        try:
            with trio.fail_after(seconds):
                yield
        except trio.TooSlowError:
            raise AssertionError(f"waited {seconds} s for {wanted()}; unfinished: {self._items.unfinished!r}") from None

    def _difference(self, wanted: str, seen: bytes) -> str:
        rest = [] if self._at_end else [self._items.unfinished]
        end = ", then the end of the connection" if self._at_end else ""
        return f"wanted {wanted}\n   got {seen!r}{end} {rest if any(rest) else ''}"


class Message:
    """A delivered message, taken apart."""

    def __init__(self, *, subject: str, sid: str, reply: str, header: bytes, payload: bytes) -> None:
        self.subject, self.sid, self.reply, self.header, self.payload = subject, sid, reply, header, payload

    def json(self) -> Any:
        """The payload read as JSON."""
        return json.loads(self.payload)


def parse_message(item: bytes) -> Message:
    """Takes one MSG or HMSG item apart."""
    line, _, body = item.partition(b"\r\n")
    words = line.decode().split()
    assert words and words[0] in ("MSG", "HMSG"), f"wanted a message, got {item!r}"
    sizes = 2 if words[0] == "HMSG" else 1
    header_bytes = int(words[-2]) if sizes == 2 else 0
    names = words[1:-sizes]
    return Message(
        subject=names[0],
        sid=names[1],
        reply=names[2] if len(names) > 2 else "",
        header=body[:header_bytes],
        payload=body[header_bytes:-2],
    )


async def open_tls(stream: Any, context: ssl.SSLContext, *, hostname: str = "localhost") -> ByteStream:
    """Does the client side of a TLS handshake on an open stream."""
    secure = trio.SSLStream(stream, context, server_hostname=hostname, https_compatible=True)
    with trio.fail_after(EXPECT_S):
        await secure.do_handshake()
    return secure


async def open_connection(server: Server, *, port: int | None = None) -> trio.SocketStream:
    """A bare TCP connection to the server's client port (or another one of its ports)."""
    with trio.fail_after(EXPECT_S):
        return await trio.open_tcp_stream("127.0.0.1", port or server.client_port)


@asynccontextmanager
async def raw_client(
    server: Server, *, tls: ssl.SSLContext | None = None, tls_first: bool = False, hostname: str = "localhost"
) -> AsyncIterator[RawClient]:
    """A connection that has read its INFO (and upgraded to TLS if a context is given)."""
    client = RawClient(await open_connection(server))
    try:
        if tls is not None and tls_first:
            await client.start_tls(tls, hostname=hostname)
        await client.read_greeting()
        if tls is not None and not tls_first:
            await client.start_tls(tls, hostname=hostname)
        yield client
    finally:
        await client.aclose()
