"""Proxies in front of clients: which trusted one a CONNECT came through (reference: security 1.11).

A proxy signs the nonce of the INFO that it was given with a key that the configuration trusts, and adds the signature to
the CONNECT that it passes on. Pure. Not to be confused with the PROXY protocol (`proxy_header`), which names an address and
proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.shared.identity.nkeys import decode_raw_url, verify
from services.shared.records.record import record


@record
class Untrusted:
    """A signature that no trusted proxy has made; `debug_texts` are for the log."""

    debug_texts: tuple[str, ...]


def signing_proxy(signature: str, *, nonce: bytes, trusted: Sequence[str]) -> str | Untrusted:
    """The trusted key that made `signature` over `nonce`. Whoever was given no nonce has signed nothing."""
    decoded = decode_raw_url(signature)
    if decoded is None:
        return Untrusted(debug_texts=("Proxy signature not valid base64", "proxy is not trusted"))
    if nonce:
        for key in trusted:
            if verify(key, message=nonce, signature=decoded):
                return key
    return Untrusted(debug_texts=("proxy is not trusted",))
