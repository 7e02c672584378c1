"""TLS over trio: a listener's configuration from its options, the handshake of one connection, and a stream over it.

Promise: `shake_hands` drives a session to the end of its handshake or says in the reference's words why it failed; the
peer gets the alert that explains it. Once the handshake is done the session may move to the engine with its socket.
Deliberately absent: time limits (the caller's cancel scope), the order of INFO and TLS (`admission.tls_mode`), closing.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, Protocol, TypeAlias

from services.shared.config.options import TlsOptions
from services.shared.engine import _native

TlsServer: TypeAlias = _native.TlsServer
TlsClient: TypeAlias = _native.TlsClient
TlsSession: TypeAlias = _native.TlsSession
TlsConfigError: TypeAlias = _native.TlsConfigError
TlsError: TypeAlias = _native.TlsError

READ_BYTES: Final = 16_384
"""Read at a time: a whole flight of a client fits."""


class ByteStream(Protocol):
    """A connected socket of trio, or what looks like one."""

    def recv(self, bufsize: int, /) -> Awaitable[bytes]:
        """Some bytes, or none at the end."""

    def send(self, data: bytes, /) -> Awaitable[int]:
        """Sends some of the bytes and returns how many."""


class TlsHandshakeError(Exception):
    """The handshake failed; the text is the log's. `notable` is False for peers that just do not speak TLS."""

    def __init__(self, reason: str, *, notable: bool = True) -> None:
        super().__init__(f"TLS handshake error: {reason}")
        self.reason = reason
        self.notable = notable


def build_tls_server(options: TlsOptions) -> TlsServer:
    """Reads the files of a `tls` block; raises TlsConfigError (a ValueError) with the reference's text."""
    return _native.TlsServer(
        certificates=[(pair.cert_file, pair.key_file) for pair in options.certificates],
        ca_file=options.ca_file or None,
        verify=options.verify or options.verify_and_map,
        min_version=options.min_version,
        cipher_suites=options.cipher_suites,
        curves=options.curve_preferences,
        pinned_certs=options.pinned_certs,
    )


def build_tls_client(options: TlsOptions) -> TlsClient:
    """The same for whoever dials: certificates are shown where the other side asks, and its own is checked."""
    return _native.TlsClient(
        certificates=[(pair.cert_file, pair.key_file) for pair in options.certificates],
        ca_file=options.ca_file or None,
        insecure=options.insecure,
        min_version=options.min_version,
        cipher_suites=options.cipher_suites,
        curves=options.curve_preferences,
        pinned_certs=options.pinned_certs,
    )


async def shake_hands(stream: ByteStream, session: TlsSession, received: bytes = b"") -> None:
    """Completes the handshake, on either side; `received` was read already. Raises TlsHandshakeError.

    Plaintext that came right behind the handshake waits in the session.
    """
    try:
        # Who dials speaks first.
        await send_all(stream, session.take_output())
        while True:
            if received:
                await _feed(stream, session, received)
            if not session.handshaking:
                return
            received = await stream.recv(READ_BYTES)
            if not received:
                raise TlsHandshakeError("unexpected EOF" if session.mid_record else "EOF")
    except OSError as error:
        raise TlsHandshakeError((error.strerror or str(error)).lower()) from error


async def _feed(stream: ByteStream, session: TlsSession, received: bytes) -> None:
    try:
        session.receive(received)
    except _native.TlsError as error:
        try:
            await send_all(stream, session.take_output())
        except OSError:
            pass  # the peer left before it could be told why
        raise TlsHandshakeError(str(error), notable=not isinstance(error, _native.NotTlsError)) from error
    await send_all(stream, session.take_output())


async def send_all(stream: ByteStream, data: bytes) -> None:
    """Sends every byte."""
    while data:
        data = data[await stream.send(data) :]


class SecureStream:
    """The plaintext of a TLS connection, for what is spoken before the engine takes over (a WebSocket upgrade).

    Reads and writes like a socket of trio. Bytes that were read too far go back with `unread`.
    """

    __slots__ = ("_session", "_stream")

    def __init__(self, stream: ByteStream, session: TlsSession) -> None:
        self._stream = stream
        self._session = session

    async def recv(self, bufsize: int, /) -> bytes:
        """Up to `bufsize` bytes of plaintext, or none at the end. Raises TlsError when the peer breaks the protocol."""
        while not (plain := self._session.read_plain()):
            if self._session.peer_closed:
                return b""
            received = await self._stream.recv(READ_BYTES)
            if not received:
                return b""
            self._session.receive(received)
            await send_all(self._stream, self._session.take_output())
        plain, rest = plain[:bufsize], plain[bufsize:]
        self.unread(rest)
        return plain

    async def send(self, data: bytes, /) -> int:
        """Encrypts and sends all of `data`."""
        self._session.write_plain(data)
        await send_all(self._stream, self._session.take_output())
        return len(data)

    def unread(self, data: bytes) -> None:
        """Puts bytes back in front of those that wait."""
        if data:
            self._session.unread_plain(data)
