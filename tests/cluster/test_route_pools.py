"""Several connections between servers, ours and real ones on either side (checklist: [route] 73 to 77, 84)."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest
import trio

from tests.kit.clusters import PAIRS, client_of, cluster_config, pair_name, until_heard
from tests.kit.eventually import eventually, holds
from tests.kit.servers import Server, ServerKind, running_server

Kinds = tuple[ServerKind, ServerKind]
pairs = pytest.mark.parametrize("kinds", PAIRS, ids=pair_name)
POOL = 3
USERS = """
accounts {
    X { users: [{user: x, password: x}] }
    Y { users: [{user: y, password: y}] }
    $SYS { users: [{user: s, password: s}] }
}
"""
MORE = USERS.replace("$SYS {", "Z { users: [{user: z, password: z}] }\n    $SYS {")
QUIET_S = 1.5


async def page(server: Server, path: str) -> Any:
    """A page of monitoring."""
    async with httpx.AsyncClient() as web:
        return (await web.get(f"http://127.0.0.1:{server.monitor_port}{path}")).json()


async def until_routes(server: Server, count: int) -> None:
    """Waits until a server has so many connections to others."""
    await eventually(partial(has_routes, server, count), within_s=20, what=f"{count} routes")


async def has_routes(server: Server, count: int) -> bool:
    """Whether a server has so many connections to others."""
    return bool((await page(server, "/varz"))["routes"] == count)


async def rids(server: Server) -> dict[str, list[int]]:
    """The connections to other servers by account, empty for the pool."""
    found: dict[str, list[int]] = {}
    for row in (await page(server, "/routez"))["routes"]:
        found.setdefault(row.get("account", ""), []).append(row["rid"])
    return found


@asynccontextmanager
async def pooled_pair(
    kinds: Kinds, *, seed: str = "", joiner: str = "", joiner_users: str = USERS
) -> AsyncIterator[tuple[Server, Server]]:
    """A seed and a server that has dialled it, with monitoring; the texts stand in their cluster blocks."""
    async with AsyncExitStack() as stack:
        first = cluster_config(more=seed) + USERS
        one = await stack.enter_async_context(running_server(kinds[0], config=first, monitoring=True))
        second = cluster_config(routes=(one.port("cluster"),), more=joiner) + joiner_users
        yield one, await stack.enter_async_context(running_server(kinds[1], config=second, monitoring=True))


async def has_rids(server: Server, wanted: dict[str, list[int]]) -> bool:
    """Whether a server still has the same connections."""
    found = await rids(server)
    return {account: sorted(rids) for account, rids in found.items()} == {a: sorted(r) for a, r in wanted.items()}


async def reload(server: Server, config: str) -> None:
    """Has a server take another configuration."""
    server.write_config(config)
    before = server.log_text().count("Reloaded server configuration")
    server.signal(signal.SIGHUP)
    await eventually(lambda: server.log_text().count("Reloaded server configuration") > before)


async def until_all_hear(one: Server, other: Server, *users: str) -> None:
    """Every account is heard both ways."""
    for user in users:
        async with client_of(one, user=user, **{"pass": user}) as a, client_of(other, user=user, **{"pass": user}) as b:
            await until_heard(a, b, f"there.{user}")
            await until_heard(b, a, f"back.{user}")


@pairs
async def test_two_servers_have_a_pool_and_one_more_for_the_system_account(kinds: Kinds) -> None:
    async with pooled_pair(kinds) as (one, other):
        for server in (one, other):
            await until_routes(server, POOL + 1)
        await until_all_hear(one, other, "x", "y", "s")
        found = await rids(one)
        assert {account: len(rids) for account, rids in found.items()} == {"": POOL, "$SYS": 1}
        await holds(partial(has_rids, one, found), for_s=QUIET_S)


@pairs
async def test_an_account_that_both_pin_has_a_connection_of_its_own(kinds: Kinds) -> None:
    async with pooled_pair(kinds, seed="accounts: [X]", joiner="accounts: [X]") as (one, other):
        for server in (one, other):
            await until_routes(server, POOL + 2)
        await until_all_hear(one, other, "x", "y", "s")
        for server in (one, other):
            rows = (await page(server, "/routez"))["routes"]
            [of_x] = [row for row in rows if row.get("account") == "X"]
            assert of_x["in_msgs"] > 0 and of_x["out_msgs"] > 0


@pairs
@pytest.mark.parametrize(("seed", "joiner", "size"), [(1, 5, 5), (5, 1, 5), (4, 3, 4), (1, 1, 1)])
async def test_pools_of_different_sizes_go_together(kinds: Kinds, seed: int, joiner: int, size: int) -> None:
    async with pooled_pair(kinds, seed=f"pool_size: {seed}", joiner=f"pool_size: {joiner}") as (one, other):
        for server in (one, other):
            await until_routes(server, size + 1)
        await until_all_hear(one, other, "x", "y", "s")


@pairs
@pytest.mark.parametrize("bare", [0, 1])
async def test_a_server_without_a_pool_has_one_connection_for_all(kinds: Kinds, bare: int) -> None:
    texts = ["", ""]
    texts[bare] = "pool_size: -1"
    async with pooled_pair(kinds, seed=texts[0], joiner=texts[1]) as (one, other):
        await until_all_hear(one, other, "x", "y", "s")
        for server in (one, other):
            await holds(partial(has_routes, server, 1), for_s=QUIET_S)


@pairs
async def test_killed_servers_come_back_to_the_whole_pool(kinds: Kinds) -> None:
    async with AsyncExitStack() as stack:
        seed = await stack.enter_async_context(
            running_server(kinds[0], config=cluster_config() + USERS, monitoring=True)
        )
        port = seed.port("cluster")
        joining = cluster_config(routes=(port,)) + USERS
        for _ in range(2):
            async with running_server(kinds[1], config=joining, monitoring=True) as joiner:
                await until_routes(seed, POOL + 1)
                await until_routes(joiner, POOL + 1)
                await until_all_hear(seed, joiner, "x", "s")
                joiner.signal(signal.SIGKILL)
                await until_routes(seed, 0)
        async with running_server(kinds[1], config=joining, monitoring=True) as joiner:
            await until_routes(joiner, POOL + 1)
            seed.signal(signal.SIGKILL)
            await until_routes(joiner, 0)
            again = cluster_config(listen=f"127.0.0.1:{port}") + USERS
            async with running_server(kinds[0], config=again, monitoring=True) as seed_again:
                for server in (joiner, seed_again):
                    await until_routes(server, POOL + 1)
                await until_all_hear(seed_again, joiner, "x", "y", "s")


@pairs
async def test_two_that_dial_each_other_do_not_flap(kinds: Kinds) -> None:
    ports = []
    for _ in kinds:
        async with running_server(ServerKind.OURS, config=cluster_config()) as probe:
            ports.append(probe.port("cluster"))
    configs = [cluster_config(listen=f"127.0.0.1:{own}", routes=tuple(ports)) + USERS for own in ports]
    async with AsyncExitStack() as stack:
        servers: dict[int, Server] = {}

        async def start(at: int) -> None:
            running = running_server(kinds[at], config=configs[at], monitoring=True)
            servers[at] = await stack.enter_async_context(running)

        async with trio.open_nursery() as nursery:
            for at in range(2):
                nursery.start_soon(start, at)
        for server in servers.values():
            await until_routes(server, POOL + 1)
        await until_all_hear(servers[0], servers[1], "x", "y", "s")
        for server in servers.values():
            await holds(partial(has_rids, server, await rids(server)), for_s=QUIET_S)


@pytest.mark.parametrize("seed", [ServerKind.OURS, ServerKind.REAL], ids=lambda kind: kind.value)
async def test_a_mixed_cluster_is_a_full_mesh_of_pools(seed: ServerKind) -> None:
    kinds = (seed, ServerKind.REAL, ServerKind.OURS, ServerKind.OURS)
    async with AsyncExitStack() as stack:
        servers: list[Server] = []
        for kind in kinds:
            routes = tuple(server.port("cluster") for server in servers[:1])
            config = cluster_config(routes=routes, more="accounts: [X]") + USERS
            servers.append(await stack.enter_async_context(running_server(kind, config=config, monitoring=True)))
        for server in servers:
            await until_routes(server, (len(servers) - 1) * (POOL + 2))
            assert (await page(server, "/varz"))["remotes"] == len(servers) - 1
        ours = servers[2:]
        for server in ours:
            async with client_of(server, user="s", **{"pass": "s"}) as client:
                await client.subscribe("_INBOX.stats", sid="7")
                await client.send(b"PUB $SYS.REQ.SERVER.PING _INBOX.stats 0\r\n\r\n")
                server_id = (await page(server, "/varz"))["server_id"]
                stats: dict[str, Any] = {}
                while stats.get("server", {}).get("id") != server_id:
                    stats = json.loads((await client.expect_message()).payload)
                stats = stats["statsz"]
                assert stats["active_servers"] == len(servers)
                assert len(stats["routes"]) == (len(servers) - 1) * (POOL + 2)
                assert {"rid", "name", "sent", "received", "pending"} == set(stats["routes"][0])


@pytest.mark.parametrize("kinds", PAIRS[:2], ids=pair_name)
async def test_an_account_that_a_reload_adds_hears_the_others_at_once(kinds: Kinds) -> None:
    """A real server forgets what others want in an account that it does not know; here the one of ours is reloaded."""
    z, x = {"user": "z", "pass": "z"}, {"user": "x", "pass": "x"}
    async with pooled_pair(kinds, joiner_users=MORE) as (seed, joiner), client_of(joiner, **z) as there:
        await there.subscribe("z.kept")
        await there.subscribe("z.group", sid="2", queue="q")
        await there.subscribe("z.gone", sid="3")
        await there.ping_pong()
        async with client_of(seed, **x) as a, client_of(joiner, **x) as b:
            await until_heard(a, b, "joined")
        await there.send(b"UNSUB 3\r\n")
        await there.ping_pong()
        await reload(seed, cluster_config() + MORE)
        async with client_of(seed, **z) as here:
            await here.send(b"PUB z.gone 1\r\nc\r\nPUB z.kept 1\r\na\r\nPUB z.group 1\r\nb\r\n")
            await there.expect(b"MSG z.kept 1 1\r\na\r\n")
            await there.expect(b"MSG z.group 2 1\r\nb\r\n")
            await until_heard(there, here, "z.back")


async def test_a_new_address_for_clients_is_told_to_those_of_the_others() -> None:
    """A real server does not tell, and does not listen."""
    x = {"user": "x", "pass": "x"}
    async with pooled_pair((ServerKind.OURS, ServerKind.OURS)) as (seed, joiner):
        async with client_of(seed, **x) as a, client_of(joiner, **x) as b:
            await until_heard(a, b, "joined")
        await reload(seed, cluster_config() + USERS + 'client_advertise: "elsewhere:4333"\n')

        async def is_told() -> bool:
            async with client_of(joiner, protocol=1, **x) as client:
                return "elsewhere:4333" in client.info["connect_urls"]

        await eventually(is_told)


@pairs
@pytest.mark.parametrize("first", [0, 1], ids=["seed-first", "joiner-first"])
async def test_a_reload_gives_an_account_a_connection_of_its_own(kinds: Kinds, first: int) -> None:
    x = {"user": "x", "pass": "x"}
    async with pooled_pair(kinds) as servers:
        blocks = [(), (servers[0].port("cluster"),)]
        async with client_of(servers[0], **x) as a, client_of(servers[1], **x) as b:
            for client in (a, b):
                await client.subscribe("kept")
                await client.ping_pong()
            await until_heard(a, b, "before")
            await until_heard(b, a, "before")
            for more, count in (("accounts: [X]", POOL + 2), ("", POOL + 1)):
                for at in (first, 1 - first):
                    await reload(servers[at], cluster_config(routes=blocks[at], more=more) + USERS)
                for server in servers:
                    await until_routes(server, count)
                await until_heard(a, b, "after")
                await until_heard(b, a, "after")
                for speaker, listener in ((a, b), (b, a)):
                    await speaker.send(b"PUB kept 4\r\nonce\r\n")
                    await speaker.expect(b"MSG kept 1 4\r\nonce\r\n")
                    await listener.expect(b"MSG kept 1 4\r\nonce\r\n")
                    await until_heard(speaker, listener, "mark")


@pairs
@pytest.mark.parametrize("at", [0, 1], ids=["seed", "joiner"])
async def test_a_reload_changes_the_size_of_the_pool(kinds: Kinds, at: int) -> None:
    async with pooled_pair(kinds) as servers:
        routes = (servers[0].port("cluster"),) if at else ()
        for more, count in (("pool_size: 5", 6), ("pool_size: -1", 1), ("", POOL + 1)):
            await reload(servers[at], cluster_config(routes=routes, more=more) + USERS)
            for server in servers:
                await until_routes(server, count)
            await until_all_hear(*servers, "x", "y", "s")
