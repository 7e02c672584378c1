"""What happens to a connection between its arrival and its hand-over to the engine.

Plain connections never come here: the engine accepts and greets them itself (ADR-0003). Those with TLS or WebSocket below
NATS are brought up by tasks of the control plane first, each under a time limit, then greeted and handed over.
"""

from __future__ import annotations

from typing import Final, Protocol

from services.router.admission.desk import Desk
from services.router.admission.directory import Listener
from services.router.admission.nonces import encode_nonce
from services.router.closed_ring import Closed, ClosedRing
from services.router.newcomers import CONNECTION_TYPES, Newcomer, unsettled_note_text
from services.router.websocket.cookies import NO_CREDENTIALS, CookieCredentials
from services.shared.engine.forwarding import Forwarding, WebsocketLayer
from services.shared.engine.layers import TlsSession
from services.shared.identity.certificates import PeerCertificate
from services.shared.records.record import record, replace
from services.shared.telemetry.log import Logger
from services.shared.wire import errors
from services.shared.wire.close_reasons import CloseReason


@record
class Layers:
    """What was agreed below NATS before the hand-over."""

    websocket: WebsocketLayer | None = None
    tls: TlsSession | None = None
    certificate: PeerCertificate | None = None
    tls_version: str = ""
    tls_cipher: str = ""
    tls_first: bool = False
    cookies: CookieCredentials = NO_CREDENTIALS
    client_ip: str = ""


PLAIN: Final = Layers()


class Detachable(Protocol):
    """A connected socket, of which only one thing is wanted here."""

    def detach(self) -> int:
        """Gives the descriptor away."""


class Reception:
    """Greets connections and hands them over."""

    __slots__ = ("_desk", "_engine", "_log", "_ring")

    def __init__(self, *, engine: Forwarding, desk: Desk, ring: ClosedRing, log: Logger) -> None:
        self._ring = ring
        self._engine = engine
        self._desk = desk
        self._log = log

    def newcomer(self, listener: Listener, ip: str, port: int, *, entropy: bytes, now_ns: int) -> Newcomer:
        """A connection gets its number and, of `entropy`, its challenge. `now_ns` is wall-clock time."""
        nonce = encode_nonce(entropy) if self._desk.rules.directory.nonce_required else b""
        newcomer = Newcomer(
            cid=self._engine.next_cid(),
            listener=listener,
            connection_type=CONNECTION_TYPES[listener],
            ip=ip,
            port=port,
            nonce=nonce,
            started_ns=now_ns,
        )
        if self._log.debugs:
            self._log.debug(f"{newcomer.log_prefix} - Client connection created")
        return newcomer

    def layers(self, session: TlsSession, listener: Listener) -> Layers:
        """What a finished TLS handshake says about the peer."""
        certificate = None
        der = session.peer_certificate_der
        if der is not None and self._desk.rules.directory.listeners[listener].map_certificates:
            # The package that reads certificates is large; only these listeners need it.
            from services.shared.identity.certificates import read_certificate

            certificate = read_certificate(der)
        return Layers(
            tls=session, certificate=certificate, tls_version=session.version or "", tls_cipher=session.cipher or ""
        )

    def through(self, newcomer: Newcomer, layers: Layers) -> Newcomer:
        """The newcomer with what its layers have told about it."""
        return replace(
            newcomer,
            ip=layers.client_ip or newcomer.ip,
            certificate=layers.certificate,
            tls_version=layers.tls_version,
            tls_cipher=layers.tls_cipher,
            tls_first=layers.tls_first,
            cookies=layers.cookies,
        )

    def greeting(self, newcomer: Newcomer) -> bytes:
        """The first INFO."""
        template = self._desk.rules.templates[newcomer.listener]
        return template.first(
            client_id=newcomer.cid, client_ip=newcomer.ip, nonce=newcomer.nonce, inside_tls=newcomer.tls_first
        )

    def lost(self, newcomer: Newcomer, reason: CloseReason, *, now_ns: int) -> None:
        """A client went away, or was sent away, before the engine had it. It counts and is remembered all the same.

        `now_ns` is wall-clock time.
        """
        self._log.debug(f"{newcomer.log_prefix} - Client connection closed: {reason.text}")
        self._ring.add_unopened(
            Closed(
                cid=newcomer.cid, account=None, reason=reason, stopped_ns=now_ns,
                note=unsettled_note_text(newcomer), subscriptions=[],
            )
        )  # fmt: skip

    def hand_over(
        self, connection: Detachable, newcomer: Newcomer, *, greeting: bytes, received: bytes = b"",
        layers: Layers = PLAIN,
    ) -> None:  # fmt: skip
        """Gives the connection to the engine; above the limit of connections only to be told so."""
        handover = self._desk.welcome(newcomer)
        self._engine.adopt(
            connection.detach(),
            handover,
            greeting=greeting,
            received=received,
            websocket=layers.websocket,
            tls=layers.tls,
        )
        if self._engine.totals()["connections"] > self._desk.rules.max_connections:
            self._log.error(f"{newcomer.log_prefix} - maximum connections exceeded")
            self._engine.close(
                newcomer.cid, CloseReason.MAXIMUM_CONNECTIONS_EXCEEDED, errors.MAXIMUM_CONNECTIONS_EXCEEDED
            )
