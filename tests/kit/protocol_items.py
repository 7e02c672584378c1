"""Cuts the byte stream of a NATS server into items: one control line, or one message with its payload.

Holds no socket. Any chunking of the input gives the same items; bytes are kept exactly as they came.
"""

from __future__ import annotations

LINE_BYTES_MAX = 1 << 20


class ProtocolItems:
    """Collects received bytes and yields whole protocol items, terminators included."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> None:
        """Adds bytes as they came from the wire."""
        self._pending += data

    @property
    def unfinished(self) -> bytes:
        """What was received but does not make a whole item yet."""
        return bytes(self._pending)

    def take(self) -> bytes | None:
        """Removes and returns the next whole item, or None if more bytes are needed."""
        end = self._pending.find(b"\n")
        if end < 0:
            if len(self._pending) > LINE_BYTES_MAX:
                raise AssertionError(f"no line end in {len(self._pending)} received bytes")
            return None
        size = end + 1 + _payload_bytes(bytes(self._pending[:end]))
        if len(self._pending) < size:
            return None
        item = bytes(self._pending[:size])
        del self._pending[:size]
        return item


def _payload_bytes(line: bytes) -> int:
    words = line.split()
    if words and words[0] in (b"MSG", b"HMSG", b"LMSG", b"RMSG"):
        return int(words[-1]) + 2
    return 0
