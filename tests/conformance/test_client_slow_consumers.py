"""A receiver that does not read is cut off, and nobody else notices."""

from __future__ import annotations

import socket

import pytest
import trio

from tests.conftest import Dial, StartServer
from tests.kit import monitoring
from tests.kit.eventually import eventually
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server

CONFIG = """
max_pending: 1048576
max_payload: 262144
write_deadline: "30s"
"""
BODY = b"x" * 262144


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server(CONFIG)


async def slow_subscriber(server: Server, subject: str) -> RawClient:
    """A subscriber with a small receive buffer that is not read from any more."""
    plain = trio.socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    await plain.connect(("127.0.0.1", server.client_port))
    client = RawClient(trio.SocketStream(plain))
    await client.read_greeting()
    await client.connect()
    await client.subscribe(subject)
    return client


async def publish_much(publisher: RawClient, subject: str, *, count: int) -> None:
    """Publishes large messages, each of them acknowledged by a PONG."""
    for _ in range(count):
        await publisher.publish(subject, BODY)


async def test_slow_consumer_is_closed_without_an_error(server: Server, login: Dial) -> None:
    """Checklist 58."""
    slow, publisher = await slow_subscriber(server, "slow.cut"), await login(server)
    await publish_much(publisher, "slow.cut", count=64)
    await eventually(lambda: "Slow Consumer" in server.log_text(), what="the slow consumer line in the log")
    seen = bytearray()
    with trio.fail_after(10):
        while data := await receive_or_end(slow):
            seen += data
    assert b"-ERR" not in seen
    assert 0 < len(seen) < 64 * len(BODY)
    await slow.aclose()


async def receive_or_end(client: RawClient) -> bytes:
    try:
        return await client.stream.receive_some(65536)
    except trio.BrokenResourceError:  # a reset is an end, too
        return b""


async def test_publisher_and_others_go_on_while_a_subscriber_is_slow(server: Server, login: Dial) -> None:
    """Checklist 59."""
    slow, publisher, healthy = await slow_subscriber(server, "slow.on"), await login(server), await login(server)
    await healthy.subscribe("slow.on")
    for _ in range(64):
        await publisher.publish("slow.on", BODY)
        assert (await healthy.expect_message()).payload == BODY
    await publisher.ping_pong()
    await slow.aclose()


async def test_write_deadline_cuts_a_stuck_receiver(shared_server: StartServer, login: Dial) -> None:
    """Checklist 58."""
    server = shared_server('write_deadline: "300ms"')
    slow, publisher = await slow_subscriber(server, "slow.deadline"), await login(server)
    body = b"y" * 1048576
    for _ in range(16):
        await publisher.publish("slow.deadline", body)
    await eventually(lambda: "WriteDeadline" in server.log_text(), what="the write deadline line in the log")
    await publisher.ping_pong()
    await slow.aclose()


async def test_producer_that_may_not_be_stalled_leaves_a_full_receiver_out(
    shared_server: StartServer, login: Dial
) -> None:
    """Checklist 58."""
    server = shared_server(CONFIG + "no_fast_producer_stall: true", monitoring=True)
    slow, publisher = await slow_subscriber(server, "slow.out"), await login(server, headers=True, no_responders=True)
    await publish_much(publisher, "slow.out", count=64)
    await publisher.subscribe("answers")
    await publisher.send(b"PUB slow.out answers 0\r\n\r\n")
    assert (await publisher.expect_message()).header.startswith(b"NATS/1.0 503\r\n")
    page = (await monitoring.get(server, "/varz")).json()
    assert (page["slow_consumers"], page.get("stalled_clients", 0)) == (0, 0)
    await slow.aclose()
