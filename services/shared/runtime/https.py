"""TLS of HTTP ports on asyncio: certificates from a `tls` block; nobody needs one to look (reference: operations 6.1).

Promise: versions, cipher suites and curves are those of the block, or fewer. Of several curves only the first that the
library has is offered, since the library takes one.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from typing import Final

from services.shared.config.options import TlsOptions

_VERSIONS: Final = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_SUITES: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
"""Suites of TLS 1.2 under the library's names. Those of TLS 1.3 cannot be chosen, as with nats-server."""
_CURVES: Final = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1"}
"""Curves that the library names in another way."""


def build_tls_context(options: TlsOptions) -> ssl.SSLContext:
    """Reads the files of a `tls` block; raises OSError or ValueError when they cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS.get(options.min_version, ssl.TLSVersion.TLSv1_2)
    if options.cipher_suites:
        _choose_suites(context, options.cipher_suites)
    if options.curve_preferences:
        _choose_curve(context, options.curve_preferences)
    for certificate in options.certificates:
        context.load_cert_chain(certificate.cert_file, certificate.key_file)
    return context


def _choose_suites(context: ssl.SSLContext, suites: Sequence[str]) -> None:
    named = [_SUITES[suite] for suite in suites if suite in _SUITES]
    if named:
        context.set_ciphers(":".join(named))
    else:
        # None for TLS 1.2 means that it is not spoken.
        context.minimum_version = ssl.TLSVersion.TLSv1_3


def _choose_curve(context: ssl.SSLContext, curves: Sequence[str]) -> None:
    for curve in curves:
        try:
            context.set_ecdh_curve(_CURVES.get(curve, curve))
        except ValueError:
            continue
        return
    raise ValueError(f"curve_preferences has nothing that the HTTPS port could offer: {', '.join(curves)}")
