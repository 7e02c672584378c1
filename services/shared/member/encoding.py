"""Compression of answers, as far as the one who asks takes it (reference: security 8.4, Compression).

`gzip` is served; anything else that was asked for is answered plainly and says so.
"""

from __future__ import annotations

from typing import Final

_HEAD: Final = b"NATS/1.0\r\n"
_ACCEPT: Final = b"accept-encoding"


def encoded(text: bytes, *, request_headers: bytes) -> dict[str, bytes]:
    """Header block and body of an answer to a request with these headers."""
    accepted = _header(request_headers, _ACCEPT)
    if not accepted:
        return {"headers": b"", "body": text}
    if b"gzip" in accepted.lower():
        import gzip  # few ask for it

        return {"headers": _block(b"gzip"), "body": gzip.compress(text, compresslevel=5)}
    return {"headers": _block(b"identity"), "body": text}


def _block(encoding: bytes) -> bytes:
    return _HEAD + b"Content-Encoding: " + encoding + b"\r\n\r\n"


def _header(block: bytes, wanted: bytes) -> bytes:
    for line in block.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == wanted:
            return value.strip()
    return b""
