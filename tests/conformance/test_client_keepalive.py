"""PING of the server, and what happens to a client that does not answer."""

from __future__ import annotations

import pytest
import trio

from tests.conftest import Dial, StartServer
from tests.kit.servers import Server


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server()


@pytest.fixture
def brisk_server(shared_server: StartServer) -> Server:
    return shared_server('ping_interval: "250ms"\nping_max: 2')


async def test_server_pings_about_two_seconds_after_connect(server: Server, dial: Dial) -> None:
    """Checklist 47."""
    c = await dial(server)
    c.answers_pings = False
    await c.send(b'CONNECT {"verbose":false}\r\nPING\r\n')
    await c.expect(b"PONG\r\n")
    connected = trio.current_time()
    await c.expect_ping(within_s=8)
    assert trio.current_time() - connected > 1.5


async def test_server_pings_sooner_with_a_shorter_interval(brisk_server: Server, dial: Dial) -> None:
    """Checklist 47."""
    c = await dial(brisk_server)
    c.answers_pings = False
    await c.send(b'CONNECT {"verbose":false}\r\n')
    connected = trio.current_time()
    await c.expect_ping(within_s=1.9)
    assert trio.current_time() - connected > 0.2


async def test_client_that_answers_stays_connected(brisk_server: Server, dial: Dial) -> None:
    """Checklist 48."""
    c = await dial(brisk_server)
    c.answers_pings = False
    await c.send(b'CONNECT {"verbose":false}\r\n')
    for _ in range(5):
        await c.expect_ping()
        await c.send(b"PONG\r\n")
    await c.ping_pong()


async def test_unanswered_pings_end_as_a_stale_connection(brisk_server: Server, dial: Dial) -> None:
    """Checklist 48."""
    c = await dial(brisk_server)
    c.answers_pings = False
    await c.send(b'CONNECT {"verbose":false}\r\n')
    await c.expect_ping()
    await c.expect_ping()
    await c.expect_err_and_close("Stale Connection")


async def test_client_never_heard_of_is_pinged_too(brisk_server: Server, dial: Dial) -> None:
    """Checklist 48."""
    c = await dial(brisk_server)
    c.answers_pings = False
    await c.expect_ping()
    await c.expect_ping()
    await c.expect_err_and_close("Stale Connection")


async def test_client_slow_to_connect_gets_its_pong_before_any_ping(server: Server, dial: Dial) -> None:
    """Checklist 47: the first PING comes soon after CONNECT, not after the connection."""
    c = await dial(server)
    c.answers_pings = False
    assert await c.receive_raw(within_s=2.7) == b""
    await c.send(b'CONNECT {"verbose":false}\r\nPING\r\n')
    await c.expect(b"PONG\r\n")
    await c.expect_ping(within_s=8)


async def test_client_that_has_to_authenticate_is_pinged_before_it_does(shared_server: StartServer, dial: Dial) -> None:
    """Checklist 48."""
    server = shared_server('ping_interval: "250ms"\nauthorization { user: a, password: b, timeout: 20 }')
    c = await dial(server)
    c.answers_pings = False
    await c.expect_ping()
    await c.expect_ping()
    await c.expect_err_and_close("Stale Connection")
