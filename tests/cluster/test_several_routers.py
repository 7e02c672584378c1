"""Several routers in one node: one server to its clients, members of one cluster to each other."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import permutations
from pathlib import Path

import pytest
import trio

from tests.kit.clusters import client_of, cluster_config, until_heard
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server, ServerFailed, ServerKind, running_server, start_server

ROUTERS = 3
SEVERAL = f"server_name: big\nfleet {{ routers: {ROUTERS} }}\n"
ARRIVAL_S = 15.0


@asynccontextmanager
async def client_of_each(server: Server, *, routers: int = ROUTERS) -> AsyncIterator[dict[str, RawClient]]:
    """A client of every router, by the router's name: the kernel decides whose it gets, so some more are made."""
    async with AsyncExitStack() as stack:
        found: dict[str, RawClient] = {}
        with trio.fail_after(ARRIVAL_S):
            while len(found) < routers:
                client = await stack.enter_async_context(client_of(server))
                found.setdefault(client.info["server_name"], client)
        yield found


def router_pid(server: Server, name: str) -> int:
    """The process of a router, by what `ps` shows of it."""
    for pid in server.descendants():
        if Path(f"/proc/{pid}/comm").read_text().strip() == name:
            return pid
    raise AssertionError(f"no process is called {name}")


async def test_clients_of_all_routers_hear_each_other() -> None:
    async with running_server(ServerKind.OURS, config=SEVERAL) as server, client_of_each(server) as clients:
        assert set(clients) == {"big", "big-2", "big-3"}
        for speaker, listener in permutations(clients.values(), 2):
            await until_heard(speaker, listener, "news")


async def test_clients_see_one_plain_server() -> None:
    async with running_server(ServerKind.OURS, config=SEVERAL) as server, client_of_each(server) as clients:
        await until_heard(clients["big"], clients["big-3"], "joined")
        for client in clients.values():
            assert not {"cluster", "connect_urls"} & set(client.info)
            assert client.info["port"] == server.client_port


async def test_a_killed_router_takes_only_its_own_clients_along() -> None:
    async with running_server(ServerKind.OURS, config=SEVERAL) as server, client_of_each(server) as clients:
        first, second, third = (clients[name] for name in ("big", "big-2", "big-3"))
        await until_heard(first, third, "before")
        os.kill(router_pid(server, "nf-router-2"), signal.SIGKILL)
        await second.expect_closed()
        await until_heard(first, third, "meanwhile")
        async with client_of_each(server) as again:
            await until_heard(again["big-2"], third, "after")
            await until_heard(first, again["big-2"], "after")


async def test_all_routers_are_members_of_the_configured_cluster() -> None:
    async with (
        running_server(ServerKind.OURS, config=SEVERAL + cluster_config()) as server,
        running_server(ServerKind.OURS, config=cluster_config(routes=(server.port("cluster"),))) as other,
        client_of(other) as outside,
        client_of_each(server) as clients,
    ):
        for client in clients.values():
            assert client.info["cluster"] == "C"
            await until_heard(client, outside, "inward")
            await until_heard(outside, client, "outward")


async def test_a_real_server_sees_every_router_as_a_server() -> None:
    async with (
        running_server(ServerKind.OURS, config=SEVERAL + cluster_config()) as server,
        running_server(ServerKind.REAL, config=cluster_config(routes=(server.port("cluster"),))) as other,
        client_of(other) as outside,
        client_of_each(server) as clients,
    ):
        for client in clients.values():
            await until_heard(client, outside, "inward")
            await until_heard(outside, client, "outward")


async def test_credentials_of_the_cluster_hold_between_the_routers() -> None:
    guarded = cluster_config(more='authorization { user: "a b", password: "p@ss/word" }')
    async with running_server(ServerKind.OURS, config=SEVERAL + guarded) as server, client_of_each(server) as clients:
        await until_heard(clients["big"], clients["big-3"], "news")


async def test_a_port_in_use_is_refused_though_routers_share_theirs() -> None:
    async with running_server(ServerKind.OURS, config=SEVERAL) as server:
        address = f"127.0.0.1:{server.client_port}"
        with pytest.raises(ServerFailed, match="address already in use"):
            await trio.to_thread.run_sync(lambda: start_server(ServerKind.OURS, config=SEVERAL, listen=address))


async def test_a_reload_reaches_every_router() -> None:
    async with running_server(ServerKind.OURS, config=SEVERAL) as server:
        server.write_config(SEVERAL + "max_payload: 100\n")
        server.signal(signal.SIGHUP)
        with trio.fail_after(ARRIVAL_S):
            limits: set[int] = set()
            while limits != {100}:
                async with client_of_each(server) as clients:
                    limits = {client.info["max_payload"] for client in clients.values()}


async def test_lame_duck_mode_ends_all_routers() -> None:
    quick = SEVERAL + 'lame_duck_duration: "30s"\nlame_duck_grace_period: "0s"\n'
    async with running_server(ServerKind.OURS, config=quick) as server:
        server.signal(signal.SIGUSR2)
        await trio.to_thread.run_sync(server.wait_exit)
