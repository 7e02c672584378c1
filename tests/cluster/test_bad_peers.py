"""Strangers on the port for routes: they are sent away in time, and neither clients nor other servers notice."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

from tests.kit.clusters import PAIRS, client_of, cluster_config, pair_name, pair_of_servers, until_heard
from tests.kit.eventually import eventually
from tests.kit.rawclient import RawClient
from tests.kit.routepeer import RoutePeer, route_peer
from tests.kit.servers import Server, ServerKind, running_server

GUARDED = "authorization { user: r, password: s3cret, timeout: 1 }"
ROUTE_LINE_BYTES = 64 << 10
STRANGERS = 300
GONE_S = 10.0
NOTICE_S = 1.0
"""What a message between two servers may take at most while strangers are busy, on a machine that is busy, too."""

NONSENSE = (
    b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
    bytes(range(256)) * 64,
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b'CONNECT {"name":',
    b"CONNECT [1]\r\n",
    b"CONNECT {]\r\n",
    b"RMSG $G a 100000000\r\n",
    b"INFO {}\r\n",
    b"\r\n",
)

Kinds = tuple[ServerKind, ServerKind]
both = pytest.mark.parametrize("kind", list(ServerKind), ids=lambda kind: kind.value)
pairs = pytest.mark.parametrize("kinds", PAIRS, ids=pair_name)


@asynccontextmanager
async def guarded_pair(kinds: Kinds) -> AsyncIterator[tuple[Server, Server]]:
    """Two servers that ask for credentials on their routes."""
    async with running_server(kinds[0], config=cluster_config(more=GUARDED)) as seed:
        route = f'"nats://r:s3cret@127.0.0.1:{seed.port("cluster")}"'
        joining = f'cluster {{ name: C, listen: "127.0.0.1:-1", routes: [{route}], {GUARDED} }}\n'
        async with running_server(kinds[1], config=joining) as joiner:
            yield seed, joiner


async def undisturbed(a: RawClient, b: RawClient) -> None:
    """Messages come through between two clients, one at a time and soon."""
    for number in range(20):
        begin = time.monotonic()
        await a.publish("calm", b"%d" % number)
        await b.expect(b"MSG calm 1 %d\r\n%d\r\n" % (len(str(number)), number))
        took = time.monotonic() - begin
        assert took < NOTICE_S, f"a message took {took:.2f} s"


@asynccontextmanager
async def calm(kinds: Kinds) -> AsyncIterator[tuple[Server, RawClient, RawClient]]:
    """A pair of servers with a client each; the second one listens. They must not notice what happens inside the block."""
    async with guarded_pair(kinds) as (one, other), client_of(one) as a, client_of(other) as b:
        await until_heard(a, b, "warm")
        await b.subscribe("calm")
        await until_heard(b, a, "ready")
        await until_heard(a, b, "warm.again")
        await undisturbed(a, b)
        yield one, a, b
        await undisturbed(a, b)
        lost = [
            line for line in one.log_text().splitlines() if "Router connection closed" in line and "Remote: " in line
        ]
        assert not [line for line in lost if not line.endswith("Remote: LATE")]


@pairs
async def test_nonsense_is_sent_away(kinds: Kinds) -> None:
    async with calm(kinds) as (server, _, _), trio.open_nursery() as nursery:
        for nonsense in NONSENSE:
            nursery.start_soon(_is_sent_away, server, nonsense)


async def _is_sent_away(server: Server, nonsense: bytes) -> None:
    async with route_peer(server) as peer:
        await peer.send(nonsense)
        with trio.fail_after(GONE_S):
            words = await peer.closing_words()
    assert all(word.startswith(b"-ERR") for word in words), (nonsense, words)


@both
async def test_a_line_without_end_is_not_collected(kind: ServerKind) -> None:
    async with running_server(kind, config=cluster_config()) as server, route_peer(server) as peer:
        for _ in range(40):
            await peer.send(b"x" * ROUTE_LINE_BYTES)
        await peer.closing_words()
        async with client_of(server) as client:
            await client.ping_pong()


async def test_a_line_without_end_on_a_route_ends_it() -> None:
    """Ours: who has joined may send long lines, but not for ever."""
    async with running_server(ServerKind.OURS, config=cluster_config()) as server, route_peer(server) as peer:
        await peer.join("ENDLESS")
        for _ in range(40):
            await peer.send(b"x" * ROUTE_LINE_BYTES)
        assert await peer.closing_words()
        async with client_of(server) as client:
            await client.ping_pong()


@pairs
async def test_wrong_credentials_are_told_and_sent_away(kinds: Kinds) -> None:
    async with calm(kinds) as (server, _, _):
        for password in ("", "s3cre", "s3cret ", "x" * 1000):
            async with route_peer(server) as peer:
                await peer.send(b'CONNECT {"user":"r","pass":"%s","cluster":"C"}\r\nPING\r\n' % password.encode())
                assert await peer.closing_words() == [b"-ERR 'Authorization Violation'"]


@pytest.mark.parametrize("cluster", ["OTHER", "_"])
@pairs
async def test_another_cluster_is_told_and_sent_away(kinds: Kinds, cluster: str) -> None:
    """Checklist 79."""
    async with pair_of_servers(kinds) as (server, other), client_of(server) as a, client_of(other) as b:
        await until_heard(a, b, "warm")
        async with route_peer(server) as peer:
            await peer.send(b'CONNECT {"name":"X","cluster":"%s"}\r\n' % cluster.encode())
            [word] = await peer.closing_words()
        assert word.startswith(b"-ERR 'Rejecting connection, cluster name")
        await until_heard(a, b, "calm")


@pytest.mark.parametrize("what", ["self", "server name"])
@both
async def test_a_server_that_is_there_already_is_sent_away_in_silence(kind: ServerKind, what: str) -> None:
    """Checklist 80."""
    named = cluster_config() + "server_name: here\n"
    async with running_server(kind, config=named) as server, route_peer(server) as peer:
        own = peer.info["server_id"]
        members = {"self": b'"server_id":"%s"' % own.encode(), "server name": b'"server_id":"X","server_name":"here"'}
        await peer.send(b'CONNECT {"name":"X","cluster":"C"}\r\nINFO {%s,"cluster":"C"}\r\n' % members[what])
        assert await peer.closing_words() == []


@pairs
async def test_hundreds_that_say_nothing_disturb_nobody(kinds: Kinds) -> None:
    """They are sent away when their time is over, and a server that comes meanwhile gets in soon after."""
    async with calm(kinds) as (server, a, b), AsyncExitStack() as stack:
        silent: list[trio.SocketStream] = []
        for _ in range(STRANGERS):
            stream = await trio.open_tcp_stream("127.0.0.1", server.port("cluster"))
            silent.append(await stack.enter_async_context(stream))
        await undisturbed(a, b)
        with trio.fail_after(GONE_S):
            for stream in silent:
                while await _received(stream):
                    pass
        await undisturbed(a, b)

        async def gets_in() -> bool:
            async with await trio.open_tcp_stream("127.0.0.1", server.port("cluster")) as stream:
                connect = b'CONNECT {"name":"LATE","cluster":"C","user":"r","pass":"s3cret"}\r\n'
                await stream.send_all(connect + b'INFO {"server_id":"LATE","cluster":"C"}\r\nPING\r\n')
                said = b""
                while b"PONG" not in said and (data := await _received(stream)):
                    said += data
                return b"PONG" in said

        await eventually(gets_in, what="a server that comes after them gets in")


@pairs
async def test_a_server_that_speaks_a_letter_at_a_time_has_no_more_time_than_others(kinds: Kinds) -> None:
    async with calm(kinds) as (server, a, b), route_peer(server) as peer:
        begin = time.monotonic()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_drip, peer, b'CONNECT {"name":"' + b"x" * 10_000)
            await undisturbed(a, b)
            with trio.fail_after(GONE_S):
                await peer.closing_words()
            nursery.cancel_scope.cancel()
        assert time.monotonic() - begin < GONE_S


async def test_strangers_that_keep_coming_do_not_keep_a_server_out() -> None:
    """As soon as places are free again whoever has waited longest gets one."""
    more = "authorization { user: r, password: s3cret, timeout: 0.5 }"
    async with running_server(ServerKind.OURS, config=cluster_config(more=more)) as seed, AsyncExitStack() as stack:
        port = seed.port("cluster")
        nursery = await stack.enter_async_context(trio.open_nursery())
        for _ in range(STRANGERS):
            nursery.start_soon(_come_again, port)
        joining = f'cluster {{ name: C, listen: "127.0.0.1:-1", routes: ["nats://r:s3cret@127.0.0.1:{port}"] }}'
        joiner = await stack.enter_async_context(running_server(ServerKind.OURS, config=joining))
        await eventually(lambda: "Route connection created" in joiner.log_text(), within_s=20, what="the route")
        nursery.cancel_scope.cancel()


async def _come_again(port: int) -> None:
    """A stranger that says nothing, is sent away, and comes again at once."""
    while True:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            while await _received(stream):
                pass
        await trio.sleep(0.05)


async def _drip(peer: RoutePeer, text: bytes) -> None:
    for at in range(len(text)):
        await peer.send(text[at : at + 1])
        await trio.sleep(0.02)


async def _received(stream: trio.SocketStream) -> bytes:
    try:
        return bytes(await stream.receive_some(4096))
    except trio.BrokenResourceError:
        return b""
