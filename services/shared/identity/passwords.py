"""Passwords and tokens: stored plainly or as bcrypt hashes (reference: security 1.5).

A plain secret is compared at once, in a time that tells nothing about it. A bcrypt check takes milliseconds on purpose,
so it is a separate function: callers run it where it does not hold up others.
"""

from __future__ import annotations

from typing import Final

BCRYPT_PASSWORD_BYTES: Final = 72
"""What bcrypt looks at; longer passwords count as their beginning."""

_BCRYPT_MARKS: Final = ("$2a$", "$2b$", "$2x$", "$2y$")


def is_bcrypt(stored: str) -> bool:
    """True when a stored secret is a bcrypt hash rather than the secret itself."""
    return stored.startswith(_BCRYPT_MARKS) and stored[4:6].isdecimal() and stored[4:6].isascii() and stored[6:7] == "$"


def matches_plain(*, stored: str, given: str) -> bool:
    """True when both are the same text, compared in constant time."""
    # Imported here: it brings OpenSSL's hashes along, which a node without passwords never needs.
    from hmac import compare_digest

    return compare_digest(_bytes(stored), _bytes(given))


def matches_bcrypt(*, stored: str, given: str) -> bool:
    """True when `given` hashes to `stored`. Takes milliseconds to seconds: run it in a worker thread.

    A hash that bcrypt cannot read matches nothing.
    """
    # Imported here: a native library that only hashed passwords need.
    import bcrypt

    try:
        return bcrypt.checkpw(_bytes(given)[:BCRYPT_PASSWORD_BYTES], _bytes(stored))
    except ValueError:
        return False


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
