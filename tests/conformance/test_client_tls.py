"""TLS of the client listener: INFO first, handshake first, both kinds on one port, and what is refused."""

from __future__ import annotations

import ssl

import pytest
import trio

from tests.conftest import Dial, StartServer
from tests.kit.certificates import Certificate, CertificateAuthority
from tests.kit.rawclient import RawClient, open_connection
from tests.kit.servers import Server


@pytest.fixture(scope="module")
def server_certificate(authority: CertificateAuthority) -> Certificate:
    return authority.issue_server()


@pytest.fixture(scope="module")
def client_certificate(authority: CertificateAuthority) -> Certificate:
    return authority.issue("tls-client", subject=(("CN", "client"),))


@pytest.fixture
def tls_server(shared_server: StartServer, server_certificate: Certificate, authority: CertificateAuthority) -> Dial:
    """`tls_server(top_level_lines, block_lines)`: a server with a `tls` block."""

    def start(block: str = "", *, top: str = "") -> Server:
        return shared_server(f"""
            {top}
            tls {{
              cert_file: "{server_certificate.cert_file}"
              key_file: "{server_certificate.key_file}"
              ca_file: "{authority.ca_file}"
              {block}
            }}""")

    return start


async def silent_for(server: Server, *, seconds: float) -> bytes:
    """What a fresh connection receives in that time without sending anything."""
    client = RawClient(await open_connection(server))
    try:
        return await client.receive_raw(within_s=seconds)
    finally:
        await client.aclose()


async def test_info_comes_in_clear_then_tls(tls_server: Dial, dial: Dial, authority: CertificateAuthority) -> None:
    """Checklist 62."""
    c = await dial(tls_server(), tls=authority.client_context())
    assert c.info["tls_required"] is True
    assert "tls_available" not in c.info and "tls_verify" not in c.info
    await c.connect(protocol=1)
    await c.subscribe("tls.first")
    await c.send(b"PUB tls.first 2\r\nhi\r\n")
    await c.expect(b"MSG tls.first 1 2\r\nhi\r\n")


async def test_large_messages_cross_tls_in_both_directions(
    tls_server: Dial, dial: Dial, authority: CertificateAuthority
) -> None:
    """Checklist 62."""
    server = tls_server()
    sender, receiver = [await dial(server, tls=authority.client_context()) for _ in range(2)]
    await sender.connect()
    await receiver.connect()
    await receiver.subscribe("tls.large")
    body = bytes(range(256)) * 4000
    for _ in range(4):
        await sender.publish("tls.large", body)
    for _ in range(4):
        assert (await receiver.expect_message()).payload == body


@pytest.mark.parametrize("maximum", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_versions_are_served(
    tls_server: Dial, dial: Dial, authority: CertificateAuthority, maximum: ssl.TLSVersion
) -> None:
    """Checklist 62."""
    c = await dial(tls_server(), tls=authority.client_context(maximum=maximum))
    await c.connect()


async def test_plain_bytes_to_a_tls_server_close_without_an_error(tls_server: Dial, dial: Dial) -> None:
    """Checklist 62."""
    c = await dial(tls_server())
    await c.send(b'CONNECT {"verbose":false}\r\nPING\r\n')
    seen = b""
    with trio.fail_after(10):
        while data := await c.receive_raw(within_s=10):
            seen += data
    assert b"-ERR" not in seen and b"PONG" not in seen


async def test_client_that_never_starts_tls_is_closed(tls_server: Dial, dial: Dial) -> None:
    """Checklist 62."""
    c = await dial(tls_server('timeout: "300ms"'))
    await c.expect_closed()


async def test_required_client_certificate_is_announced_and_demanded(
    tls_server: Dial, dial: Dial, authority: CertificateAuthority, client_certificate: Certificate
) -> None:
    """Checklist 62."""
    server = tls_server("verify: true")
    c = await dial(server, tls=authority.client_context(client_certificate))
    assert c.info["tls_verify"] is True
    await c.connect()
    stranger = await dial(server, tls=authority.client_context())  # TLS 1.3: the refusal comes after our handshake
    await stranger.send(b"PING\r\n")
    await stranger.expect_closed()


async def test_handshake_first_sends_nothing_before_tls(
    tls_server: Dial, dial: Dial, authority: CertificateAuthority
) -> None:
    """Checklist 62."""
    server = tls_server("handshake_first: true")
    assert await silent_for(server, seconds=0.4) == b""
    c = await dial(server, tls=authority.client_context(), tls_first=True)
    assert c.info["tls_required"] is True
    await c.connect()


async def test_handshake_first_auto_serves_both_orders(
    tls_server: Dial, dial: Dial, authority: CertificateAuthority
) -> None:
    """Checklist 62."""
    server = tls_server("handshake_first: auto")
    first = await dial(server, tls=authority.client_context(), tls_first=True)
    await first.connect()
    later = await dial(server, tls=authority.client_context())
    await later.connect()


async def test_handshake_first_delay_is_how_long_the_server_waits(
    tls_server: Dial, dial: Dial, authority: CertificateAuthority
) -> None:
    """Checklist 62."""
    server = tls_server('handshake_first: "300ms"')
    began = trio.current_time()
    c = await dial(server, tls=authority.client_context())
    assert trio.current_time() - began > 0.25
    await c.connect()
    first = await dial(server, tls=authority.client_context(), tls_first=True)
    await first.connect()


async def test_allow_non_tls_serves_both_kinds_on_one_port(
    tls_server: Dial, dial: Dial, authority: CertificateAuthority
) -> None:
    """Checklist 63."""
    server = tls_server(top="allow_non_tls: true")
    plain = await dial(server)
    assert plain.info["tls_available"] is True
    assert "tls_required" not in plain.info
    await plain.connect()
    secure = await dial(server, tls=authority.client_context())
    await secure.connect()
    await secure.subscribe("both.kinds")
    await plain.publish("both.kinds", b"hi")
    await secure.expect(b"MSG both.kinds 1 2\r\nhi\r\n")


async def test_allow_non_tls_serves_a_client_that_never_says_connect(tls_server: Dial, dial: Dial) -> None:
    """Checklist 63."""
    c = await dial(tls_server(top="allow_non_tls: true"))
    await c.send(b"PING\r\n")
    await c.expect(b"PONG\r\n")


@pytest.mark.parametrize("first", ["true", '"300ms"'])
async def test_who_begins_with_tls_is_told_that_it_is_required(
    tls_server: Dial, dial: Dial, authority: CertificateAuthority, first: str
) -> None:
    """Checklist 63."""
    server = tls_server(f"handshake_first: {first}", top="allow_non_tls: true")
    c = await dial(server, tls=authority.client_context(), tls_first=True)
    assert (c.info["tls_required"], c.info["tls_available"]) == (True, True)
    await c.connect(protocol=1)
    assert "tls_required" not in c.info and c.info["tls_available"] is True


async def test_who_waits_for_info_is_told_that_tls_is_available(
    tls_server: Dial, dial: Dial, authority: CertificateAuthority
) -> None:
    """Checklist 63."""
    c = await dial(tls_server('handshake_first: "300ms"', top="allow_non_tls: true"))
    assert "tls_required" not in c.info and c.info["tls_available"] is True
    await c.connect()
