"""A control plane that does nothing for two seconds: messages flow on, newcomers wait and are served.

Only the thread that runs Python is stopped. What a server does without it is what its engine does alone.
"""

from __future__ import annotations

import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from bench.paused_thread import cpu_ticks, paused_thread
from tests.faults.neighbour import neighbour
from tests.kit.rawclient import RawClient, open_connection, raw_client
from tests.kit.servers import Server, ServerKind, running_server

BLOCK_S = 2.0
PRIVATE = "authorization { user: u, password: p, timeout: 10 }"
LOGIN = {"user": "u", "pass": "p"}
RESET = struct.pack("ii", 1, 0)
DELAY_MAX_S = 0.5
"""Far less than the block, far more than a busy machine adds."""


def router_pid(server: Server) -> int:
    """The process that serves clients. Its first thread, which runs Python, has the same number."""
    names = {pid: Path(f"/proc/{pid}/comm").read_text().strip() for pid in server.descendants()}
    (router,) = [pid for pid, name in names.items() if name == "nf-router"]
    return router


@asynccontextmanager
async def blocked_control_plane(server: Server) -> AsyncIterator[trio.Event]:
    """The control plane stands still for the whole block and two seconds at least; the event tells that they are over."""
    over = trio.Event()

    async def tell() -> None:
        await trio.sleep_until(started + BLOCK_S)
        over.set()

    with paused_thread(router_pid(server)):
        started = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tell)
            yield over


async def test_messages_flow_while_the_control_plane_is_blocked() -> None:
    async with running_server(ServerKind.OURS, config=PRIVATE) as server, neighbour(server, **LOGIN) as pair:
        async with blocked_control_plane(server) as over:
            before, pair.slowest_s = pair.answered, 0.0
            await over.wait()
        assert pair.answered - before > 100
        assert pair.slowest_s < DELAY_MAX_S


async def test_who_needs_no_decision_is_served_while_the_control_plane_is_blocked() -> None:
    async with running_server(ServerKind.OURS) as server, blocked_control_plane(server) as over:
        async with raw_client(server) as client:
            await client.connect()
            await client.send(b"SUB a 1\r\nPUB a 2\r\nhi\r\n")
            await client.expect(b"MSG a 1 2\r\nhi\r\n")
        assert not over.is_set()


async def test_who_connects_meanwhile_is_served_afterwards() -> None:
    async with running_server(ServerKind.OURS, config=PRIVATE) as server:
        newcomers: list[RawClient] = []
        async with blocked_control_plane(server) as over:
            for _ in range(100):
                client = RawClient(await open_connection(server))
                await client.read_greeting()  # the engine greets by itself
                await client.send_connect(verbose=False, **LOGIN)
                await client.send(b"SUB a 1\r\nPING\r\n")
                newcomers.append(client)
            await over.wait()
        for client in newcomers:
            await client.expect(b"PONG\r\n")
        await newcomers[0].send(b"PUB a 2\r\nhi\r\n")
        for client in newcomers:
            await client.expect(b"MSG a 1 2\r\nhi\r\n")
            await client.aclose()


async def test_connections_that_break_meanwhile_cost_no_processor_time() -> None:
    """A reset connection with input that nobody may look at yet reports its end all the time."""
    async with running_server(ServerKind.OURS, config=PRIVATE) as server:
        pid = router_pid(server)
        async with blocked_control_plane(server) as over:
            for _ in range(20):
                client = RawClient(await open_connection(server))
                await client.read_greeting()
                await client.send_connect(verbose=False, **LOGIN)
                await client.send(b"PUB a 100000\r\n" + b"x" * 50_000)
                stream = client.stream
                assert isinstance(stream, trio.SocketStream)
                stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, RESET)
                await stream.aclose()
            before = cpu_ticks(pid)
            await over.wait()
            used_s = (cpu_ticks(pid) - before) / os.sysconf("SC_CLK_TCK")
        assert used_s < BLOCK_S / 4, f"{used_s:.2f} s of processor time were used for nothing"
        async with raw_client(server) as client:
            await client.connect(**LOGIN)
