"""How many TLS handshakes a second a listener takes on (`connection_rate_limit`, reference: security 10.3).

Promise: at most `limit` handshakes in any window of a second; windows begin with a handshake, not with the clock.
Deliberately absent: waiting, and the log line about those that were rejected (`tls_rate_loop`).
"""

from __future__ import annotations

from typing import Final

WINDOW_NS: Final = 1_000_000_000


class HandshakeRate:
    """Counts handshakes against a limit and remembers how many it rejected."""

    __slots__ = ("_count", "_limit", "_rejected", "_window_end_ns")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._count = 0
        self._rejected = 0
        self._window_end_ns = 0

    def allow(self, *, now_ns: int) -> bool:
        """Whether one more handshake may begin now. A refusal is counted."""
        if now_ns >= self._window_end_ns:
            self._window_end_ns = now_ns + WINDOW_NS
            self._count = 0
        if self._count >= self._limit:
            self._rejected += 1
            return False
        self._count += 1
        return True

    def take_rejected(self) -> int:
        """How many were refused since the last call."""
        rejected, self._rejected = self._rejected, 0
        return rejected


def rejected_text(rejected: int) -> str:
    """The warning about refused connections."""
    return f"Rejected {rejected} connections due to TLS rate limiting"
