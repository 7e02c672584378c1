"""Certificates in views: when those of the listeners end, and what those of peers say. Reads the files of the former."""

from __future__ import annotations

from collections.abc import Sequence

from services.shared.config.options import Options, TlsOptions
from services.shared.identity.certificates import read_certificate
from services.shared.identity.errors import CertificateError
from services.shared.runtime.role_plan import CLUSTER_LISTENER, NATS_LISTENER, WEBSOCKET_LISTENER


def certificate_ends(options: Options) -> dict[str, int]:
    """The end of the first certificate of each listener with TLS, in wall-clock nanoseconds; unreadable ones are absent."""
    websocket = options.websocket
    blocks = {NATS_LISTENER: options.tls}
    if websocket is not None and websocket.port and not websocket.no_tls:
        blocks[WEBSOCKET_LISTENER] = websocket.tls
    if options.cluster is not None and options.cluster.port:
        blocks[CLUSTER_LISTENER] = options.cluster.tls
    ends = {name: _end(tls) for name, tls in blocks.items() if tls is not None}
    return {name: end for name, end in ends.items() if end is not None}


def _end(tls: TlsOptions) -> int | None:
    # A large package, for nodes with TLS only.
    from cryptography.x509 import load_pem_x509_certificates

    if not tls.certificates:
        return None
    try:
        with open(tls.certificates[0].cert_file, "rb") as file:
            leaf = load_pem_x509_certificates(file.read())[0]
    except (OSError, ValueError):
        return None
    return int(leaf.not_valid_after_utc.timestamp()) * 1_000_000_000


def shown_certificates(chain: Sequence[bytes]) -> list[dict[str, str]]:
    """The members of `tls_peer_certs`; one that cannot be read is listed with nothing in it."""
    return [_shown(der) for der in chain]


def _shown(der: bytes) -> dict[str, str]:
    try:
        read = read_certificate(der)
    except CertificateError:
        return {"subject": "", "spki_sha256": "", "cert_sha256": ""}
    return {"subject": read.subject, "spki_sha256": read.spki_sha256, "cert_sha256": read.cert_sha256}
