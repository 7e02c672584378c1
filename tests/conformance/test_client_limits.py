"""Limits of a server on connections and subscriptions, and the words with which they are enforced."""

from __future__ import annotations

from tests.conftest import Dial, StartServer
from tests.kit.rawclient import RawClient, open_connection
from tests.kit.servers import ServerKind, running_server


async def test_max_subscriptions_refuses_and_stays_open(shared_server: StartServer, login: Dial) -> None:
    """Checklist 55."""
    c = await login(shared_server("max_subscriptions: 2"))
    await c.send(b"SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n")
    await c.expect_err("maximum subscriptions exceeded")
    await c.send(b"PUB c 0\r\n\r\nPUB b 0\r\n\r\n")
    await c.expect(b"MSG b 2 0\r\n\r\n")
    await c.ping_pong()


async def test_a_removed_subscription_makes_room(shared_server: StartServer, login: Dial) -> None:
    """Checklist 55."""
    server = shared_server("max_subscriptions: 2")
    c, other = await login(server), await login(server)
    await c.send(b"SUB a 1\r\nSUB b 2\r\nUNSUB 1\r\nSUB c 3\r\nPUB c 0\r\n\r\n")
    await c.expect(b"MSG c 3 0\r\n\r\n")
    await other.subscribe("the.limit.is.per.connection")


async def test_max_connections_refuses_after_an_info(server_kind: ServerKind, dial: Dial) -> None:
    """Checklist 56."""
    async with running_server(server_kind, config="max_connections: 1") as server:
        first = await dial(server)
        await first.connect()
        second = await dial(server)
        await second.expect_err_and_close("maximum connections exceeded")
        await first.ping_pong()


async def test_a_closed_connection_makes_room(server_kind: ServerKind, dial: Dial) -> None:
    """Checklist 56."""
    async with running_server(server_kind, config="max_connections: 1") as server:
        first = await dial(server)
        await first.send(b"-ERR 'bye'\r\n")
        await first.expect_closed()
        client = RawClient(await open_connection(server))
        await client.read_greeting()
        await client.connect()
        await client.aclose()


async def test_max_sub_tokens_refuses_and_stays_open(shared_server: StartServer, login: Dial) -> None:
    """Checklist 57."""
    c = await login(shared_server("max_sub_tokens: 3"))
    await c.send(b"SUB a.b.c.d 1\r\n")
    await c.expect_err('Permissions Violation for Subscription to "a.b.c.d", too many tokens')
    await c.send(b"SUB a.b.> q 1\r\nPUB a.b.c.d 0\r\n\r\n")
    await c.expect(b"MSG a.b.c.d 1 0\r\n\r\n")
