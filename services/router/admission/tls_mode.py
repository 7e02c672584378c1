"""In which order INFO and the TLS handshake come, decided step by step from what the client has sent.

Promise: the variants of wire protocol 1.16, each a `TlsMode`; `next_step` says what to do now. Invariants: no step
repeats, so every opening ends in SHAKE_HANDS or STAY_CLEAR. Deliberately absent: sockets and clocks
(`tls_handshake_loop`), the handshake itself (`services.shared.runtime.tls`).
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from services.shared.config.options import TlsOptions
from services.shared.records.record import record

HANDSHAKE_RECORD: Final = 0x16
"""First byte of a TLS client's first record."""


class Step(Enum):
    """What to do now."""

    GREET = "send INFO in clear"
    AWAIT_HELLO = "wait for first bytes, before INFO"
    AWAIT_CHOICE = "wait for first bytes, after INFO"
    UNWRAP = "read the PROXY header, which precedes whatever the client itself sends"
    SHAKE_HANDS = "do the TLS handshake"
    STAY_CLEAR = "go on without TLS"


@record
class TlsMode:
    """How a listener opens its connections.

    `hello_first_ns`: None sends INFO first; 0 wants TLS before anything is sent; more waits that long for a client that
    begins with TLS, then sends INFO first. `clear_allowed` lets clients go on without TLS after INFO. `proxied`: the
    connection may begin with a PROXY header.
    """

    hello_first_ns: int | None = None
    clear_allowed: bool = False
    proxied: bool = False


TLS_AT_ONCE: Final = TlsMode(hello_first_ns=0)
"""Routes, gateways and WebSocket: TLS comes before everything."""


@record
class Progress:
    """What has happened: INFO sent, waits over, PROXY header taken off, bytes received since."""

    greeted: bool = False
    unwrapped: bool = False
    waited_for_hello: bool = False
    waited_for_choice: bool = False
    received: bytes = b""


def tls_mode(tls: TlsOptions, *, allow_non_tls: bool, proxied: bool) -> TlsMode:
    """The mode that the options of the client listener ask for."""
    return TlsMode(hello_first_ns=tls.handshake_first_delay_ns, clear_allowed=allow_non_tls, proxied=proxied)


def next_step(mode: TlsMode, progress: Progress) -> Step:
    """What to do now (reference: wire protocol 1.16)."""
    if progress.greeted:
        return _after_info(mode, progress)
    if mode.hello_first_ns is None:
        return Step.GREET
    if mode.hello_first_ns == 0 or progress.received or progress.unwrapped:
        # Whatever they are: only a client that begins with TLS sends anything before INFO.
        return Step.UNWRAP if mode.proxied and not progress.unwrapped else Step.SHAKE_HANDS
    return Step.GREET if progress.waited_for_hello else Step.AWAIT_HELLO


def _after_info(mode: TlsMode, progress: Progress) -> Step:
    if mode.proxied and not progress.unwrapped:
        return Step.UNWRAP
    if not mode.clear_allowed:
        return Step.SHAKE_HANDS
    if progress.received:
        return Step.SHAKE_HANDS if progress.received[0] == HANDSHAKE_RECORD else Step.STAY_CLEAR
    return Step.STAY_CLEAR if progress.waited_for_choice else Step.AWAIT_CHOICE
