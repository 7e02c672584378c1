"""A receiver that does not read is cut off, and nobody else notices."""

from __future__ import annotations

import re
import socket

import pytest
import trio

from tests.conftest import Dial, StartServer
from tests.kit import monitoring
from tests.kit.eventually import eventually
from tests.kit.rawclient import RawClient, open_connection
from tests.kit.servers import Server, ServerKind, running_server

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


async def reader(server: Server, subject: str) -> RawClient:
    """A subscriber that is read from as the test wants it."""
    client = RawClient(await open_connection(server))
    await client.read_greeting()
    await client.connect()
    await client.subscribe(subject)
    await client.ping_pong()
    return client


async def backlog(publisher: RawClient, subject: str, *, count: int) -> None:
    """Many messages of a megabyte at once."""
    body = b"z" * 1_000_000
    await publisher.send(b"PUB %b %d\r\n%b\r\n" % (subject.encode(), len(body), body) * count)


async def take(client: RawClient, *, bytes_per_s: int, at_most: int) -> int:
    """Reads at that pace until the connection ends or so much has come; how much did."""
    taken, began = 0, trio.current_time()
    while taken < at_most:
        data = await receive_or_end(client)
        if not data:
            break
        taken += len(data)
        await trio.sleep_until(began + taken / bytes_per_s)
    return taken


def slow_lines(server: Server) -> list[str]:
    """What the log says of slow receivers, without the connection."""
    lines = [line.partition(" - cid:")[2].partition(" - ")[2] for line in server.log_text().splitlines()]
    return [line for line in lines if line.startswith(("Slow Consumer", "Client connection closed: Slow"))]


def deadline_line(state: str, deadline: str) -> str:
    return rf"Slow Consumer {state}: WriteDeadline of {deadline} exceeded with \d+ chunks of \d+ total bytes\."


CUT = r"Client connection closed: Slow Consumer \(Write Deadline\)"


async def told(server: Server, *patterns: str) -> None:
    """The log says this of slow receivers, in this order, and nothing else."""
    await eventually(lambda: len(slow_lines(server)) >= len(patterns), what="lines about slow receivers")
    lines = slow_lines(server)
    assert [bool(re.fullmatch(*pair)) for pair in zip(patterns, lines, strict=True)] == [True] * len(patterns), lines


@pytest.mark.parametrize("policy", ["default", "close"])
async def test_receiver_that_takes_a_little_all_the_time_is_late_all_the_same(
    server_kind: ServerKind, login: Dial, policy: str
) -> None:
    """Checklist 58."""
    config = f'write_deadline: "500ms", write_timeout: {policy}'
    async with running_server(server_kind, config=config, monitoring=True, args=["-D"]) as server:
        slow, publisher = await reader(server, "slow.little"), await login(server)
        began = trio.current_time()
        await backlog(publisher, "slow.little", count=40)
        taken = await take(slow, bytes_per_s=8_000_000, at_most=40_000_000)
        assert taken < 40_000_000
        await told(server, deadline_line("Detected", "500ms"), CUT)
        assert trio.current_time() - began < 4
        page = (await monitoring.get(server, "/varz")).json()
        assert (page["slow_consumers"], page["slow_consumer_stats"]["clients"]) == (1, 1)
        await slow.aclose()


async def test_receiver_that_takes_what_waited_in_time_may_have_more_waiting(
    server_kind: ServerKind, login: Dial
) -> None:
    async with running_server(server_kind, config='write_deadline: "2s"', monitoring=True) as server:
        slow, publisher = await reader(server, "slow.enough"), await login(server)
        for _ in range(4):
            await backlog(publisher, "slow.enough", count=8)
            await take(slow, bytes_per_s=16_000_000, at_most=8_000_000)
        assert (await monitoring.get(server, "/varz")).json()["slow_consumers"] == 0
        await slow.aclose()


async def test_late_receiver_may_stay_where_writing_is_tried_again(server_kind: ServerKind, login: Dial) -> None:
    config = 'write_deadline: "300ms", write_timeout: retry'
    async with running_server(server_kind, config=config, monitoring=True, args=["-D"]) as server:
        slow, publisher = await slow_subscriber(server, "slow.again"), await login(server)
        await backlog(publisher, "slow.again", count=12)
        await told(server, deadline_line("Detected", "300ms"))
        total = 12 * len(b"MSG slow.again 1 1000000\r\n\r\n") + 12_000_000
        assert await take(slow, bytes_per_s=1 << 30, at_most=total) == total
        recovered = r"Slow Consumer Recovered: Flush took \d+\.\d{3}s with \d+ chunks of \d+ total bytes\."
        state = deadline_line("State", "300ms")
        await eventually(lambda: "Recovered" in server.log_text(), what="the recovery")
        between = [state] * (len(slow_lines(server)) - 2)
        await told(server, deadline_line("Detected", "300ms"), *between, recovered)
        page = (await monitoring.get(server, "/varz")).json()
        assert (page["slow_consumers"], page["write_timeout"]) == (1 + len(between), "retry")
        await slow.aclose()


async def test_receiver_that_takes_nothing_is_cut_though_writing_is_tried_again(
    server_kind: ServerKind, login: Dial
) -> None:
    config = 'write_deadline: "200ms", write_timeout: retry'
    async with running_server(server_kind, config=config, monitoring=True, args=["-D"]) as server:
        slow, publisher = await slow_subscriber(server, "slow.never"), await login(server)
        await backlog(publisher, "slow.never", count=12)
        await eventually(lambda: "closed: Slow" in server.log_text(), what="the end")
        state = deadline_line("State", "200ms")
        between = [state] * (len(slow_lines(server)) - 2)
        await told(server, deadline_line("Detected", "200ms"), *between, CUT)
        assert (await monitoring.get(server, "/varz")).json()["slow_consumers"] == 1 + len(between)
        await slow.aclose()
