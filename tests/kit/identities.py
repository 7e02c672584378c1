"""User nkeys for tests: a fresh key pair, and signatures in every base64 dialect a client might send."""

from __future__ import annotations

import base64
import os

import nkeys


class UserKey:
    """A fresh user nkey: `public` is the U... key, `seed` the SU... seed."""

    def __init__(self) -> None:
        self.seed = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER).decode().rstrip("=")
        self._pair = nkeys.from_seed(self.seed.encode())
        self.public = self._pair.public_key.decode()

    def sign(self, nonce: str) -> bytes:
        """The raw signature of the nonce's characters."""
        signature: bytes = self._pair.sign(nonce.encode())
        return signature

    def credentials(self, nonce: str) -> dict[str, str]:
        """The CONNECT members that prove this identity."""
        return {"nkey": self.public, "sig": raw_url(self.sign(nonce))}


def raw_url(data: bytes) -> str:
    """Base64 with the URL alphabet and without padding, as clients send signatures."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
