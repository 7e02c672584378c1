"""What the log of a server says about its clients (reference: operations 5.3 to 5.5)."""

from __future__ import annotations

import signal

import pytest
import trio

from tests.conftest import Dial
from tests.kit.certificates import CertificateAuthority
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
