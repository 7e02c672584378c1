"""Compiles how connections of a listener come up from the options. Reads certificate files."""

from __future__ import annotations

from services.router.admission.directory import Listener
from services.router.admission.tls_handshake_loop import TlsEntrance
from services.router.admission.tls_mode import TLS_AT_ONCE, tls_mode
from services.router.admission.tls_rate import HandshakeRate
from services.router.entrances_loop import Entrance
from services.router.websocket.upgrade import upgrade_rules
from services.shared.config.options import Options, TlsOptions
from services.shared.runtime.tls import build_tls_server


def compile_entrance(options: Options, listener: Listener) -> Entrance:
    """The entrance of a listener; raises ValueError with the reference's text for a TLS block that cannot be used."""
    if listener is Listener.CLIENT:
        return Entrance(
            listener=listener,
            tls=None if options.tls is None else _client_tls(options.tls, options),
            upgrade=None,
            max_payload_bytes=options.max_payload_bytes,
            proxied=options.proxy_protocol,
        )
    websocket = options.websocket
    assert websocket is not None, "a WebSocket listener comes from a websocket block"
    secure = None if websocket.no_tls or websocket.tls is None else _at_once(websocket.tls)
    rules = upgrade_rules(websocket, tls=secure is not None)
    return Entrance(listener=listener, tls=secure, upgrade=rules, max_payload_bytes=options.max_payload_bytes)


def _client_tls(tls: TlsOptions, options: Options) -> TlsEntrance:
    return TlsEntrance(
        server=build_tls_server(tls),
        mode=tls_mode(tls, allow_non_tls=options.allow_non_tls, proxied=options.proxy_protocol),
        timeout_ns=tls.timeout_ns,
        rate=_rate(tls),
    )


def _at_once(tls: TlsOptions) -> TlsEntrance:
    return TlsEntrance(server=build_tls_server(tls), mode=TLS_AT_ONCE, timeout_ns=tls.timeout_ns, rate=_rate(tls))


def _rate(tls: TlsOptions) -> HandshakeRate | None:
    return HandshakeRate(tls.connection_rate_limit) if tls.connection_rate_limit > 0 else None
