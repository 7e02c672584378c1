"""A WebSocket client made of frames: as a byte stream for `RawClient`, or frame by frame for tests about framing.

The stream sends each write as one masked binary frame, joins what comes in, answers nothing by itself, and keeps the
close frame it saw. Every frame of the server is checked to be unmasked and well formed.
"""

from __future__ import annotations

import base64
import hashlib
import os
import ssl
import struct
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import trio

from tests.kit.rawclient import CHUNK_BYTES, EXPECT_S, RawClient, open_connection, open_tls
from tests.kit.servers import Server

ACCEPT_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DEFLATE_TAIL = b"\x00\x00\xff\xff"
DEFLATE_OFFER = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"


class Opcode(IntEnum):
    """Frame kinds of RFC 6455."""

    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame as it was on the wire (payload still compressed if `rsv1`)."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv1: bool = False
    masked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """The answer to an upgrade request; header names in lower case, repeated headers joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def encode_frame(
    opcode: int, payload: bytes, *, fin: bool = True, rsv: int = 0, mask: bytes | None = b"\x0f\xf0\x55\xaa"
) -> bytes:
    """One client frame. `rsv` is the three reserved bits (4 = compressed); `mask=None` leaves it unmasked."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    mask_bit = 0x80 if mask is not None else 0
    if len(payload) < 126:
        head = struct.pack("!BB", first, mask_bit | len(payload))
    elif len(payload) < 65536:
        head = struct.pack("!BBH", first, mask_bit | 126, len(payload))
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, len(payload))
    if mask is None:
        return head + payload
    repeated = (mask * (len(payload) // 4 + 1))[: len(payload)]
    masked = (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(len(payload), "big")
    return head + mask + masked


def deflate(payload: bytes) -> bytes:
    """Compresses one message the way permessage-deflate wants it."""
    engine = zlib.compressobj(wbits=-15)
    return (engine.compress(payload) + engine.flush(zlib.Z_SYNC_FLUSH)).removesuffix(DEFLATE_TAIL)


def inflate(payload: bytes) -> bytes:
    """Decompresses one message of permessage-deflate without context takeover."""
    return zlib.decompressobj(wbits=-15).decompress(payload + DEFLATE_TAIL)


class WebSocketStream:
    """An upgraded connection. `close_payload` is the body of the server's close frame once one was seen."""

    def __init__(self, stream: Any, *, received: bytes = b"", compressed: bool = False, masking: bool = True) -> None:
        self.close_payload: bytes | None = None
        self.data_frames: list[Frame] = []
        self._stream = stream
        self._received = bytearray(received)
        self._compressed = compressed
        self._mask = b"\x0f\xf0\x55\xaa" if masking else None

    async def send_all(self, data: bytes) -> None:
        """Sends bytes as one binary message, compressed if that was agreed."""
        if self._compressed:
            await self.send_frame(Opcode.BINARY, deflate(data), rsv=4)
        else:
            await self.send_frame(Opcode.BINARY, data)

    async def send_frame(self, opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0) -> None:
        """Sends one frame as described."""
        await self.send_bytes(encode_frame(opcode, payload, fin=fin, rsv=rsv, mask=self._mask))

    async def send_bytes(self, data: bytes) -> None:
        """Sends bytes below the framing. A connection the server closed meanwhile shows when reading."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The payload of the next data frame; b"" at a close frame or the end."""
        while True:
            frame = await self.next_frame()
            if frame is None:
                return b""
            if frame.opcode == Opcode.CLOSE:
                return b""
            if frame.opcode in (Opcode.PING, Opcode.PONG):
                raise AssertionError(f"a control frame nobody waits for: {frame}")
            payload = inflate(frame.payload) if frame.rsv1 else frame.payload
            if payload:
                return payload

    async def next_frame(self) -> Frame | None:
        """The next frame of the server, None at the end of the connection."""
        head = await self._take(2)
        if head is None:
            return None
        first, second = head
        assert not first & 0x30, f"reserved bits in a frame of the server: {first:#x}"
        size = second & 0x7F
        if size == 126:
            size = struct.unpack("!H", await self._take_all(2))[0]
        elif size == 127:
            size = struct.unpack("!Q", await self._take_all(8))[0]
        assert not second & 0x80, "the server masked a frame"
        frame = Frame(
            opcode=first & 0x0F, payload=await self._take_all(size), fin=bool(first & 0x80), rsv1=bool(first & 0x40)
        )
        if frame.opcode == Opcode.CLOSE:
            self.close_payload = frame.payload
        elif frame.opcode < Opcode.CLOSE:
            self.data_frames.append(frame)
        return frame

    async def expect_frame(self, opcode: int, payload: bytes) -> None:
        """The next frame must have this opcode and payload."""
        with trio.fail_after(EXPECT_S):
            frame = await self.next_frame()
        assert frame is not None, f"wanted frame {opcode} {payload!r}, got the end of the connection"
        assert (frame.opcode, frame.payload) == (opcode, payload), f"wanted {opcode} {payload!r}, got {frame}"

    async def expect_close(self, code: int | None, text: str = "") -> None:
        """The next frame must be a close frame with this status (None: empty), then the connection must end."""
        body = b"" if code is None else struct.pack("!H", code) + text.encode()
        await self.expect_frame(Opcode.CLOSE, body)
        await self.expect_end()

    async def expect_end(self) -> None:
        """The connection must end without a further frame."""
        with trio.fail_after(EXPECT_S):
            frame = await self.next_frame()
        assert frame is None, f"wanted the end of the connection, got {frame}"

    async def aclose(self) -> None:
        """Closes the connection below, without a close frame."""
        await trio.aclose_forcefully(self._stream)

    async def _take(self, size: int) -> bytes | None:
        while len(self._received) < size:
            try:
                data = await self._stream.receive_some(CHUNK_BYTES)
            except (trio.BrokenResourceError, ssl.SSLError):  # a reset is an end, too
                data = b""
            if not data:
                return None
            self._received += data
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    async def _take_all(self, size: int) -> bytes:
        taken = await self._take(size)
        assert taken is not None, "the connection ended inside a frame"
        return taken


class UpgradeRequest:
    """A valid upgrade request that a test may spoil: change `method`, `path`, or any of `headers` (None removes)."""

    def __init__(
        self, *, path: str = "/", method: str = "GET", headers: Mapping[str, str | None] | None = None
    ) -> None:
        self.method, self.path = method, path
        self.key = base64.b64encode(os.urandom(16)).decode()
        self.headers: dict[str, str | None] = {
            "Host": "localhost",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": self.key,
            "Sec-WebSocket-Version": "13",
            **(headers or {}),
        }

    def encode(self) -> bytes:
        """The request as bytes."""
        lines = [f"{self.method} {self.path} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in self.headers.items() if value is not None]
        return "\r\n".join([*lines, "", ""]).encode()

    def wanted_accept(self) -> str:
        """What Sec-WebSocket-Accept must be."""
        return base64.b64encode(hashlib.sha1(self.key.encode() + ACCEPT_GUID).digest()).decode()


async def send_upgrade(stream: Any, request: UpgradeRequest) -> tuple[HttpResponse, bytes]:
    """Sends the request; returns the response and the bytes that followed it (none if it was refused)."""
    await stream.send_all(request.encode())
    received = bytearray()
    with trio.fail_after(EXPECT_S):
        while b"\r\n\r\n" not in received:
            data = await stream.receive_some(CHUNK_BYTES)
            assert data, f"the connection ended inside the response: {bytes(received)!r}"
            received += data
    head, _, rest = bytes(received).partition(b"\r\n\r\n")
    status_line, *lines = head.decode().split("\r\n")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    status = int(status_line.split()[1])
    return HttpResponse(status=status, headers=headers, body=b"" if status == 101 else rest), rest


@asynccontextmanager
async def websocket_stream(
    server: Server,
    *,
    path: str = "/",
    headers: Mapping[str, str | None] | None = None,
    compressed: bool = False,
    masking: bool = True,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[WebSocketStream]:
    """An upgraded websocket connection; `compressed` and `masking=False` are asked for and must be agreed to."""
    asked: dict[str, str | None] = dict(headers or {})
    if compressed:
        asked["Sec-WebSocket-Extensions"] = DEFLATE_OFFER
    if not masking:
        asked["Nats-No-Masking"] = "true"
    stream: Any = await open_connection(server, port=server.websocket_port)
    try:
        if tls is not None:
            stream = await open_tls(stream, tls)
        response, rest = await send_upgrade(stream, UpgradeRequest(path=path, headers=asked))
        assert response.status == 101, response
        if compressed:
            assert response.headers.get("sec-websocket-extensions") == DEFLATE_OFFER, response
        if not masking:
            assert response.headers.get("nats-no-masking") == "true", response
        yield WebSocketStream(stream, received=rest, compressed=compressed, masking=masking)
    finally:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def websocket_client(server: Server, **options: Any) -> AsyncIterator[RawClient]:
    """A NATS client on a websocket connection that has read its INFO; `.stream` is the `WebSocketStream`."""
    async with websocket_stream(server, **options) as stream:
        client = RawClient(stream)
        await client.read_greeting()
        yield client
