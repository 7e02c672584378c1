"""Drives the handshake of one route over its socket: TLS where it is configured, then the machine of `handshake`.

Time limits are the caller's cancel scopes, but for that of TLS and for the moment in which a refused peer may read why.
"""

from __future__ import annotations

from functools import partial
from typing import Final, TypeAlias, assert_never

import trio

from services.shared.config.addresses import is_ip_address
from services.shared.config.options import DEFAULT_RTT_THRESHOLDS_NS
from services.shared.identity.certificates import read_certificate
from services.shared.identity.errors import CertificateError
from services.shared.member.routes.handshake import (
    AcceptedHandshake,
    CheckPassword,
    Compress,
    DialledHandshake,
    Failed,
    Joined,
)
from services.shared.member.vouching import Vouching
from services.shared.records.record import record
from services.shared.runtime.layered_stream import LayeredStream
from services.shared.runtime.tls import TlsClient, TlsHandshakeError, TlsServer, TlsSession

FAREWELL_S: Final = 0.2
"""How long a refused peer may take to read why."""

Dialled: TypeAlias = "Joined | Failed | str"
"""The outcome of a handshake: a text where the connection was lost first."""

TLS_TIMEOUT: Final = "TLS route handshake error: i/o timeout"


@record
class RouteLayers:
    """What routes have under their protocol. `server` and `client` are None without TLS.

    `tls_name` is the name that a peer which is dialled by its address must show, if there is one. `vouching` decides by the
    certificate who may come, None where credentials do.
    """

    rtt_thresholds_ns: tuple[int, ...] = DEFAULT_RTT_THRESHOLDS_NS
    server: TlsServer | None = None
    client: TlsClient | None = None
    tls_timeout_s: float = 0.0
    vouching: Vouching | None = None
    tls_name: str = ""

    @property
    def secure(self) -> bool:
        """Whether routes are encrypted."""
        return self.server is not None

    def accept(self) -> TlsSession | None:
        """The session of a connection that was accepted."""
        return None if self.server is None else self.server.accept()

    def vouched(self, session: TlsSession | None) -> bool | None:
        """Whether the certificate of a server that came lets it in; None where certificates do not decide that."""
        if self.vouching is None:
            return None
        der = session.peer_certificate_der if session is not None else None
        try:
            return der is not None and self.vouching.vouches(read_certificate(der))
        except CertificateError:
            return False

    def dial(self, host: str) -> TlsSession | None:
        """The session of a connection that was dialled."""
        if self.client is None:
            return None
        # Other servers tell each other addresses, which certificates seldom have.
        return self.client.dial(self.tls_name if self.tls_name and is_ip_address(host) else host)


async def secure(stream: LayeredStream, session: TlsSession | None, layers: RouteLayers) -> str:
    """Puts TLS over a connection where it is configured; returns what went wrong, empty when nothing did."""
    if session is None:
        return ""
    try:
        with trio.move_on_after(layers.tls_timeout_s) as limit:
            await stream.secure(session)
    except TlsHandshakeError as error:
        return f"TLS route handshake error: {error.reason}"
    return TLS_TIMEOUT if limit.cancelled_caught else ""


async def shake_hands(
    stream: LayeredStream, handshake: AcceptedHandshake | DialledHandshake, layers: RouteLayers
) -> Dialled:
    """Drives a handshake to its outcome."""
    try:
        while True:
            await _send_output(stream, handshake)
            data = await stream.recv()
            if not data:
                return "the peer closed the connection"
            step = handshake.receive(data)
            while isinstance(step, Compress | CheckPassword):
                await _send_output(stream, handshake)
                match step:
                    case Compress():
                        data = stream.compress(step.mode, layers.rtt_thresholds_ns, step.received)
                        await stream.send(step.greeting)
                        step = handshake.receive(data)
                    case CheckPassword():
                        assert isinstance(handshake, AcceptedHandshake), "whoever dials checks nobody"
                        step = handshake.checked(await _matches(step))
                    case _:
                        assert_never(step)
            if step is not None:
                await _send_output(stream, handshake)
                return step
    except OSError as error:
        return os_text(error)


async def _matches(check: CheckPassword) -> bool:
    # bcrypt takes its time on purpose, and is loaded only where somebody uses it.
    from services.shared.identity.passwords import matches_bcrypt

    return await trio.to_thread.run_sync(
        partial(matches_bcrypt, stored=check.hash, given=check.given), abandon_on_cancel=True
    )  # fmt: skip


async def refuse(stream: LayeredStream, text: str) -> None:
    """Tells a peer why it may not join, and gives it a moment to read that."""
    try:
        with trio.move_on_after(FAREWELL_S):
            await stream.send(f"-ERR '{text}'\r\n".encode())
            await stream.finish()
            # What still comes is read away, or the peer would lose what it was told.
            while await stream.recv():
                pass
    except OSError:
        pass  # it is gone already


async def _send_output(stream: LayeredStream, handshake: AcceptedHandshake | DialledHandshake) -> None:
    data, handshake.output = handshake.output, b""
    await stream.send(data)


def os_text(error: OSError) -> str:
    """What the system says of a connection that failed."""
    cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
    text = cause.strerror or str(cause)
    return f"connect: {text[:1].lower()}{text[1:]}" if isinstance(cause, ConnectionRefusedError) else text
