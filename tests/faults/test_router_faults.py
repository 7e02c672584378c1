"""What clients notice when the router dies, hangs, or is left without its supervisor."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path
from typing import Any

import trio

from tests.cluster.supervised import eventually, is_gone
from tests.faults.router_node import RouterNode, router_node
from tests.kit.rawclient import RawClient, raw_client


def client_of(node: RouterNode) -> Any:
    """A raw connection to the node, as a context."""
    return raw_client(node)  # type: ignore[arg-type]


async def echo_works(client: RawClient) -> None:
    """What the connection publishes comes back to it."""
    await client.send(b"SUB faults.echo 1\r\nPUB faults.echo 2\r\nhi\r\n")
    await client.expect(b"MSG faults.echo 1 2\r\nhi\r\n")
    await client.send(b"UNSUB 1\r\n")


async def wait_until(condition: Any) -> Any:
    """The first true value of a condition, polled in a thread."""
    return await trio.to_thread.run_sync(partial(eventually, condition))


async def test_clients_of_a_killed_router_are_cut_and_can_come_back(tmp_path: Path) -> None:
    with router_node(tmp_path) as node:
        first = node.node.record()
        assert first is not None
        async with client_of(node) as client:
            await client.connect()
            await echo_works(client)
            os.kill(first.pid, signal.SIGKILL)
            await client.expect_closed()
        async with client_of(node) as client:  # waits in the kernel while the router comes up again
            await client.connect()
            await echo_works(client)
        again = await wait_until(node.node.record)
        assert again.pid != first.pid
        assert node.node.process.poll() is None


async def test_connections_wait_while_the_router_is_stopped(tmp_path: Path) -> None:
    with router_node(tmp_path) as node:
        record = node.node.record()
        assert record is not None
        os.kill(record.pid, signal.SIGSTOP)
        try:
            stream = await trio.open_tcp_stream("127.0.0.1", node.client_port)
        finally:
            os.kill(record.pid, signal.SIGCONT)
        client = RawClient(stream)
        await client.read_greeting()
        await client.connect()
        await echo_works(client)
        await client.aclose()


async def test_nothing_serves_once_the_supervisor_was_killed(tmp_path: Path) -> None:
    with router_node(tmp_path) as node:
        record = node.node.record()
        assert record is not None
        async with client_of(node) as client:
            await client.connect()
            os.kill(node.node.pid, signal.SIGKILL)
            await client.expect_closed()
        await wait_until(lambda: is_gone(record.pid))


async def test_a_client_that_is_killed_takes_nothing_with_it(tmp_path: Path) -> None:
    with router_node(tmp_path) as node:
        async with client_of(node) as survivor:
            await survivor.connect()
            async with client_of(node) as victim:
                await victim.connect()
                await victim.send(b"PUB faults.echo 1000000\r\nonly the beginning")
                socket = victim.stream.socket  # type: ignore[attr-defined]
                socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")  # a reset
            await echo_works(survivor)
