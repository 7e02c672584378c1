"""PROXY protocol: a load balancer in front says whom it connects for (reference: wire protocol 7)."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest

from tests.conftest import StartServer
from tests.kit import monitoring
from tests.kit.certificates import Certificate, CertificateAuthority
from tests.kit.eventually import eventually
from tests.kit.rawclient import RawClient, open_connection
from tests.kit.servers import Server

LINE = b"PROXY TCP4 192.0.2.7 192.0.2.8 1111 4222\r\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def binary(first: int, kind: int, block: bytes) -> bytes:
    return SIGNATURE + bytes((first, kind)) + struct.pack(">H", len(block)) + block


V4_BLOCK = bytes((192, 0, 2, 7, 192, 0, 2, 8)) + struct.pack(">HH", 1111, 4222)
V6_BLOCK = bytes.fromhex("20010db8" + "00" * 11 + "01") * 2 + struct.pack(">HH", 1111, 4222)

Connect = Callable[..., object]


@pytest.fixture(scope="module")
def server_certificate(authority: CertificateAuthority) -> Certificate:
    return authority.issue_server()


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server("proxy_protocol: true", monitoring=True)


@pytest.fixture
async def through() -> AsyncIterator[Connect]:
    """`await through(server, header)`: a connection that begins with these bytes."""
    async with AsyncExitStack() as stack:

        async def connect(server: Server, header: bytes) -> RawClient:
            client = RawClient(await open_connection(server))
            stack.push_async_callback(client.aclose)
            await client.send(header)
            return client

        yield connect


async def address_of(server: Server, client: RawClient) -> tuple[str, int]:
    """The address that monitoring shows of a connection."""
    cid = client.info["client_id"]
    page = (await monitoring.get(server, f"/connz?cid={cid}")).json()
    return page["connections"][0]["ip"], page["connections"][0]["port"]


@pytest.mark.parametrize(
    ("header", "ip"),
    [
        (LINE, "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::1 ::1 1111 4222\r\n", "2001:db8::1"),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1111 4222\r\n", "192.0.2.7"),
        (b"PROXY   TCP4 192.0.2.7 192.0.2.8 1111 4222\r\n", "192.0.2.7"),
        (binary(0x21, 0x11, V4_BLOCK), "192.0.2.7"),
        (binary(0x21, 0x21, V6_BLOCK), "2001:db8::1"),
        (binary(0x21, 0x11, V4_BLOCK + b"\x03\x00\x04abcd"), "192.0.2.7"),
        (binary(0x21, 0x11, V4_BLOCK + bytes(9000)), "192.0.2.7"),
    ],
)
async def test_client_is_whom_the_header_names(server: Server, through: Connect, header: bytes, ip: str) -> None:
    client = await through(server, header)
    await client.read_greeting()
    assert "client_ip" not in client.info
    await client.connect(protocol=1)
    assert client.info["client_ip"] == ip
    assert await address_of(server, client) == (ip, 1111)


@pytest.mark.parametrize(
    "header",
    [b"", b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN ff ff 1 2\r\n", binary(0x20, 0, b""), binary(0x20, 0x12, V4_BLOCK),
     binary(0x21, 0x01, b""), binary(0x21, 0x01, b"ab")],
)  # fmt: skip
async def test_client_without_a_named_source_speaks_for_itself(server: Server, through: Connect, header: bytes) -> None:
    client = await through(server, header)
    await client.read_greeting()
    assert "client_ip" not in client.info
    await client.connect(protocol=1)
    own = client.stream.socket.getsockname()
    assert client.info["client_ip"] == "127.0.0.1"
    assert await address_of(server, client) == ("127.0.0.1", own[1])


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", "invalid PROXY protocol header: invalid protocol TCP5"),
        (b"PROXY TCP4 1.2.3.400 5.6.7.8 1 2\r\n", "invalid PROXY protocol header: invalid address"),
        (b"PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", "invalid PROXY protocol header: invalid address"),
        (b"PROXY TCP4 ::1 5.6.7.8 1 2\r\n", "invalid PROXY protocol header: TCP4 with IPv6 address"),
        (b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", "invalid PROXY protocol header: TCP6 with IPv4 address"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "invalid PROXY protocol header: invalid v1 format"),
        (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\nPING\r\n", "invalid PROXY protocol header: invalid v1 format"),
        (b"PROXY TCP4 ".ljust(200, b"1"), "invalid PROXY protocol header: v1 line too long"),
        (
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 66000\r\n",
            'invalid dest port: strconv.ParseUint: parsing "66000": value out of range',
        ),
        (
            b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
            'invalid source port: strconv.ParseUint: parsing "+1": invalid syntax',
        ),
        (SIGNATURE[:-1] + b"!", "invalid PROXY protocol header: invalid signature"),
        (binary(0x31, 0x11, V4_BLOCK), "invalid PROXY protocol header: invalid version 0x30"),
        (binary(0x22, 0x11, V4_BLOCK), "unknown PROXY protocol command: 0x02"),
        (binary(0x21, 0x12, V4_BLOCK), "unsupported PROXY protocol feature: only STREAM protocol supported"),
        (binary(0x21, 0x31, bytes(216)), "unsupported PROXY protocol feature: unsupported address family 0x30"),
        (binary(0x21, 0x11, bytes(8)), "IPv4 address data too short: 8 bytes"),
        (binary(0x21, 0x21, bytes(12)), "IPv6 address data too short: 12 bytes"),
    ],
)
async def test_malformed_header_closes_without_an_error(
    server: Server, through: Connect, header: bytes, reason: str
) -> None:
    client = await through(server, header)
    await client.read_greeting()
    await client.expect_closed()
    port = client.stream.socket.getsockname()[1]
    line = f"[WRN] Error reading PROXY protocol header from 127.0.0.1:{port}: {reason}"
    await eventually(lambda: line in server.log_text(), what=line)


async def test_only_the_first_header_counts(server: Server, through: Connect) -> None:
    client = await through(server, LINE + LINE)
    await client.read_greeting()
    await client.expect_err_and_close("Unknown Protocol Operation")


async def test_header_may_come_in_pieces(server: Server, through: Connect) -> None:
    client = await through(server, b"")
    await client.read_greeting()
    await client.send_pieces(LINE + b"CONNECT {}\r\n")
    await client.expect(b"+OK\r\n")
    assert await address_of(server, client) == ("192.0.2.7", 1111)


async def test_silent_connection_is_closed_after_five_seconds(server: Server, through: Connect) -> None:
    client = await through(server, b"")
    await client.read_greeting()
    await client.expect_closed(within_s=8)


async def test_refused_client_is_remembered_under_its_own_address(shared_server: StartServer, through: Connect) -> None:
    server = shared_server("proxy_protocol: true, authorization { user: u, password: p }", monitoring=True)
    client = await through(server, LINE)
    await client.read_greeting()
    await client.send_connect(user="u", **{"pass": "wrong"}, verbose=False)
    await client.expect_err_and_close("Authorization Violation")
    page = await eventually(lambda: closed(server), what="the closed connection")
    assert (page["ip"], page["port"], page["reason"]) == ("192.0.2.7", 1111, "Authentication Failure")


async def closed(server: Server) -> dict[str, object] | None:
    """The last connection that has ended."""
    rows = (await monitoring.get(server, "/connz?state=closed")).json()["connections"]
    return rows[-1] if rows else None


@pytest.mark.parametrize("first", ["false", "true", "auto"])
async def test_header_precedes_tls(
    shared_server: StartServer,
    through: Connect,
    authority: CertificateAuthority,
    server_certificate: Certificate,
    first: str,
) -> None:
    server = shared_server(
        f"""
        proxy_protocol: true
        tls {{
          cert_file: "{server_certificate.cert_file}", key_file: "{server_certificate.key_file}"
          handshake_first: {first}
        }}""",
        monitoring=True,
    )
    client = await through(server, LINE)
    if first == "false":
        await client.read_greeting()
        assert "client_ip" not in client.info
        await client.start_tls(authority.client_context())
    else:
        await client.start_tls(authority.client_context())
        await client.read_greeting()
        assert client.info["client_ip"] == "192.0.2.7"
    await client.connect(protocol=1)
    assert client.info["client_ip"] == "192.0.2.7"
    assert await address_of(server, client) == ("192.0.2.7", 1111)


async def test_start_says_that_headers_are_read(server: Server) -> None:
    assert "[INF] PROXY protocol enabled for client connections\n" in server.log_text()
