"""The challenge that INFO carries and clients sign (reference: security 2.3)."""

from __future__ import annotations

import base64
from typing import Final

NONCE_ENTROPY_BYTES: Final = 11
NONCE_CHARS: Final = 15


def encode_nonce(entropy: bytes) -> bytes:
    """The 15 ASCII characters of a nonce from 11 random bytes. The text itself is what gets signed."""
    if len(entropy) != NONCE_ENTROPY_BYTES:
        raise ValueError(f"a nonce is made of {NONCE_ENTROPY_BYTES} bytes, found {len(entropy)}")
    return base64.urlsafe_b64encode(entropy).rstrip(b"=")
