"""`no_sublist_cache`: what a subject resolves to is not remembered, and is found all the same."""

from __future__ import annotations

import pytest

from tests.conftest import Dial, StartServer
from tests.kit import monitoring


@pytest.mark.parametrize("remembers", [True, False])
async def test_messages_arrive_whether_or_not_routes_are_remembered(
    shared_server: StartServer, login: Dial, remembers: bool
) -> None:
    server = shared_server(f"no_sublist_cache: {str(not remembers).lower()}", monitoring=True)
    client = await login(server)
    await client.subscribe("many.>")
    for number in range(20):
        await client.send(f"PUB many.{number % 7} 2\r\nhi\r\n".encode())
        await client.expect(f"MSG many.{number % 7} 1 2\r\nhi\r\n".encode())
    page = (await monitoring.get(server, "/subsz")).json()
    assert bool(page["num_cache"]) is remembers
    assert bool(page["max_fanout"]) is remembers
    assert remembers or page["cache_hit_rate"] == 0
