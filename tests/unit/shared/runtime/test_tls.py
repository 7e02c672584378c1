"""TLS configurations from options, handshakes with clients of Python's ssl module, and the stream over a session."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from services.shared.config.options import TlsCertificate, TlsOptions
from services.shared.engine import _native
from services.shared.records.record import replace
from services.shared.runtime.tls import (
    SecureStream,
    TlsConfigError,
    TlsHandshakeError,
    TlsSession,
    build_tls_server,
    shake_hands,
)
from tests.kit.certificates import Certificate, CertificateAuthority
from tests.kit.tlspeer import TlsPeer

DEADLINE_S = 5
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def options(authority: CertificateAuthority) -> TlsOptions:
    served = authority.issue_server()
    pair = TlsCertificate(cert_file=str(served.cert_file), key_file=str(served.key_file))
    return TlsOptions(certificates=(pair,), ca_file=str(authority.ca_file))


@pytest.fixture(scope="module")
def client_certificate(authority: CertificateAuthority) -> Certificate:
    return authority.issue("tls-unit-client", subject=(("CN", "client"),))


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[trio.SocketStream, trio.socket.SocketType]]:
    """Both ends of a connection, within the deadline of a test."""
    client, server = trio.socket.socketpair()
    with trio.fail_after(DEADLINE_S), client, server:
        yield trio.SocketStream(client), server


async def met(
    options: TlsOptions, context: ssl.SSLContext, meet: Callable[[TlsPeer, TlsSession, trio.socket.SocketType], object]
) -> None:
    """Shakes hands on both sides, then runs `meet`."""
    session = build_tls_server(options).accept()
    async with connected() as (client, server):
        peer = TlsPeer(client, context)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(peer.handshake)
            await shake_hands(server, session)
        await meet(peer, session, server)  # type: ignore[misc]


async def refusal(options: TlsOptions, context: ssl.SSLContext) -> TlsHandshakeError:
    """The server's error when such a client comes."""
    session = build_tls_server(options).accept()
    async with connected() as (client, server):
        peer = TlsPeer(client, context)

        async def come() -> None:
            try:
                await peer.handshake()
                await peer.receive()
            except (ssl.SSLError, trio.BrokenResourceError):
                pass

        async with trio.open_nursery() as nursery:
            nursery.start_soon(come)
            with pytest.raises(TlsHandshakeError) as caught:
                await shake_hands(server, session)
            server.close()
        return caught.value


@pytest.mark.parametrize("version", VERSIONS)
async def test_handshake_names_version_cipher_and_certificate(
    options: TlsOptions, authority: CertificateAuthority, client_certificate: Certificate, version: ssl.TLSVersion
) -> None:
    async def meet(peer: TlsPeer, session: TlsSession, server: trio.socket.SocketType) -> None:
        cipher = {
            ssl.TLSVersion.TLSv1_2: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
            ssl.TLSVersion.TLSv1_3: "TLS_AES_128_GCM_SHA256",
        }
        assert session.version == version.name.removeprefix("TLSv").replace("_", ".")
        assert session.cipher == cipher[version]
        der = session.peer_certificate_der
        assert der == ssl.PEM_cert_to_DER_cert(client_certificate.cert_file.read_text())
        assert session.peer_certificates_der[0] == der
        spki = _native.spki_sha256(der)
        assert spki is not None and spki.hex() == client_certificate.spki_sha256
        assert not session.resumed

    await met(replace(options, verify=True), authority.client_context(client_certificate, maximum=version), meet)


@pytest.mark.parametrize("version", VERSIONS)
async def test_streams_carry_data_both_ways(
    options: TlsOptions, authority: CertificateAuthority, version: ssl.TLSVersion
) -> None:
    body = bytes(range(256)) * 2_000

    async def meet(peer: TlsPeer, session: TlsSession, server: trio.socket.SocketType) -> None:
        stream = SecureStream(server, session)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send, body)
            got = b""
            while len(got) < len(body):
                got += await peer.receive()
            assert got == body
        await peer.send(b"GET / HTTP/1.1\r\n\r\nmore")
        assert await stream.recv(5) == b"GET /"
        rest = await stream.recv(100)
        stream.unread(b"xx")
        assert (await stream.recv(2), rest) == (b"xx", b" HTTP/1.1\r\n\r\nmore")
        await peer.close_notify()
        assert await stream.recv(1) == b""

    await met(options, authority.client_context(maximum=version), meet)


async def test_data_right_behind_the_handshake_waits_in_the_session(
    options: TlsOptions, authority: CertificateAuthority
) -> None:
    session = build_tls_server(options).accept()
    async with connected() as (client, server):
        peer = TlsPeer(client, authority.client_context())

        async def come() -> None:
            await peer.handshake()
            await peer.send(b"CONNECT {}\r\n")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(come)
            await shake_hands(server, session)
        assert await SecureStream(server, session).recv(100) == b"CONNECT {}\r\n"


async def test_tls12_session_is_resumed(options: TlsOptions, authority: CertificateAuthority) -> None:
    server_side = build_tls_server(options)
    context = authority.client_context(maximum=ssl.TLSVersion.TLSv1_2)
    ticket = None
    for resumed in (False, True):
        session = server_side.accept()
        async with connected() as (client, server):
            peer = TlsPeer(client, context, session=ticket)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.handshake)
                await shake_hands(server, session)
            assert session.resumed is resumed
            ticket = peer.tls.session


async def test_missing_client_certificate_is_named(options: TlsOptions, authority: CertificateAuthority) -> None:
    for version in VERSIONS:
        error = await refusal(replace(options, verify_and_map=True), authority.client_context(maximum=version))
        assert str(error) == "TLS handshake error: tls: client didn't provide a certificate"
        assert error.notable


async def test_unknown_authority_is_named(options: TlsOptions, authority: CertificateAuthority, tmp_path: Path) -> None:
    stranger = CertificateAuthority(tmp_path, name="somebody else").issue("stranger", subject=(("CN", "x"),))
    error = await refusal(replace(options, verify=True), authority.client_context(stranger))
    text = "TLS handshake error: tls: failed to verify certificate: x509: certificate signed by unknown authority"
    assert str(error) == text


async def test_only_pinned_keys_pass(
    options: TlsOptions, authority: CertificateAuthority, client_certificate: Certificate
) -> None:
    pinned = replace(options, verify=True, pinned_certs=(client_certificate.spki_sha256.upper(),))

    async def meet(peer: TlsPeer, session: TlsSession, server: trio.socket.SocketType) -> None:
        assert not session.handshaking

    await met(pinned, authority.client_context(client_certificate), meet)
    other = authority.issue("tls-unit-other", subject=(("CN", "other"),))
    error = await refusal(pinned, authority.client_context(other))
    assert str(error) == "TLS handshake error: certificate not pinned"


async def test_old_clients_are_refused(options: TlsOptions, authority: CertificateAuthority) -> None:
    context = authority.client_context(maximum=ssl.TLSVersion.TLSv1_2)
    error = await refusal(replace(options, min_version="1.3"), context)
    assert str(error) == "TLS handshake error: tls: client offered only unsupported versions"


@pytest.mark.parametrize(
    ("sent", "text", "notable"),
    [
        (b"CONNECT {}\r\n", "tls: first record does not look like a TLS handshake", False),
        (b"\x16\x03\x01\xff\xff", "tls: oversized record received", True),
        (b"", "EOF", True),
        (b"\x16\x03", "unexpected EOF", True),
    ],
)
async def test_what_is_no_handshake_is_named(options: TlsOptions, sent: bytes, text: str, notable: bool) -> None:
    session = build_tls_server(options).accept()
    async with connected() as (client, server):
        if sent:
            await client.send_all(sent)
        await client.send_eof()
        with pytest.raises(TlsHandshakeError) as caught:
            await shake_hands(server, session)
        assert str(caught.value) == f"TLS handshake error: {text}"
        assert caught.value.notable is notable


def test_session_is_of_no_use_after_a_failure(options: TlsOptions) -> None:
    session = build_tls_server(options).accept()
    for _ in range(2):
        with pytest.raises(_native.NotTlsError):
            session.receive(b"GET /")
    assert session.take_output() == b""
    with pytest.raises(_native.TlsError):
        session.write_plain(b"INFO {}\r\n")


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"ca_file": "/nonexistent/ca.pem"}, "open /nonexistent/ca.pem: no such file or directory"),
        ({"cipher_suites": ("FOO",)}, "unrecognized cipher FOO"),
        ({"curve_preferences": ("CurveP999",)}, "unrecognized curve preference CurveP999"),
        ({"min_version": "1.1"}, "unsupported TLS version: TLS 1.1"),
        ({"min_version": "x"}, "unknown version: x"),
        ({"certificates": ()}, "missing 'cert_file' in TLS configuration"),
        (
            {"pinned_certs": ("ab",)},
            "'pinned_certs' key ab does not look like hex-encoded sha256 of DER encoded SubjectPublicKeyInfo",
        ),
    ],
)
def test_what_cannot_be_built_is_explained(options: TlsOptions, change: dict[str, object], text: str) -> None:
    with pytest.raises(TlsConfigError, match=f"^{text}$"):
        build_tls_server(replace(options, **change))  # type: ignore[arg-type]
