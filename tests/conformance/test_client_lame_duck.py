"""Lame duck mode: clients are told, have a grace period, and are then closed; the server ends by itself."""

from __future__ import annotations

import signal

import pytest
import trio

from tests.conftest import Dial
from tests.kit.eventually import eventually
from tests.kit.rawclient import open_connection
from tests.kit.servers import Server, ServerKind, running_server

CONFIG = """
lame_duck_duration: "30s"
lame_duck_grace_period: "1s"
"""


async def test_clients_are_told_then_closed_after_the_grace_period(server_kind: ServerKind, dial: Dial) -> None:
    """Checklist 60."""
    async with running_server(server_kind, config=CONFIG) as server:
        told, old = await dial(server), await dial(server)
        await told.connect(protocol=1)
        await old.connect(protocol=0)
        server.signal(signal.SIGUSR2)
        info = await told.expect_info(ldm=True)
        assert "connect_urls" not in info
        began = trio.current_time()
        await old.ping_pong()
        await told.expect_closed(within_s=15)
        await old.expect_closed(within_s=15)
        assert trio.current_time() - began > 0.5
        assert await trio.to_thread.run_sync(server.wait_exit) == 0


async def test_messages_flow_during_the_grace_period(server_kind: ServerKind, dial: Dial) -> None:
    """Checklist 60."""
    async with running_server(server_kind, config=CONFIG) as server:
        c = await dial(server)
        await c.connect(protocol=1)
        server.signal(signal.SIGUSR2)
        await c.expect_info(ldm=True)
        await c.subscribe("during")
        await c.send(b"PUB during 2\r\nhi\r\n")
        await c.expect(b"MSG during 1 2\r\nhi\r\n")
        server.signal(signal.SIGINT)
        await c.expect_closed()
        assert await trio.to_thread.run_sync(server.wait_exit) == 0


async def test_new_clients_are_refused_in_lame_duck_mode(server_kind: ServerKind, dial: Dial) -> None:
    """Checklist 60."""
    async with running_server(server_kind, config=CONFIG) as server:
        c = await dial(server)
        await c.connect(protocol=1)
        server.signal(signal.SIGUSR2)
        await c.expect_info(ldm=True)
        await eventually(lambda: is_refused(server), what="the listener to close")
        server.signal(signal.SIGINT)
        await trio.to_thread.run_sync(server.wait_exit)


async def is_refused(server: Server) -> bool:
    try:
        stream = await open_connection(server)
    except OSError:
        return True
    await stream.aclose()
    return False


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGTERM, signal.SIGINT])
async def test_without_clients_every_stop_signal_ends_the_server_at_once(
    server_kind: ServerKind, number: signal.Signals
) -> None:
    """Checklist 60."""
    async with running_server(server_kind, config=CONFIG) as server:
        server.signal(number)
        assert await trio.to_thread.run_sync(server.wait_exit) == 0


async def test_plain_shutdown_closes_clients_without_an_error(server_kind: ServerKind, dial: Dial) -> None:
    """Checklist 60."""
    async with running_server(server_kind) as server:
        c = await dial(server)
        await c.connect(protocol=1)
        server.signal(signal.SIGTERM)
        await c.expect_closed()
