"""Clusters of servers under test, ours and real ones mixed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import trio

from tests.kit.rawclient import RawClient, raw_client
from tests.kit.servers import Server, ServerKind, running_server

JOIN_S = 15.0

PAIRS = [
    (ServerKind.OURS, ServerKind.OURS),
    (ServerKind.OURS, ServerKind.REAL),
    (ServerKind.REAL, ServerKind.OURS),
]
"""Who is dialled, and who dials."""


def pair_name(pair: object) -> str:
    """`seed-joiner`, for the names of tests."""
    assert isinstance(pair, tuple)
    return "-".join(kind.value for kind in pair)


def cluster_config(
    *, name: str = "C", routes: tuple[int, ...] = (), more: str = "", listen: str = "127.0.0.1:-1"
) -> str:
    """A cluster block that listens on a free port and dials others by their ports."""
    urls = ", ".join(f'"nats://127.0.0.1:{port}"' for port in routes)
    named = f"name: {name}, " if name else ""
    return f'cluster {{ {named}listen: "{listen}", routes: [{urls}]\n{more} }}\n'


@asynccontextmanager
async def pair_of_servers(
    kinds: tuple[ServerKind, ServerKind],
    *,
    config: str = "",
    more: str = "",
    joiner_more: str | None = None,
    **options: Any,
) -> AsyncIterator[tuple[Server, Server]]:
    """A seed and a server that has dialled it; both have `config` outside of their cluster blocks.

    `more` goes into these blocks, in that of the joiner `joiner_more` instead if it is given.
    """
    async with AsyncExitStack() as stack:
        first = running_server(kinds[0], config=cluster_config(more=more) + config, **options)
        seed = await stack.enter_async_context(first)
        routes = (seed.port("cluster"),)
        joined = cluster_config(routes=routes, more=more if joiner_more is None else joiner_more) + config
        yield seed, await stack.enter_async_context(running_server(kinds[1], config=joined, **options))


async def until_heard(speaker: RawClient, listener: RawClient, subject: str, *, within_s: float = JOIN_S) -> None:
    """Publishes on a subject until the listener, who subscribes to it, hears it; then everything is read away."""
    await listener.subscribe(subject, sid="9999")
    await listener.ping_pong()
    with trio.fail_after(within_s):
        while True:
            await speaker.publish(subject, b"?")
            await speaker.ping_pong()
            try:
                await listener.expect_message(within_s=0.05)
                break
            except AssertionError:
                continue
    await listener.send(b"UNSUB 9999\r\n")
    while True:
        try:
            await listener.expect_message(within_s=0.3)
        except AssertionError:
            return


@asynccontextmanager
async def client_of(server: Server, **options: Any) -> AsyncIterator[RawClient]:
    """A client that is connected."""
    async with raw_client(server) as client:
        yield await client.connect(**options)
