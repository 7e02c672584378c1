"""TLS of HTTP ports on asyncio: certificates from a `tls` block; nobody needs one to look (reference: operations 6.1)."""

from __future__ import annotations

import ssl
from typing import Final

from services.shared.config.options import TlsOptions

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def build_tls_context(options: TlsOptions) -> ssl.SSLContext:
    """Reads the files of a `tls` block; raises OSError or ValueError when they cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS.get(options.min_version, ssl.TLSVersion.TLSv1_2)
    for certificate in options.certificates:
        context.load_cert_chain(certificate.cert_file, certificate.key_file)
    return context
