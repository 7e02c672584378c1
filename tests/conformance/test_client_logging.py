"""What the log of a server says about its clients (reference: operations 5.3 to 5.5)."""

from __future__ import annotations

import json
import signal
import ssl
import struct

import pytest
import trio

from tests.conftest import Dial, StartServer
from tests.kit.certificates import Certificate, CertificateAuthority
from tests.kit.eventually import eventually
from tests.kit.rawclient import RawClient, open_connection
from tests.kit.servers import Server, ServerKind, running_server

TELLS_ALL = "debug: true\ntrace: true\n"
ACCOUNT = "authorization { user: a, password: b }\n"


async def stop(server: Server) -> str:
    """Ends the server; all that it logged."""
    server.signal(signal.SIGTERM)
    await trio.to_thread.run_sync(server.wait_exit)
    return server.log_text()


async def test_traced_error_is_its_text_alone(server_kind: ServerKind, dial: Dial) -> None:
    async with running_server(server_kind, config=TELLS_ALL + ACCOUNT) as server:
        c = await dial(server)
        await c.send(b"CONNECT {}\r\n")
        await c.expect_err_and_close("Authorization Violation")
        assert "->> [-ERR Authorization Violation]" in await stop(server)


async def test_info_is_not_traced(server_kind: ServerKind, dial: Dial) -> None:
    async with running_server(server_kind, config=TELLS_ALL) as server:
        c = await dial(server)
        await c.connect(protocol=1)
        log = await stop(server)
        assert "->> [PONG]" in log
        assert "->> [INFO" not in log


async def test_stop_tells_of_each_client_that_it_closed(server_kind: ServerKind, dial: Dial) -> None:
    async with running_server(server_kind, config=TELLS_ALL) as server:
        for _ in range(3):
            c = await dial(server)
            await c.connect()
        assert (await stop(server)).count("Client connection closed: Server Shutdown") == 3


@pytest.mark.parametrize(("option", "told"), [("handshake_first: true", True), ("handshake_first: 300ms", False)])
async def test_clients_that_wait_for_info_are_warned_of(
    server_kind: ServerKind, authority: CertificateAuthority, option: str, *, told: bool
) -> None:
    pair = authority.issue_server()
    config = f'tls {{ cert_file: "{pair.cert_file}", key_file: "{pair.key_file}", {option} }}'
    async with running_server(server_kind, config=config) as server:
        warned = 'Clients that are not using "TLS Handshake First" option will fail to connect' in await stop(server)
        assert warned is told


@pytest.fixture(scope="module")
def pair(authority: CertificateAuthority) -> Certificate:
    return authority.issue_server()


def about(server: Server, client: RawClient) -> list[str]:
    """What the log says about a connection."""
    mark = f" - cid:{client.info['client_id']} - "
    return [line.partition(mark)[2] for line in server.log_text().splitlines() if mark in line]


async def closing(server: Server, client: RawClient) -> str:
    """The reason with which the log says that a connection ended."""

    def found() -> str:
        return next((line for line in about(server, client) if line.startswith("Client connection closed: ")), "")

    return (await eventually(found, what="the end of a connection")).partition(": ")[2]


@pytest.mark.parametrize("first", [False, True])
async def test_a_tls_handshake_is_told_of(
    shared_server: StartServer, dial: Dial, authority: CertificateAuthority, pair: Certificate, *, first: bool
) -> None:
    tls = f'cert_file: "{pair.cert_file}", key_file: "{pair.key_file}", handshake_first: {str(first).lower()}'
    server = shared_server(f"tls {{ {tls} }}", args=["-D"])
    for version, suite in (("1.3", "TLS_AES_"), ("1.2", "TLS_ECDHE_ECDSA_WITH_")):
        context = authority.client_context()
        context.maximum_version = ssl.TLSVersion.TLSv1_3 if version == "1.3" else ssl.TLSVersion.TLSv1_2
        client = await dial(server, tls=context, tls_first=first)
        await client.connect()
        lines = about(server, client)
        assert lines[:3] == [
            "Client connection created",
            "Starting TLS client connection handshake",
            "TLS handshake complete",
        ]
        assert lines[3].startswith(f"TLS version {version}, cipher suite {suite}")


async def test_a_tls_handshake_that_fails_had_begun(shared_server: StartServer, dial: Dial, pair: Certificate) -> None:
    server = shared_server(f'tls {{ cert_file: "{pair.cert_file}", key_file: "{pair.key_file}" }}', args=["-D"])
    client = await dial(server)
    await client.send(b"CONNECT {}\r\n")
    await client.expect_closed()
    assert await closing(server, client) == "TLS Handshake Failure"
    assert about(server, client)[1] == "Starting TLS client connection handshake"
    assert "TLS handshake complete" not in about(server, client)


HELLO = b'CONNECT {"verbose":false}\r\nPING\r\n'


@pytest.mark.parametrize(
    ("said", "reads", "ending", "reason"),
    [
        (b"", True, "close", "Client Closed"),
        (b"", False, "close", "Read Error"),
        (b"", True, "reset", "Read Error"),
        (b"", False, "half", "Client Closed"),
        (HELLO, False, "close", "Read Error"),
        (HELLO, False, "half", "Client Closed"),
        (b"CON", True, "close", "Client Closed"),
    ],
)
async def test_who_leaves_at_once_is_told_from_who_is_cut_off(
    shared_server: StartServer, said: bytes, reads: bool, ending: str, reason: str
) -> None:
    """Closing a socket with something unread in it is a reset, too."""
    server = shared_server("", args=["-D"])
    client = RawClient(await open_connection(server))
    stream = client.stream
    assert isinstance(stream, trio.SocketStream)
    await trio.lowlevel.wait_readable(stream.socket)
    peeked = await stream.socket.recv(1 << 16, trio.socket.MSG_PEEK)
    client.info = json.loads(peeked.removeprefix(b"INFO "))
    if reads:
        await stream.receive_some()
    if said:
        await client.send(said)
    if ending == "reset":
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
    if ending == "half":
        await stream.send_eof()
    else:
        await client.aclose()
    assert await closing(server, client) == reason
    await client.aclose()
