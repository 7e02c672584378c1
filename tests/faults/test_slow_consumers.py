"""Subscribers that never read: they are cut off, memory stays within its bound, and a healthy subscriber gets everything.

`bench/slow_consumers.py` does the same with thousands of them and prints figures.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from tests.faults.neighbour import MEGABYTE, allow_descriptors, resident_bytes
from tests.kit.eventually import eventually
from tests.kit.monitoring import get
from tests.kit.rawclient import RawClient, raw_client
from tests.kit.servers import Server, ServerKind, running_server

PENDING_MAX_BYTES = 4 * MEGABYTE
PENDING_TOTAL_BYTES = 64 * MEGABYTE
SLACK_BYTES = 48 * MEGABYTE
"""What may come on top of the bound: copies on their way to all receivers (16 MB), a buffer while it grows, input."""
REMEMBERED_BYTES = 8192
"""What is kept of a connection that was cut: an event, a log line, a place among the closed ones."""
CONFIG = f"""
max_pending: {PENDING_MAX_BYTES}
write_deadline: "60s"
fleet {{ pending_bytes_max: {PENDING_TOTAL_BYTES} }}
"""
BOUND_BY_ALL = f"fleet {{ pending_bytes_max: {PENDING_TOTAL_BYTES} }}"
SMALL, LARGE = 200, 100_000


@asynccontextmanager
async def subscribers_that_never_read(server: Server, count: int) -> AsyncIterator[None]:
    """So many connections with tiny receive buffers, all subscribed to `feed`."""
    clients: list[RawClient] = []
    for _ in range(count):
        plain = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await plain.connect(("127.0.0.1", server.client_port))
        client = RawClient(trio.SocketStream(plain))
        clients.append(client)
        await client.read_greeting()
        await client.connect()
        await client.subscribe("feed")
    yield
    for client in clients:
        await client.aclose()


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("count", [20, 400])
async def test_slow_consumers_are_cut_within_bounded_memory(count: int, size: int) -> None:
    allow_descriptors(count * 2 + 500)
    body = b"x" * size
    async with (
        running_server(ServerKind.OURS, config=CONFIG, monitoring=True) as server,
        raw_client(server) as publisher,
        raw_client(server) as healthy,
        subscribers_that_never_read(server, count),
    ):
        await publisher.connect()
        await healthy.connect()
        await healthy.subscribe("feed")
        before, worst, sent = resident_bytes(server), 0, 0
        batch = max(1, 200_000 // size)
        with trio.fail_after(60):
            while server.log_text().count("Slow Consumer Detected") < count:
                await publisher.send(b"".join(b"PUB feed %d\r\n%s\r\n" % (size, body) for _ in range(batch)))
                for _ in range(batch):
                    assert (await healthy.expect_message()).payload == body
                sent += batch
                worst = max(worst, resident_bytes(server) - before)
        assert worst < PENDING_TOTAL_BYTES + SLACK_BYTES, f"memory grew by {worst / MEGABYTE:.1f} MB"
        await publisher.ping_pong()
        varz = await eventually(lambda: slow_consumers(server, count), what="the counter of slow consumers")
        assert varz["slow_consumer_stats"]["clients"] == count
        assert varz["in_msgs"] == sent


async def test_a_flood_to_slow_consumers_stays_within_bounded_memory() -> None:
    """Input comes faster than it can be copied to all receivers, so threads of the engine share the work."""
    count, size, batch = 3000, 10_000, 400
    allow_descriptors(count * 2 + 500)
    flood = b"".join(b"PUB feed %d\r\n%s\r\n" % (size, b"x" * size) for _ in range(batch))
    async with (
        running_server(ServerKind.OURS, config=BOUND_BY_ALL) as server,
        raw_client(server) as publisher,
        subscribers_that_never_read(server, count),
    ):
        await publisher.connect()
        before, worst = resident_bytes(server), 0
        with trio.fail_after(60):
            while server.log_text().count("Slow Consumer Detected") < count:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(publisher.send, flood)
                    while nursery.child_tasks:
                        worst = max(worst, resident_bytes(server) - before)
                        await trio.lowlevel.checkpoint()
        bound = PENDING_TOTAL_BYTES + SLACK_BYTES + count * REMEMBERED_BYTES
        assert worst < bound, f"memory grew by {worst / MEGABYTE:.1f} MB"


async def slow_consumers(server: Server, count: int) -> dict[str, Any] | None:
    """varz, once it tells of so many."""
    varz: dict[str, Any] = (await get(server, "/varz")).json()
    return varz if varz["slow_consumers"] == count else None
