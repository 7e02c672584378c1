"""Opens a connection of a listener with TLS: INFO and handshake in the order of its mode, under time limits.

The socket is neither closed nor given away here: the caller does either, by the outcome.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Final, TypeAlias, assert_never

import trio

from services.router.admission.proxy_header import Source
from services.router.admission.proxy_header_loop import unwrap
from services.router.admission.tls_mode import Progress, Step, TlsMode, next_step
from services.router.admission.tls_rate import HandshakeRate
from services.shared.records.record import record, replace
from services.shared.runtime.tls import (
    READ_BYTES,
    ByteStream,
    TlsHandshakeError,
    TlsServer,
    TlsSession,
    send_all,
    shake_hands,
)
from services.shared.telemetry.log import Level
from services.shared.wire import errors
from services.shared.wire.close_reasons import CloseReason

TIMEOUT_TEXT: Final = "TLS handshake timeout"


@record
class TlsEntrance:
    """What all connections of a listener share. `rate` is None without `connection_rate_limit`."""

    server: TlsServer
    mode: TlsMode
    timeout_ns: int
    rate: HandshakeRate | None = None


@record
class Secured:
    """The handshake is done. `greeted`: INFO went out in clear before it; otherwise it is still owed, inside TLS.

    `source` is whom a PROXY header named.
    """

    session: TlsSession
    greeted: bool
    source: Source | None = None


@record
class InClear:
    """The client goes on without TLS; INFO was sent, and `received` came after it. `source` as with `Secured`."""

    received: bytes
    source: Source | None = None


@record
class TurnedAway:
    """The connection is to be closed. `text` is for the log, empty where counters report instead."""

    reason: CloseReason
    text: str
    level: Level


Opening: TypeAlias = Secured | InClear | TurnedAway


async def open_tls(
    connection: socket.socket, entrance: TlsEntrance, *, greeting: bytes, now_ns: Callable[[], int],
    begins: Callable[[], None],
) -> Opening:  # fmt: skip
    """Brings a fresh connection through INFO and handshake, in the order of its listener (wire protocol 1.16).

    `now_ns` is the clock of the rate limit; `begins` is called when the handshake begins. Errors of the socket are outcomes,
    except within a PROXY header: there they and ProxyHeaderError are raised.
    """
    stream = trio.socket.from_stdlib_socket(connection)
    timeout_s = entrance.timeout_ns / 1e9
    progress, source = Progress(), None
    while True:
        match next_step(entrance.mode, progress):
            case Step.GREET:
                if not await _greet(stream, greeting, within_s=timeout_s):
                    return _failure("EOF")
                progress = replace(progress, greeted=True)
            case Step.AWAIT_HELLO:
                received = await _first_bytes(stream, within_s=(entrance.mode.hello_first_ns or 0) / 1e9)
                progress = replace(progress, waited_for_hello=True, received=received)
            case Step.AWAIT_CHOICE:
                received = await _first_bytes(stream, within_s=timeout_s)
                progress = replace(progress, waited_for_choice=True, received=received)
            case Step.UNWRAP:
                unwrapped = await unwrap(stream, received=progress.received)
                progress, source = replace(progress, unwrapped=True, received=unwrapped.rest), unwrapped.source
            case Step.STAY_CLEAR:
                return InClear(received=progress.received, source=source)
            case Step.SHAKE_HANDS:
                if entrance.rate is not None and not entrance.rate.allow(now_ns=now_ns()):
                    return await _throttled(stream, within_s=timeout_s)
                begins()
                opening = await _secure(stream, entrance, progress)
                return replace(opening, source=source) if isinstance(opening, Secured) else opening
            case unreachable:
                assert_never(unreachable)


async def _greet(stream: ByteStream, greeting: bytes, *, within_s: float) -> bool:
    try:
        with trio.move_on_after(within_s) as limit:
            await send_all(stream, greeting)
    except OSError:
        return False
    return not limit.cancelled_caught


async def _first_bytes(stream: ByteStream, *, within_s: float) -> bytes:
    """What comes first in that time; nothing when the peer is silent or gone, which the next read finds out."""
    try:
        with trio.move_on_after(within_s):
            return await stream.recv(READ_BYTES)
    except OSError:
        pass
    return b""


async def _secure(stream: ByteStream, entrance: TlsEntrance, progress: Progress) -> Opening:
    session = entrance.server.accept()
    try:
        with trio.move_on_after(entrance.timeout_ns / 1e9) as limit:
            await shake_hands(stream, session, progress.received)
    except TlsHandshakeError as error:
        return TurnedAway(
            reason=CloseReason.TLS_HANDSHAKE_FAILURE, text=str(error), level="ERR" if error.notable else "DBG"
        )
    if limit.cancelled_caught:
        return TurnedAway(reason=CloseReason.TLS_HANDSHAKE_FAILURE, text=TIMEOUT_TEXT, level="DBG")
    return Secured(session=session, greeted=progress.greeted)


async def _throttled(stream: ByteStream, *, within_s: float) -> TurnedAway:
    await _greet(stream, f"-ERR '{errors.CONNECTION_THROTTLING_IS_ACTIVE}'\r\n".encode(), within_s=within_s)
    return TurnedAway(reason=CloseReason.MAXIMUM_CONNECTIONS_EXCEEDED, text="", level="DBG")


def _failure(reason: str) -> TurnedAway:
    return TurnedAway(reason=CloseReason.TLS_HANDSHAKE_FAILURE, text=str(TlsHandshakeError(reason)), level="ERR")
