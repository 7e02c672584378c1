"""Waits for the PROXY header of a connection, for a limited time."""

from __future__ import annotations

from typing import Final

import trio

from services.router.admission.proxy_header import Incomplete, ProxyHeaderError, Unwrapped, read_proxy_header
from services.shared.runtime.tls import READ_BYTES, ByteStream, send_all

HEADER_WITHIN_S: Final = 5.0


async def unwrap(stream: ByteStream, *, greeting: bytes = b"", received: bytes = b"") -> Unwrapped:
    """Sends the greeting, then reads on from `received` until it is known whom the connection is for.

    Raises ProxyHeaderError for a header that cannot be used and for one that does not come, OSError when the peer is lost.
    """
    seen = bytearray(received)
    lacking = "protocol version"
    with trio.move_on_after(HEADER_WITHIN_S):
        if greeting:
            await send_all(stream, greeting)
        while True:
            outcome = read_proxy_header(seen)
            if not isinstance(outcome, Incomplete):
                return outcome
            lacking = outcome.lacking
            data = await stream.recv(READ_BYTES)
            if not data:
                raise ProxyHeaderError(f"failed to read {lacking}: EOF")
            seen += data
    raise ProxyHeaderError(f"failed to read {lacking}: i/o timeout")
