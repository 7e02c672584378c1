"""The official Python client as a black box."""

from __future__ import annotations

import asyncio
from typing import Any

import nats
import nats.errors
import pytest

from tests.conftest import StartServer
from tests.kit.servers import Server

WAIT_S = 10.0


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server()


async def connect(server: Server, **options: Any) -> nats.NATS:
    """A connected client that never reconnects."""
    return await nats.connect(f"nats://127.0.0.1:{server.client_port}", allow_reconnect=False, **options)


def test_messages_with_headers_arrive_in_order(server: Server) -> None:
    async def scenario() -> None:
        client = await connect(server)
        subscription = await client.subscribe("py.order")
        for number in range(1000):
            await client.publish("py.order", str(number).encode(), headers={"Number": str(number)})
        for number in range(1000):
            message = await subscription.next_msg(timeout=WAIT_S)
            assert message.data == str(number).encode()
            assert message.headers == {"Number": str(number)}
        await client.drain()

    asyncio.run(scenario())


def test_queue_group_takes_each_message_once(server: Server) -> None:
    async def scenario() -> None:
        client = await connect(server)
        taken: list[bytes] = []
        done = asyncio.Event()

        async def take(message: Any) -> None:
            taken.append(message.data)
            if len(taken) == 300:
                done.set()

        for _ in range(3):
            await client.subscribe("py.queue", queue="workers", cb=take)
        for number in range(300):
            await client.publish("py.queue", str(number).encode())
        await asyncio.wait_for(done.wait(), WAIT_S)
        await client.flush()
        assert sorted(taken) == sorted(str(number).encode() for number in range(300))
        await client.close()

    asyncio.run(scenario())


def test_request_without_responders_fails_at_once(server: Server) -> None:
    async def scenario() -> None:
        client = await connect(server)
        with pytest.raises(nats.errors.NoRespondersError):
            await client.request("py.nobody", b"", timeout=WAIT_S)
        await client.close()

    asyncio.run(scenario())


def test_payload_of_the_allowed_size_passes(server: Server) -> None:
    async def scenario() -> None:
        client = await connect(server)
        subscription = await client.subscribe("py.large")
        payload = bytes(range(256)) * (client.max_payload // 256)
        await client.publish("py.large", payload)
        assert (await subscription.next_msg(timeout=WAIT_S)).data == payload
        await client.close()

    asyncio.run(scenario())
