"""Brings connections up whose NATS bytes do not go straight over the socket: TLS, WebSocket, or both.

One task a connection, under time limits; at the end the connection is the engine's or closed.
"""

from __future__ import annotations

import os
import socket
import time
from typing import Final

import trio

from services.router.admission.directory import Listener
from services.router.admission.nonces import NONCE_ENTROPY_BYTES
from services.router.admission.proxy_header import ProxyHeaderError
from services.router.admission.proxy_header_loop import unwrap
from services.router.admission.tls_handshake_loop import InClear, Secured, TlsEntrance, TurnedAway, open_tls
from services.router.newcomers import Newcomer
from services.router.reception import PLAIN, Reception
from services.router.websocket.upgrade import Accepted, UpgradeRules
from services.router.websocket.upgrade_loop import upgrade
from services.shared.engine.forwarding import WebsocketLayer
from services.shared.identity.errors import CertificateError
from services.shared.records.record import record, replace
from services.shared.runtime.tls import SecureStream, TlsError
from services.shared.telemetry.log import Logger
from services.shared.wire.close_reasons import CloseReason

BROWSER_FRAME_BYTES: Final = 4096
"""Largest frame sent to a browser (reference: wire protocol 5.2)."""


@record
class Entrance:
    """How connections of one listener come up. `tls` of None is without; `upgrade` is set for WebSocket.

    `proxied`: a PROXY header may say whom a connection is for.
    """

    listener: Listener
    tls: TlsEntrance | None
    upgrade: UpgradeRules | None
    max_payload_bytes: int
    proxied: bool = False


class Porter:
    """Brings up the connections of one listener. A reload replaces the entrance for those who come after it."""

    __slots__ = ("_log", "_reception", "entrance")

    def __init__(self, *, entrance: Entrance, reception: Reception, log: Logger) -> None:
        self.entrance = entrance
        self._reception = reception
        self._log = log

    async def bring_up(self, connection: socket.socket, ip: str, port: int) -> None:
        """Hands the connection over to the engine, or closes it."""
        with connection:
            try:
                if self.entrance.upgrade is None:
                    await self._client(connection, ip, port)
                else:
                    await self._websocket(connection, self.entrance.upgrade, ip, port)
            except (OSError, TlsError) as error:
                self._log.debug(f"{ip}:{port} - lost while it came up: {error}")
            except CertificateError as error:
                self._log.error(f"{ip}:{port} - TLS handshake error: {error}")

    async def _client(self, connection: socket.socket, ip: str, port: int) -> None:
        newcomer = self._newcomer(ip, port)
        # For whom somebody else connects, the header will tell.
        greeting = self._reception.greeting(replace(newcomer, ip="") if self.entrance.proxied else newcomer)
        try:
            opening = await self._open(connection, newcomer, greeting)
        except ProxyHeaderError as error:
            self._log.warn(f"Error reading PROXY protocol header from {ip}:{port}: {error}")
            self._reception.lost(newcomer, CloseReason.PROTOCOL_VIOLATION, now_ns=time.time_ns())
            return
        if opening is None:
            return
        if opening.source is not None:
            newcomer = replace(newcomer, ip=opening.source.ip, port=opening.source.port)
        if isinstance(opening, InClear):
            self._reception.hand_over(connection, newcomer, greeting=b"", received=opening.received)
            return
        layers = replace(self._reception.layers(opening.session, newcomer.listener), tls_first=not opening.greeted)
        newcomer = self._reception.through(newcomer, layers)
        if self._log.debugs:
            self._log.debug(f"{newcomer.log_prefix} - TLS handshake complete")
            version, suite = newcomer.tls_version, newcomer.tls_cipher
            self._log.debug(f"{newcomer.log_prefix} - TLS version {version}, cipher suite {suite}")
        owed = b"" if opening.greeted else self._reception.greeting(newcomer)
        self._reception.hand_over(connection, newcomer, greeting=owed, layers=layers)

    async def _open(self, connection: socket.socket, newcomer: Newcomer, greeting: bytes) -> Secured | InClear | None:
        if self.entrance.tls is not None:
            return await self._secure(connection, newcomer, greeting)
        unwrapped = await unwrap(trio.socket.from_stdlib_socket(connection), greeting=greeting)
        return InClear(received=unwrapped.rest, source=unwrapped.source)

    async def _websocket(self, connection: socket.socket, rules: UpgradeRules, ip: str, port: int) -> None:
        newcomer = self._newcomer(ip, port)
        layers, session = PLAIN, None
        if self.entrance.tls is not None:
            secured = await self._secure(connection, newcomer, b"")
            if not isinstance(secured, Secured):
                return
            session = secured.session
            layers = self._reception.layers(session, newcomer.listener)
        stream = trio.socket.from_stdlib_socket(connection)
        outcome = await upgrade(stream if session is None else SecureStream(stream, session), rules)
        if isinstance(outcome, str):
            self._log.error(f"{newcomer.log_prefix} - websocket handshake error: {outcome}")
            return
        layers = replace(
            layers,
            websocket=_layer(outcome, message_bytes_max=self.entrance.max_payload_bytes),
            cookies=outcome.cookies,
            client_ip=outcome.client_ip,
        )
        newcomer = self._reception.through(newcomer, layers)
        greeting = self._reception.greeting(newcomer)
        self._reception.hand_over(connection, newcomer, greeting=greeting, layers=layers)

    def _newcomer(self, ip: str, port: int) -> Newcomer:
        return self._reception.newcomer(
            self.entrance.listener, ip, port, entropy=os.urandom(NONCE_ENTROPY_BYTES), now_ns=time.time_ns()
        )

    async def _secure(self, connection: socket.socket, newcomer: Newcomer, greeting: bytes) -> Secured | InClear | None:
        assert self.entrance.tls is not None

        def begins() -> None:
            if newcomer.listener is Listener.CLIENT:
                self._log.debug(f"{newcomer.log_prefix} - Starting TLS client connection handshake")

        opening = await open_tls(
            connection, self.entrance.tls, greeting=greeting, now_ns=time.monotonic_ns, begins=begins
        )
        if isinstance(opening, TurnedAway):
            if opening.text:
                write = self._log.error if opening.level == "ERR" else self._log.debug
                write(f"{newcomer.log_prefix} - {opening.text}")
            if newcomer.listener is Listener.CLIENT:
                self._reception.lost(newcomer, opening.reason, now_ns=time.time_ns())
            return None
        return opening


def _layer(agreed: Accepted, *, message_bytes_max: int) -> WebsocketLayer:
    return WebsocketLayer(
        compress=agreed.compress,
        masked_input=not agreed.no_masking,
        frame_bytes_max=BROWSER_FRAME_BYTES if agreed.browser else None,
        fragment_compressed=agreed.fragment_compressed,
        message_bytes_max=message_bytes_max,
    )
