"""When a starting member of a cluster lets clients in: after the servers it is told to dial."""

from __future__ import annotations

import socket

import pytest
import trio

from tests.kit.clusters import client_of, cluster_config
from tests.kit.rawclient import raw_client
from tests.kit.servers import Server, ServerFailed, ServerKind, running_server, start_server

START_S = 15.0


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until_connected(port: int) -> None:
    """Waits until a server takes connections."""
    with trio.fail_after(START_S):
        while True:
            try:
                async with await trio.open_tcp_stream("127.0.0.1", port):
                    return
            except OSError:
                await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("kind", list(ServerKind), ids=lambda kind: kind.value)
async def test_a_server_that_takes_connections_is_known_to_the_others(kind: ServerKind) -> None:
    port = free_port()
    async with running_server(kind, config=cluster_config()) as seed, trio.open_nursery() as nursery:

        async def join(task_status: trio.TaskStatus[Server]) -> None:
            config = cluster_config(routes=(seed.port("cluster"),))
            async with running_server(ServerKind.OURS, config=config, listen=f"127.0.0.1:{port}") as joiner:
                task_status.started(joiner)
                await trio.sleep_forever()

        nursery.start_soon(nursery.start, join)
        await until_connected(port)
        async with raw_client(seed) as client:
            assert f"127.0.0.1:{port}" in client.info["connect_urls"]
        nursery.cancel_scope.cancel()


async def test_a_server_whose_route_is_dead_serves_all_the_same() -> None:
    config = cluster_config(routes=(free_port(),))
    async with running_server(ServerKind.OURS, config=config) as server, client_of(server) as client:
        await client.ping_pong()


async def test_a_port_in_use_is_refused_though_listening_comes_later() -> None:
    async with running_server(ServerKind.OURS) as first:
        config, address = cluster_config(routes=(free_port(),)), f"127.0.0.1:{first.client_port}"
        with pytest.raises(ServerFailed, match="address already in use"):
            await trio.to_thread.run_sync(lambda: start_server(ServerKind.OURS, config=config, listen=address))
