"""TLS of the monitoring port: versions, suites and curves are those of the `tls` block; nobody needs a certificate."""

from __future__ import annotations

import ssl

import httpx
import pytest

from tests.conftest import StartServer
from tests.kit import monitoring
from tests.kit.certificates import Certificate, CertificateAuthority
from tests.kit.servers import Server

AES_128, AES_256 = "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"


@pytest.fixture(scope="module")
def server_certificate(authority: CertificateAuthority) -> Certificate:
    return authority.issue_server()


def start(shared_server: StartServer, certificate: Certificate, block: str) -> Server:
    return shared_server(f"""
        https: "127.0.0.1:-1"
        tls {{ cert_file: "{certificate.cert_file}", key_file: "{certificate.key_file}", {block} }}
    """)


def client(authority: CertificateAuthority, *, suite: str = "", curve: str = "") -> ssl.SSLContext:
    """A client that knows this suite of TLS 1.2 only, or this curve of TLS 1.3 only."""
    context = authority.client_context()
    if suite:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(suite)
    if curve:
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_ecdh_curve(curve)
    return context


@pytest.mark.parametrize(
    ("block", "suite", "curve"),
    [
        ('cipher_suites: ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]', AES_256, ""),
        ('cipher_suites: ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]', "", "prime256v1"),
        ('cipher_suites: ["TLS_AES_128_GCM_SHA256"]', "", "prime256v1"),
        ('curve_preferences: ["CurveP384"]', "", "secp384r1"),
        ("handshake_first: true", AES_128, ""),
    ],
)
async def test_what_the_block_allows_is_served(
    shared_server: StartServer, authority: CertificateAuthority, server_certificate: Certificate,
    block: str, suite: str, curve: str,
) -> None:  # fmt: skip
    server = start(shared_server, server_certificate, block)
    page = await monitoring.get(server, "/healthz", tls=client(authority, suite=suite, curve=curve))
    assert page.json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("block", "suite", "curve"),
    [
        ('cipher_suites: ["TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"]', AES_128, ""),
        ('cipher_suites: ["TLS_AES_128_GCM_SHA256"]', AES_128, ""),
        ('min_version: "1.3"', AES_128, ""),
        ('curve_preferences: ["CurveP384"]', "", "prime256v1"),
    ],
)
async def test_what_the_block_does_not_allow_is_refused(
    shared_server: StartServer, authority: CertificateAuthority, server_certificate: Certificate,
    block: str, suite: str, curve: str,
) -> None:  # fmt: skip
    server = start(shared_server, server_certificate, block)
    with pytest.raises(httpx.ConnectError):
        await monitoring.get(server, "/healthz", tls=client(authority, suite=suite, curve=curve))
