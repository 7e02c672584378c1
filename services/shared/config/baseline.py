"""What a zero means: options left at zero, or set to it, get nats-server's default (reference: operations 2.1)."""

from __future__ import annotations

from typing import Any, Final

from services.shared.config.options import Options, TlsOptions
from services.shared.records.record import replace

_ZERO_IS_DEFAULT: Final = (
    "host",
    "port",
    "max_control_line_bytes",
    "max_payload_bytes",
    "max_pending_bytes",
    "max_closed_clients",
    "ping_interval_ns",
    "ping_max",
    "write_deadline_ns",
    "lame_duck_duration_ns",
    "lame_duck_grace_ns",
    "connect_error_reports",
    "reconnect_error_reports",
)


def with_defaults(options: Options) -> Options:
    """The options with defaults in place of zeros."""
    defaults = Options()
    changed: dict[str, Any] = {name: getattr(defaults, name) for name in _ZERO_IS_DEFAULT if not getattr(options, name)}
    if options.tls is not None:
        changed["tls"] = _tls_with_defaults(options.tls)
    if options.websocket is not None and options.websocket.tls is not None:
        changed["websocket"] = replace(options.websocket, tls=_tls_with_defaults(options.websocket.tls))
    return replace(options, **changed) if changed else options


def _tls_with_defaults(tls: TlsOptions) -> TlsOptions:
    return tls if tls.timeout_ns else replace(tls, timeout_ns=TlsOptions().timeout_ns)
