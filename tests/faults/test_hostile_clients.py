"""Clients that mean harm or are broken: each is cut off with the right words or stays harmless, and nobody else notices.

Every attack runs beside a pair of clients that ask and answer all the time. Memory is that of all processes of the node.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from tests.faults.neighbour import MEGABYTE, allow_descriptors, neighbour, resident_bytes
from tests.kit.eventually import eventually
from tests.kit.rawclient import RawClient, open_connection, raw_client
from tests.kit.servers import Server, ServerKind, running_server

CROWD = 200
"""Connections of an attack that needs several."""
SILENT = 3000
"""Connections that say nothing."""
DESCRIPTORS = 2 * SILENT + 500
CUT_S = 20.0
PRIVATE = "authorization { user: u, password: p, timeout: 1 }"


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    allow_descriptors(DESCRIPTORS)
    async with running_server(ServerKind.OURS) as server:
        yield server


async def everywhere(count: int, server: Server, attack: Callable[[RawClient, int], object]) -> None:
    """Runs an attack on so many connections at the same time. Each has read its INFO."""

    async def one(number: int) -> None:
        async with raw_client(server) as client:
            await attack(client, number)  # type: ignore[misc]

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(one, number)


@asynccontextmanager
async def bounded_memory(server: Server, *, most_bytes: int) -> AsyncIterator[None]:
    """Memory may not grow by more than that, looked at again and again inside the block and at its end."""
    before = resident_bytes(server)
    worst = 0

    async def watch(scope: trio.CancelScope) -> None:
        nonlocal worst
        with scope:
            while True:
                worst = max(worst, resident_bytes(server) - before)
                await trio.to_thread.run_sync(lambda: None)  # lets others run first

    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        nursery.start_soon(watch, scope)
        yield
        worst = max(worst, resident_bytes(server) - before)
        scope.cancel()
    assert worst <= most_bytes, f"memory grew by {worst / MEGABYTE:.1f} MB, allowed are {most_bytes / MEGABYTE:.1f} MB"


async def send_until_cut(client: RawClient, piece: bytes, *, most_bytes: int) -> int:
    """Sends the same piece again and again until the server is seen to be gone; returns the bytes sent."""
    sent = 0
    with trio.fail_after(CUT_S):
        while sent < most_bytes:
            try:
                await client.stream.send_all(piece)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                break
            sent += len(piece)
    return sent


async def test_random_bytes_are_cut_off(server: Server) -> None:
    async def attack(client: RawClient, number: int) -> None:
        noise = random.Random(number)
        await client.send(b"\0" + noise.randbytes(8192))
        await client.expect_err_and_close("Unknown Protocol Operation", within_s=CUT_S)

    async with neighbour(server), bounded_memory(server, most_bytes=30 * MEGABYTE):
        await everywhere(CROWD, server, attack)


async def test_random_bytes_after_connect_are_cut_off(server: Server) -> None:
    async def attack(client: RawClient, number: int) -> None:
        noise = random.Random(number)
        await client.connect()
        words = [
            b"PUB",
            b"SUB",
            b"UNSUB",
            b"HPUB",
            b"PING",
            b"CONNECT",
            b"foo",
            b">",
            b"*",
            b"1",
            b"-1",
            b"9" * 20,
            b"\r\n",
        ]
        await client.send(b" ".join(noise.choices(words, k=200)) + b"\r\n\0\r\n")
        await client.send(b"\0" * 5000)  # ends whatever payload was announced
        with trio.fail_after(CUT_S):
            while await client.next_item():
                pass

    async with neighbour(server), bounded_memory(server, most_bytes=30 * MEGABYTE):
        await everywhere(CROWD, server, attack)


async def test_announced_payloads_take_no_memory_until_they_come(server: Server) -> None:
    async with neighbour(server), bounded_memory(server, most_bytes=50 * MEGABYTE):

        async def attack(client: RawClient, number: int) -> None:
            await client.connect()
            await client.send(b"PUB a 1000000\r\nx")
            await client.send(b"yz")
            waiting.append(client)
            await all_waiting.wait()

        waiting: list[RawClient] = []
        all_waiting = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(everywhere, CROWD * 4, server, attack)
            await eventually(lambda: len(waiting) == CROWD * 4, within_s=CUT_S, what="all to wait")
            async with raw_client(server) as last:  # the server has looked at all of them before it
                await last.connect()
            all_waiting.set()


@pytest.mark.parametrize("start", [b"SUB ", b"CONNECT {", b"PING", b"UNSUB ", b"PUB a"])
async def test_a_line_without_end_is_cut_off(server: Server, start: bytes) -> None:
    async with neighbour(server), bounded_memory(server, most_bytes=20 * MEGABYTE), raw_client(server) as client:
        await client.send(start)
        sent = await send_until_cut(client, b"a" * 65536, most_bytes=100 * MEGABYTE)
        assert sent < 100 * MEGABYTE


async def test_a_line_that_is_too_long_is_named(server: Server) -> None:
    async with neighbour(server), raw_client(server) as client:
        await client.send(b"SUB " + b"a" * 5000)
        await client.expect_err_and_close("maximum control line exceeded")


async def test_headers_beyond_the_payload_limit_are_cut_off(server: Server) -> None:
    async with neighbour(server), bounded_memory(server, most_bytes=20 * MEGABYTE), raw_client(server) as client:
        await client.connect(headers=True)
        await client.send(b"HPUB a 900000000 900000000\r\nNATS/1.0\r\n")
        await client.expect_err_and_close("Maximum Payload Violation")


async def test_endless_header_lines_stay_within_one_message(server: Server) -> None:
    header = b"NATS/1.0\r\n" + b"A: b\r\n" * 170_000
    async with neighbour(server), bounded_memory(server, most_bytes=40 * MEGABYTE), raw_client(server) as client:
        await client.connect(headers=True)
        await client.send(b"HPUB a %d %d\r\n" % (len(header), len(header)) + header)
        await client.send(b"A: b\r\n" * 20)
        await client.expect_err_and_close("Unknown Protocol Operation")


async def test_who_asks_and_never_reads_the_answers_is_cut_off(server: Server) -> None:
    async with neighbour(server), bounded_memory(server, most_bytes=220 * MEGABYTE), raw_client(server) as client:
        await client.connect()
        await send_until_cut(client, b"PING\r\n" * 20_000, most_bytes=1 << 40)
        await eventually(lambda: "Slow Consumer Detected" in server.log_text(), what="the slow consumer line")


async def test_dripping_bytes_do_not_stretch_the_time_to_connect() -> None:
    async def attack(client: RawClient, number: int) -> None:
        with trio.fail_after(CUT_S):
            for byte in b'CONNECT {"user":"' + b"u" * 10_000:
                await client.send(bytes([byte]))
                item = b""
                with trio.move_on_after(0.05):
                    item = await client.next_item()
                if item:
                    break
        assert item == b"-ERR 'Authentication Timeout'\r\n"
        await client.expect_closed()

    async with (
        running_server(ServerKind.OURS, config=PRIVATE) as server,
        neighbour(server, user="u", **{"pass": "p"}),
        bounded_memory(server, most_bytes=30 * MEGABYTE),
    ):
        await everywhere(CROWD, server, attack)


async def test_silent_connections_are_shown_out() -> None:
    async with (
        running_server(ServerKind.OURS, config=PRIVATE) as server,
        neighbour(server, user="u", **{"pass": "p"}),
        bounded_memory(server, most_bytes=80 * MEGABYTE),
    ):

        async def be_silent(client: RawClient, number: int) -> None:
            await client.expect_err_and_close("Authentication Timeout", within_s=CUT_S)

        await everywhere(SILENT, server, be_silent)


async def test_silent_connections_are_harmless_where_nobody_must_say_who_they_are(server: Server) -> None:
    async with neighbour(server), bounded_memory(server, most_bytes=60 * MEGABYTE):
        streams = [await open_connection(server) for _ in range(SILENT)]
        async with raw_client(server) as client:
            await client.connect()
        for stream in streams:
            await trio.aclose_forcefully(stream)


async def test_connections_beyond_the_limit_are_told_and_cut() -> None:
    async with running_server(ServerKind.OURS, config="max_connections: 50") as server, neighbour(server):
        streams = [RawClient(await open_connection(server)) for _ in range(300)]
        refused = 0
        for client in streams:
            await client.read_greeting()
            await client.send(b"PING\r\n")
            refused += await client.next_item() == b"-ERR 'maximum connections exceeded'\r\n"
        assert refused == 300 - 48
        for client in streams:
            await client.aclose()


async def test_very_many_subscriptions_cost_little_and_leave_nothing(server: Server) -> None:
    count = 200_000
    lines = b"".join(b"SUB many.%d.here %d\r\nSUB many.%d.* w%d\r\n" % (n, n, n, n) for n in range(count // 2))
    async with neighbour(server), bounded_memory(server, most_bytes=150 * MEGABYTE):
        before = resident_bytes(server)
        async with raw_client(server) as client:
            await client.connect()
            await client.send(lines)
            await client.ping_pong()
        async with raw_client(server) as client:
            await client.connect()
        await eventually(
            lambda: resident_bytes(server) - before < 120 * MEGABYTE, within_s=CUT_S, what="memory to come back"
        )


async def test_subjects_of_very_many_tokens_cost_little(server: Server) -> None:
    async with neighbour(server), bounded_memory(server, most_bytes=100 * MEGABYTE), raw_client(server) as client:
        await client.connect()
        for at in range(1000):
            tokens = ["a"] * 2000
            tokens[at] = "*"
            await client.send(f"SUB {'.'.join(tokens)} {at}\r\n".encode())
        await client.ping_pong()
        subject = ".".join(["a"] * 2000).encode()
        for _ in range(3):
            await client.send(b"PUB " + subject + b" 0\r\n\r\n")
            for _ in range(1000):
                await client.expect_message(within_s=CUT_S)


async def test_very_many_published_subjects_are_not_all_remembered(server: Server) -> None:
    async with neighbour(server), bounded_memory(server, most_bytes=150 * MEGABYTE), raw_client(server) as client:
        await client.connect()
        for start in range(0, 1_000_000, 10_000):
            await client.send(b"".join(b"PUB once.%d.only 0\r\n\r\n" % n for n in range(start, start + 10_000)))
        await client.ping_pong()
