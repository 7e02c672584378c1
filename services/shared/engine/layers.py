"""What lies between a socket and the protocol on a connection to another server: sessions of TLS and S2."""

from __future__ import annotations

from typing import TypeAlias

from services.shared.engine import _native
from services.shared.records.record import record

TlsSession: TypeAlias = _native.TlsSession
S2Session: TypeAlias = _native.S2Session
S2Error: TypeAlias = _native.S2Error


@record
class Layers:
    """The sessions that a handshake agreed (`runtime.layered_stream`); the engine takes what is in them.

    `received` was read from the socket already, where there are no sessions that keep it.
    """

    received: bytes = b""
    tls: TlsSession | None = None
    s2: S2Session | None = None
