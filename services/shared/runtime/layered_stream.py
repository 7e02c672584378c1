"""A connection to another server while it is brought up: a socket, TLS over it, S2 over that, each when it was agreed.

Promise: what is sent and received are the protocol's own bytes, whatever is below. When the handshake is over the socket and
the sessions move to the engine (`give_away`), with what was read too far. One task at a time reads, one writes.
Deliberately absent: time limits (the caller's cancel scope), what is agreed (`member.compression`), closing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import trio

from services.shared.engine.layers import Layers, S2Error, S2Session
from services.shared.runtime.tls import SecureStream, TlsError, TlsSession, send_all, shake_hands

READ_BYTES: Final = 64 << 10


class BrokenLayerError(ConnectionError):
    """What the peer sent is not what the layers want; the text says why."""


class LayeredStream:
    """One connection, whose socket stays with the caller until it is given away."""

    __slots__ = ("_opened", "_s2", "_secure", "_socket", "_tls")

    def __init__(self, socket: trio.socket.SocketType) -> None:
        self._socket = socket
        self._opened = trio.current_time()
        self._tls: TlsSession | None = None
        self._secure: SecureStream | None = None
        self._s2: S2Session | None = None

    @property
    def tls(self) -> TlsSession | None:
        """The TLS session, if there is one."""
        return self._tls

    async def secure(self, session: TlsSession, received: bytes = b"") -> None:
        """Puts TLS over the socket, of which `received` was read already. Raises TlsHandshakeError."""
        await shake_hands(self._socket, session, received)
        self._tls, self._secure = session, SecureStream(self._socket, session)

    def compress(self, mode: str, thresholds_ns: Sequence[int], received: bytes = b"") -> bytes:
        """Puts S2 over what there is; returns what `received`, which came before, stands for. Raises BrokenLayerError.

        `s2_auto` starts with the time since the connection came up as its round trip time.
        """
        rtt_ns = max(1, round((trio.current_time() - self._opened) * 1e9))
        self._s2 = S2Session(mode, rtt_ns=rtt_ns, thresholds_ns=thresholds_ns)
        return self._unpack(received) if received else b""

    async def recv(self) -> bytes:
        """Some bytes, or none at the end. Raises OSError."""
        while True:
            if self._s2 is not None and self._s2.has_more:
                return self._unpack(b"")
            received = await self._recv_below()
            if self._s2 is None or not received:
                return received
            if plain := self._unpack(received):
                return plain

    async def send(self, data: bytes) -> None:
        """Sends all bytes. Raises OSError."""
        if self._s2 is not None:
            data = self._s2.pack(data)
        if not data:
            return
        try:
            await send_all(self._secure or self._socket, data)
        except TlsError as error:
            raise BrokenLayerError(str(error)) from error

    async def finish(self) -> None:
        """Says that nothing more will be sent."""
        if self._tls is not None:
            self._tls.close_notify()
            await send_all(self._socket, self._tls.take_output())
        self._socket.shutdown(trio.socket.SHUT_WR)

    def give_away(self, unread: bytes) -> tuple[int, Layers]:
        """The descriptor, which is the caller's from now on, and what is over it. `unread` was received too far."""
        if self._s2 is not None:
            self._s2.unread(unread)
        elif self._secure is not None:
            self._secure.unread(unread)
        received = unread if self._s2 is None and self._tls is None else b""
        return self._socket.detach(), Layers(received=received, tls=self._tls, s2=self._s2)

    def _unpack(self, received: bytes) -> bytes:
        assert self._s2 is not None, "there is a session"
        try:
            return self._s2.receive(received)
        except S2Error as error:
            raise BrokenLayerError(str(error)) from error

    async def _recv_below(self) -> bytes:
        if self._secure is None:
            return await self._socket.recv(READ_BYTES)
        try:
            return await self._secure.recv(READ_BYTES)
        except TlsError as error:
            raise BrokenLayerError(str(error)) from error
