"""Recognises public nkeys: base32 of a prefix byte, 32 key bytes and a CRC-16 (reference: security 2.1).

Only the shape is checked here, which is all a configuration file needs; signatures belong to `identity`.
"""

from __future__ import annotations

from typing import Final

ACCOUNT_PREFIX: Final = 0
USER_PREFIX: Final = 20 << 3
_TEXT_LENGTH: Final = 56
_KEY_BYTES: Final = 35


def is_public_user_key(text: str) -> bool:
    """True for `U...` keys."""
    return _is_public_key(text, USER_PREFIX)


def is_public_account_key(text: str) -> bool:
    """True for `A...` keys."""
    return _is_public_key(text, ACCOUNT_PREFIX)


def _is_public_key(text: str, prefix: int) -> bool:
    from base64 import b32decode  # Only files with nkeys pay for it.

    if len(text) != _TEXT_LENGTH or not text.isascii():
        return False
    try:
        raw = b32decode(text)
    except ValueError:
        return False
    if len(raw) != _KEY_BYTES:
        return False
    return raw[0] == prefix and _crc16(raw[:-2]) == int.from_bytes(raw[-2:], "little")


def _crc16(data: bytes) -> int:
    """CRC-16/XMODEM."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ (0x1021 if crc & 0x8000 else 0)
        crc &= 0xFFFF
    return crc
