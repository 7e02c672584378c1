"""Two servers and the route between them, ours and real ones on either side (checklist: [route])."""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.kit.clusters import PAIRS, client_of, cluster_config, pair_name, pair_of_servers, until_heard
from tests.kit.eventually import eventually
from tests.kit.servers import Server, ServerKind, running_server

Kinds = tuple[ServerKind, ServerKind]
pairs = pytest.mark.parametrize("kinds", PAIRS, ids=pair_name)
POOLED = 4
"""Connections between two servers at their defaults: a pool of three, and one for the system account."""

ACCOUNTS = """
accounts {
    X { users: [{user: x, password: x}] }
    Y { users: [{user: y, password: y}] }
}
"""


@pairs
async def test_a_message_is_heard_on_the_other_server(kinds: Kinds) -> None:
    async with pair_of_servers(kinds) as (one, other), client_of(one) as a, client_of(other) as b:
        await until_heard(a, b, "news")
        await until_heard(b, a, "news")
        await b.subscribe("news.*")
        await b.ping_pong()
        await until_heard(b, a, "ready")
        await a.publish("news.local", b"hello", reply="an.answer")
        await b.expect(b"MSG news.local 1 an.answer 5\r\nhello\r\n")


@pairs
async def test_headers_travel_with_the_message(kinds: Kinds) -> None:
    async with (
        pair_of_servers(kinds) as (one, other),
        client_of(one, headers=True) as a,
        client_of(other, headers=True) as b,
    ):
        await until_heard(a, b, "warm")
        await b.subscribe("h")
        await b.ping_pong()
        await until_heard(b, a, "ready")
        await a.send(b"HPUB h 22 25\r\nNATS/1.0\r\nName: va\r\n\r\nabc\r\n")
        await b.expect(b"HMSG h 1 22 25\r\nNATS/1.0\r\nName: va\r\n\r\nabc\r\n")


@pairs
async def test_a_large_payload_arrives_whole(kinds: Kinds) -> None:
    payload = bytes(range(256)) * 2000
    async with pair_of_servers(kinds) as (one, other), client_of(one) as a, client_of(other) as b:
        await until_heard(a, b, "big")
        await b.subscribe("big")
        await b.ping_pong()
        await until_heard(b, a, "ready")
        for _ in range(20):
            await a.publish("big", payload)
        for _ in range(20):
            assert (await b.expect_message()).payload == payload


@pairs
async def test_a_request_is_answered_across_the_route(kinds: Kinds) -> None:
    async with pair_of_servers(kinds) as (one, other), client_of(one) as a, client_of(other) as b:
        await until_heard(a, b, "warm")
        await until_heard(b, a, "warm")
        await b.subscribe("service", queue="workers")
        await b.ping_pong()
        await until_heard(b, a, "ready")
        await a.subscribe("_INBOX.one", sid="7")
        await a.publish("service", b"question", reply="_INBOX.one")
        question = await b.expect_message()
        assert (question.subject, question.reply, question.payload) == ("service", "_INBOX.one", b"question")
        await b.publish(question.reply, b"answer")
        await a.expect(b"MSG _INBOX.one 7 6\r\nanswer\r\n")


@pairs
async def test_a_request_that_nobody_serves_in_the_cluster_is_told_so(kinds: Kinds) -> None:
    asks = {"headers": True, "no_responders": True}
    async with pair_of_servers(kinds) as (one, other), client_of(one, **asks) as a, client_of(other) as b:
        await until_heard(a, b, "service")
        await until_heard(b, a, "ready")
        await a.subscribe("_INBOX.two", sid="7")
        await a.send(b"PUB service _INBOX.two 8\r\nquestion\r\n")
        await a.expect_match(rb"HMSG _INBOX.two 7 \d+ \d+\r\nNATS/1.0 503.*")


@pairs
async def test_a_queue_group_gets_each_message_once(kinds: Kinds) -> None:
    async with pair_of_servers(kinds) as (one, other), client_of(one) as a, client_of(one) as c, client_of(other) as b:
        await until_heard(a, b, "warm")
        await until_heard(b, a, "warm")
        await b.subscribe("jobs", sid="2", queue="q")
        await b.subscribe("jobs.done", sid="3")
        await c.subscribe("jobs", sid="1", queue="q")
        await c.ping_pong()
        await b.ping_pong()
        await until_heard(b, a, "ready")
        for number in range(200):
            await a.publish("jobs", b"%d" % number)
        await a.publish("jobs.done")
        await a.ping_pong()
        taken = Counter[bytes]()
        there = here = 0
        while (message := await b.expect_message()).subject == "jobs":
            taken[message.payload] += 1
            there += 1
        await c.send(b"PING\r\n")
        while (item := await c.next_item()) != b"PONG\r\n":
            taken[item.split(b"\r\n")[1]] += 1
            here += 1
        assert taken == Counter(b"%d" % number for number in range(200))
        # Members are chosen alike, wherever they are.
        assert 50 <= here <= 150 and there == 200 - here


@pairs
async def test_interest_goes_with_the_last_subscription(kinds: Kinds) -> None:
    asks = {"headers": True, "no_responders": True}
    async with pair_of_servers(kinds) as (one, other), client_of(one, **asks) as a, client_of(other) as b:
        await until_heard(a, b, "warm")
        await until_heard(b, a, "warm")
        await b.subscribe("twice", sid="1")
        await b.subscribe("twice", sid="2")
        await b.send(b"UNSUB 1\r\n")
        await b.ping_pong()
        await until_heard(b, a, "ready")
        await a.publish("twice", b"x")
        await b.expect(b"MSG twice 2 1\r\nx\r\n")
        await b.send(b"UNSUB 2\r\n")
        await b.ping_pong()
        await until_heard(b, a, "ready")
        await a.subscribe("_INBOX.gone", sid="7")
        await a.send(b"PUB twice _INBOX.gone 1\r\nx\r\n")
        await a.expect_match(rb"HMSG _INBOX.gone 7 \d+ \d+\r\nNATS/1.0 503.*")


@pairs
async def test_accounts_stay_apart_across_the_route(kinds: Kinds) -> None:
    x, y = {"user": "x", "pass": "x"}, {"user": "y", "pass": "y"}
    async with (
        pair_of_servers(kinds, config=ACCOUNTS) as (one, other),
        client_of(one, **x) as ax,
        client_of(other, **x) as bx,
        client_of(other, **y) as by,
        client_of(one, **y) as ay,
    ):
        await by.subscribe("both")
        await until_heard(ax, bx, "both")
        await until_heard(ay, by, "y.only")
        await bx.subscribe("both", sid="5")
        await bx.ping_pong()
        await until_heard(bx, ax, "ready")
        await ax.publish("both", b"of x")
        await bx.expect(b"MSG both 5 4\r\nof x\r\n")
        await ay.publish("both", b"of y")
        await by.expect(b"MSG both 1 4\r\nof y\r\n")


@pytest.mark.parametrize("kinds", PAIRS, ids=pair_name)
async def test_a_lost_server_is_dialled_again_and_interest_is_right(kinds: Kinds) -> None:
    seed_kind, joiner_kind = kinds
    async with AsyncExitStack() as stack:
        async with running_server(seed_kind, config=cluster_config()) as seed:
            port = seed.port("cluster")
            joining = cluster_config(routes=(port,))
            joiner = await stack.enter_async_context(running_server(joiner_kind, config=joining))
            b = await stack.enter_async_context(client_of(joiner))
            async with client_of(seed) as a:
                await until_heard(a, b, "before")
        await b.subscribe("kept")
        seed_again = cluster_config(listen=f"127.0.0.1:{port}")
        async with running_server(seed_kind, config=seed_again) as again, client_of(again) as a:
            await until_heard(a, b, "after")
            await a.publish("kept", b"x")
            await b.expect(b"MSG kept 1 1\r\nx\r\n")


@pairs
async def test_a_wrong_cluster_name_is_refused_with_the_reason(kinds: Kinds) -> None:
    async with running_server(kinds[0], config=cluster_config(name="ONE")) as seed:
        joining = cluster_config(name="OTHER", routes=(seed.port("cluster"),))
        async with running_server(kinds[1], config=joining) as joiner:
            wanted = "Rejecting connection, cluster name"
            await eventually(lambda: wanted in seed.log_text() + joiner.log_text())


@pairs
async def test_credentials_open_the_route(kinds: Kinds) -> None:
    guarded = "authorization { user: r, password: s3cret }"
    async with running_server(kinds[0], config=cluster_config(more=guarded)) as seed:
        port = seed.port("cluster")
        known = f'cluster {{ name: C, listen: "127.0.0.1:-1", routes: ["nats://r:s3cret@127.0.0.1:{port}"] }}'
        async with running_server(kinds[1], config=known) as joiner, client_of(seed) as a, client_of(joiner) as b:
            await until_heard(a, b, "let.in")
        async with running_server(kinds[1], config=cluster_config(routes=(port,))) as stranger:
            await eventually(lambda: "Authorization Violation" in stranger.log_text())


@pytest.mark.parametrize("joiner", [ServerKind.OURS, ServerKind.REAL], ids=lambda kind: kind.value)
@pytest.mark.parametrize("seed", [ServerKind.OURS, ServerKind.REAL], ids=lambda kind: kind.value)
async def test_servers_that_know_only_the_seed_find_each_other(seed: ServerKind, joiner: ServerKind) -> None:
    async with running_server(seed, config=cluster_config()) as first:
        routes = (first.port("cluster"),)
        async with (
            running_server(joiner, config=cluster_config(routes=routes)) as second,
            running_server(ServerKind.OURS, config=cluster_config(routes=routes)) as third,
            client_of(second) as b,
            client_of(third) as c,
        ):
            await until_heard(b, c, "found")
            await until_heard(c, b, "found")


async def test_a_route_to_oneself_is_left_alone() -> None:
    """Checklist 80: the same list of routes for all nodes is usual."""
    async with running_server(ServerKind.OURS, config=cluster_config()) as probe:
        port = probe.port("cluster")
    own = cluster_config(listen=f"127.0.0.1:{port}", routes=(port,))
    async with running_server(ServerKind.OURS, config=own, args=["-D"]) as server:
        await eventually(lambda: "Detected route to self" in server.log_text())
        async with client_of(server) as client:
            await client.ping_pong()


@pytest.mark.parametrize("kinds", PAIRS, ids=pair_name)
async def test_two_that_dial_each_other_at_once_end_up_with_one_route(kinds: Kinds) -> None:
    ports = []
    for _ in kinds:
        async with running_server(ServerKind.OURS, config=cluster_config()) as probe:
            ports.append(probe.port("cluster"))
    configs = [cluster_config(listen=f"127.0.0.1:{own}", routes=tuple(ports)) for own in ports]
    async with AsyncExitStack() as stack:
        servers: dict[int, Server] = {}

        async def start(at: int) -> None:
            servers[at] = await stack.enter_async_context(running_server(kinds[at], config=configs[at]))

        async with trio.open_nursery() as nursery:
            for at in range(2):
                nursery.start_soon(start, at)
        a = await stack.enter_async_context(client_of(servers[0]))
        b = await stack.enter_async_context(client_of(servers[1]))
        await until_heard(a, b, "met")
        await until_heard(b, a, "met")
        for number in range(20):
            await b.subscribe(f"once.{number}", sid=f"{number}")
        await b.ping_pong()
        await until_heard(b, a, "ready")
        for number in range(20):
            await a.publish(f"once.{number}", b"x")
            await b.expect(b"MSG once.%d %d 1\r\nx\r\n" % (number, number))
        await b.ping_pong()


async def test_a_mesh_from_flags_survives_the_loss_of_its_seed() -> None:
    """Mission: servers started from flags, the seed stopped, another one added by way of those who are left."""
    async with AsyncExitStack() as stack:

        async def node(*routes: int) -> Server:
            words = ["--cluster", "nats://127.0.0.1:-1", "--cluster_name", "walk"]
            if routes:
                words += ["--routes", ",".join(f"nats://127.0.0.1:{port}" for port in routes)]
            return await stack.enter_async_context(running_server(ServerKind.OURS, args=words))

        async with running_server(
            ServerKind.OURS, args=["--cluster", "nats://127.0.0.1:-1", "--cluster_name", "walk"]
        ) as seed:
            first = await node(seed.port("cluster"))
            second = await node(seed.port("cluster"))
            a = await stack.enter_async_context(client_of(first))
            b = await stack.enter_async_context(client_of(second))
            await until_heard(a, b, "with.seed")
        await until_heard(a, b, "without.seed")
        third = await node(first.port("cluster"))
        c = await stack.enter_async_context(client_of(third))
        for speaker, listener in ((a, c), (c, a), (b, c), (c, b)):
            await until_heard(speaker, listener, "with.third")


async def test_generated_names_give_way_to_one_name() -> None:
    """Checklist 81."""
    async with AsyncExitStack() as stack:
        seed = await stack.enter_async_context(running_server(ServerKind.OURS, config=cluster_config(name="")))
        joining = cluster_config(name="", routes=(seed.port("cluster"),))
        joiner = await stack.enter_async_context(running_server(ServerKind.OURS, config=joining))
        a = await stack.enter_async_context(client_of(seed))
        b = await stack.enter_async_context(client_of(joiner))
        await until_heard(a, b, "one.name")
        async with client_of(seed) as one, client_of(joiner) as other:
            assert one.info["cluster"] == other.info["cluster"] != ""


async def test_killing_a_role_loses_the_routes_only_for_a_moment() -> None:
    """A router that is restarted by its supervisor joins again, and hears all interest again."""
    async with pair_of_servers((ServerKind.OURS, ServerKind.OURS)) as (one, other), client_of(other) as b:
        async with client_of(one) as a:
            await until_heard(a, b, "before")
        await b.subscribe("kept")
        await b.ping_pong()
        for pid in one.descendants():
            if "nf-router" in Path(f"/proc/{pid}/comm").read_text():
                os.kill(pid, signal.SIGKILL)
        await eventually(lambda: one.log_text().count("Route connection created") >= 2, within_s=20)
        async with client_of(one) as a:
            await until_heard(a, b, "after")
            await a.publish("kept", b"x")
            await b.expect(b"MSG kept 1 1\r\nx\r\n")


@pytest.mark.parametrize("kinds", PAIRS, ids=pair_name)
async def test_monitoring_shows_the_route_on_both_sides(kinds: Kinds) -> None:
    async with AsyncExitStack() as stack:
        seed = await stack.enter_async_context(running_server(kinds[0], config=cluster_config(), monitoring=True))
        joining = cluster_config(routes=(seed.port("cluster"),))
        joiner = await stack.enter_async_context(running_server(kinds[1], config=joining, monitoring=True))
        a = await stack.enter_async_context(client_of(seed))
        b = await stack.enter_async_context(client_of(joiner))
        await until_heard(a, b, "seen")
        await until_heard(b, a, "seen")
        for server, other, solicited in ((joiner, seed, True), (seed, joiner, False)):
            await eventually(partial(has_routes, server, POOLED))
            page = await fetch(server, "/routez")
            remote = (await fetch(other, "/varz"))["server_id"]
            assert page["num_routes"] == len(page["routes"]) == POOLED
            for row in page["routes"]:
                assert (row["remote_id"], row["pending_size"]) == (remote, 0)
                assert (row["did_solicit"], row["is_configured"]) == (solicited, solicited)
            assert [row["account"] for row in page["routes"] if "account" in row] == ["$SYS"]
            busy = [row for row in page["routes"] if row["in_msgs"] and row["out_msgs"] and "account" not in row]
            assert len(busy) == 1
            varz = await fetch(server, "/varz")
            assert (varz["routes"], varz["remotes"], varz["cluster"]["name"]) == (POOLED, 1, "C")
            assert varz["cluster"]["cluster_port"] == server.port("cluster") and varz["cluster"]["pool_size"] == 3


async def has_routes(server: Server, count: int) -> bool:
    """Whether a server has so many connections to others."""
    return bool((await fetch(server, "/varz"))["routes"] == count)


async def fetch(server: Server, path: str) -> Any:
    """A page of monitoring."""
    async with httpx.AsyncClient() as web:
        return (await web.get(f"http://127.0.0.1:{server.monitor_port}{path}")).json()
