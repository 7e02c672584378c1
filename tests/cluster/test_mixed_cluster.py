"""Clusters of more than two, and what servers tell each other beside messages."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack

import pytest

from tests.kit.clusters import PAIRS, client_of, cluster_config, pair_name, pair_of_servers, until_heard
from tests.kit.eventually import eventually
from tests.kit.rawclient import RawClient
from tests.kit.routepeer import route_peer
from tests.kit.servers import Server, ServerKind, running_server

Kinds = tuple[ServerKind, ServerKind]
pairs = pytest.mark.parametrize("kinds", PAIRS, ids=pair_name)
SYSTEM = "accounts { $SYS { users: [{user: s, password: s}] }, X { users: [{user: x, password: x}] } }\n"
FOUR = (ServerKind.REAL, ServerKind.OURS, ServerKind.REAL, ServerKind.OURS)


async def test_two_real_servers_and_two_of_ours_are_one_cluster() -> None:
    async with AsyncExitStack() as stack:
        servers: list[Server] = []
        for kind in FOUR:
            routes = tuple(server.port("cluster") for server in servers[:1])
            config = cluster_config(routes=routes)
            servers.append(await stack.enter_async_context(running_server(kind, config=config)))
        clients: list[RawClient] = [await stack.enter_async_context(client_of(server)) for server in servers]
        for at, speaker in enumerate(clients):
            for to, listener in enumerate(clients):
                if at != to:
                    await until_heard(speaker, listener, f"from.{at}.to.{to}")
        for at, client in enumerate(clients):
            await client.subscribe("all", sid=f"{at}")
            await client.subscribe("one", sid=f"1{at}", queue="q")
            await client.ping_pong()
        for at, client in enumerate(clients):
            for to, other in enumerate(clients):
                if at != to:
                    await until_heard(client, other, f"again.{at}.to.{to}")
        await clients[0].send(b"PUB all 1\r\nx\r\n")
        for at, client in enumerate(clients):
            await client.expect(b"MSG all %d 1\r\nx\r\n" % at)
        for at, client in enumerate(clients):
            await client.send(b"PUB one 1\r\n%d\r\n" % at * 10)
        taken: list[bytes] = []

        async def all_taken() -> bool:
            """What is still on its way comes to somebody."""
            for client in clients:
                await client.send(b"PING\r\n")
                while (item := await client.next_item()) != b"PONG\r\n":
                    taken.append(item.split(b"\r\n")[1])
            return len(taken) >= 40

        await eventually(all_taken)
        assert sorted(taken) == [b"%d" % at for at in range(4) for _ in range(10)]


@pairs
async def test_clients_are_moved_away_from_a_server_in_lame_duck_mode(kinds: Kinds) -> None:
    """Checklist 93."""
    duck = "lame_duck_duration: 40s\nlame_duck_grace_period: 30s\n"
    async with pair_of_servers(kinds, config=duck) as (seed, joiner), client_of(seed) as staying:
        own, other = f"127.0.0.1:{joiner.client_port}", f"127.0.0.1:{seed.client_port}"
        async with client_of(joiner) as probe:
            await until_heard(staying, probe, "joined")
        async with client_of(joiner, protocol=1) as client:
            assert client.info["connect_urls"] == [own, other]
            seed.signal(signal.SIGUSR2)
            info = await client.expect_info()
            assert info["connect_urls"] == [own]
            assert seed.is_running() and "ldm" not in info
        # A real server in this mode does not stop when it is asked to.
        seed.signal(signal.SIGKILL)


@pairs
async def test_the_system_account_asks_all_servers(kinds: Kinds) -> None:
    system = {"user": "s", "pass": "s"}
    async with pair_of_servers(kinds, config=SYSTEM) as (one, other), client_of(one, **system) as a:
        async with client_of(other, **system) as b:
            await until_heard(a, b, "joined")
        await a.subscribe("_INBOX.ping", sid="7")
        seen: set[str] = set()

        async def both_answered() -> bool:
            await a.send(b"PUB $SYS.REQ.SERVER.PING _INBOX.ping 0\r\n\r\nPING\r\n")
            while (item := await a.next_item()) != b"PONG\r\n":
                answer = item.split(b"\r\n", 1)[1]
                seen.add(answer.partition(b'"id":"')[2][:56].decode())
            return len(seen) == 2

        await eventually(both_answered)
        assert all(name.startswith("N") for name in seen)


@pairs
async def test_addresses_of_clients_stay_unknown_where_they_are_not_to_be_told(kinds: Kinds) -> None:
    async with (
        pair_of_servers(kinds, more="no_advertise: true") as (one, other),
        client_of(one) as a,
        client_of(other) as b,
    ):
        await until_heard(a, b, "joined")
        for server in (one, other):
            async with client_of(server, protocol=1) as client:
                assert "connect_urls" not in client.info and client.info["cluster"] == "C"


async def test_a_silent_stranger_is_sent_away() -> None:
    more = "authorization { user: r, password: s, timeout: 0.2 }"
    async with running_server(ServerKind.OURS, config=cluster_config(more=more)) as server, route_peer(server) as peer:
        assert await peer.closing_words() == [b"-ERR 'Authentication Timeout'"]


async def test_the_log_traces_what_goes_over_a_route() -> None:
    async with (
        running_server(ServerKind.OURS, config=cluster_config(), args=["-DV"]) as server,
        client_of(server) as client,
    ):
        await client.subscribe("in")
        await client.ping_pong()
        async with route_peer(server) as peer:
            await peer.join("TRACED")
            await peer.send(b"RS+ $G out\r\nRS+ $G out q 1\r\nRMSG $G in | q 2\r\nhi\r\n")
            await client.expect(b"MSG in 1 2\r\nhi\r\n")
            await client.publish("out", b"there", reply="re.ply")
            wanted = (
                "->> [RS+ $G in]", "<<- [RS+ $G out]", "<<- [RMSG $G in | q 2]", '<<- MSG_PAYLOAD: ["hi"]',
                "->> [RMSG $G out + re.ply q 5]", '->> MSG_PAYLOAD: ["there"]',
            )  # fmt: skip

            def untold() -> list[str]:
                told = [entry for entry in server.log_text().splitlines() if " - rid:" in entry]
                return [line for line in wanted if not any(line in entry for entry in told)]

            await eventually(lambda: not untold(), what=" and ".join(wanted))


async def test_a_server_that_comes_again_replaces_a_connection_that_is_dead() -> None:
    """After a partition one side may know that a route is gone while the other does not yet."""
    async with running_server(ServerKind.OURS, config=cluster_config()) as server, route_peer(server) as dead:
        await dead.join("HALF")

        # From here on nobody reads at the other end of it.
        async def comes_again() -> bool:
            async with route_peer(server) as again:
                await again.send(b'CONNECT {"cluster":"C"}\r\nINFO {"server_id":"HALF","cluster":"C"}\r\nPING\r\n')
                return bool(await again.settled())

        await eventually(comes_again, within_s=15, what="the second connection")
        assert b"PING" not in await dead.closing_words()
