"""SUB, UNSUB, queue groups and echo: who gets a message, how often, and until when."""

from __future__ import annotations

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.rawclient import RawClient, parse_message
from tests.kit.servers import Server


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server()


async def sids_of(client: RawClient, *, count: int) -> list[str]:
    """The sids of the next messages, sorted."""
    return sorted([parse_message(await client.next_item()).sid for _ in range(count)])


async def test_duplicate_sid_keeps_the_first_subscription(server: Server, login: Dial) -> None:
    """Checklist 31."""
    c = await login(server)
    await c.send(b"SUB dup.first 1\r\nSUB dup.second 1\r\nPUB dup.second 0\r\n\r\nPUB dup.first 0\r\n\r\n")
    await c.expect(b"MSG dup.first 1 0\r\n\r\n")
    await c.ping_pong()


async def test_same_sid_on_two_connections_is_two_subscriptions(server: Server, login: Dial) -> None:
    """Checklist 31."""
    one, two = await login(server), await login(server)
    await one.subscribe("two.connections")
    await two.subscribe("two.connections")
    await one.send(b"PUB two.connections 0\r\n\r\n")
    await one.expect(b"MSG two.connections 1 0\r\n\r\n")
    await two.expect(b"MSG two.connections 1 0\r\n\r\n")


async def test_armed_unsub_delivers_exactly_that_many(server: Server, login: Dial) -> None:
    """Checklist 33."""
    c = await login(server)
    await c.send(b"SUB armed 1\r\nUNSUB 1 2\r\n" + b"PUB armed 0\r\n\r\n" * 4)
    await c.expect(b"MSG armed 1 0\r\n\r\n" * 2)
    await c.ping_pong()


async def test_armed_unsub_counts_from_the_creation_of_the_subscription(server: Server, login: Dial) -> None:
    """Checklist 33."""
    c = await login(server)
    await c.send(b"SUB counted 1\r\nPUB counted 0\r\n\r\nUNSUB 1 3\r\n" + b"PUB counted 0\r\n\r\n" * 4)
    await c.expect(b"MSG counted 1 0\r\n\r\n" * 3)
    await c.ping_pong()


async def test_sid_is_free_again_after_the_last_delivery(server: Server, login: Dial) -> None:
    """Checklist 33."""
    c = await login(server)
    await c.send(b"SUB once 1\r\nUNSUB 1 1\r\nPUB once 0\r\n\r\nSUB again 1\r\nPUB once 0\r\n\r\nPUB again 0\r\n\r\n")
    await c.expect(b"MSG once 1 0\r\n\r\nMSG again 1 0\r\n\r\n")
    await c.ping_pong()


@pytest.mark.parametrize("most", ["1", "2"])
async def test_unsub_with_a_count_already_reached_removes_at_once(server: Server, login: Dial, most: str) -> None:
    """Checklist 34."""
    c = await login(server)
    await c.send(b"SUB reached 1\r\n" + b"PUB reached 0\r\n\r\n" * 2)
    await c.expect(b"MSG reached 1 0\r\n\r\n" * 2)
    await c.send(f"UNSUB 1 {most}\r\nPUB reached 0\r\n\r\n".encode())
    await c.ping_pong()


async def test_unsub_zero_removes_at_once(server: Server, login: Dial) -> None:
    """Checklist 35."""
    c = await login(server)
    await c.send(b"SUB zero 1\r\nUNSUB 1 0\r\nPUB zero 0\r\n\r\n")
    await c.ping_pong()


@pytest.mark.parametrize("most", ["x", "-5", "1234567890"])
async def test_unsub_with_an_unreadable_count_removes_at_once(server: Server, login: Dial, most: str) -> None:
    """Checklist 35."""
    c = await login(server)
    await c.send(f"SUB unreadable 1\r\nUNSUB 1 {most}\r\nPUB unreadable 0\r\n\r\n".encode())
    await c.ping_pong()


async def test_plain_unsub_cancels_an_armed_one(server: Server, login: Dial) -> None:
    """Checklist 36."""
    c = await login(server)
    await c.send(b"SUB cancel 1\r\nUNSUB 1 5\r\nPUB cancel 0\r\n\r\nUNSUB 1\r\nPUB cancel 0\r\n\r\n")
    await c.expect(b"MSG cancel 1 0\r\n\r\n")
    await c.ping_pong()


async def test_arming_again_replaces_the_count(server: Server, login: Dial) -> None:
    """Checklist 36."""
    c = await login(server)
    await c.send(b"SUB rearm 1\r\nUNSUB 1 1\r\nUNSUB 1 3\r\n" + b"PUB rearm 0\r\n\r\n" * 5)
    await c.expect(b"MSG rearm 1 0\r\n\r\n" * 3)
    await c.ping_pong()


async def test_unsub_of_an_unknown_sid_is_no_error(server: Server, login: Dial) -> None:
    """Checklist 36."""
    c = await login(server)
    await c.send(b"UNSUB nobody\r\nUNSUB nobody 3\r\n")
    await c.ping_pong()


async def test_each_queue_group_gets_one_and_plain_subscriptions_all(server: Server, login: Dial) -> None:
    """Checklist 37."""
    c = await login(server)
    await c.send(b"SUB work a a1\r\nSUB work a a2\r\nSUB work a a3\r\nSUB work b b1\r\nSUB work b b2\r\n")
    await c.send(b"SUB work p1\r\nSUB work p2\r\nPUB work 0\r\n\r\n")
    groups = "".join(sid[0] for sid in await sids_of(c, count=4))
    assert groups == "abpp"
    await c.ping_pong()


async def test_queue_group_spans_connections_and_patterns(server: Server, login: Dial) -> None:
    """Checklist 37."""
    publisher, receivers = await login(server), [await login(server) for _ in range(3)]
    for receiver, pattern in zip(receivers, ["span.a", "span.*", "span.>"], strict=True):
        await receiver.subscribe(pattern, queue="workers")
    tally = await login(server)
    await tally.subscribe("span.a")
    await publisher.send(b"PUB span.a 0\r\n\r\n" * 90)
    await tally.expect(b"MSG span.a 1 0\r\n\r\n" * 90)
    counts = [await count_until_pong(receiver) for receiver in receivers]
    assert sum(counts) == 90
    assert min(counts) > 0, counts


async def count_until_pong(client: RawClient) -> int:
    """How many messages arrived before the answer to a PING."""
    await client.send(b"PING\r\n")
    count = 0
    while (item := await client.next_item()) != b"PONG\r\n":
        parse_message(item)
        count += 1
    return count


async def test_queue_member_that_left_gets_nothing(server: Server, login: Dial) -> None:
    """Checklist 37."""
    c = await login(server)
    await c.send(b"SUB leave q 1\r\nSUB leave q 2\r\nUNSUB 1\r\n" + b"PUB leave 0\r\n\r\n" * 20)
    await c.expect(b"MSG leave 2 0\r\n\r\n" * 20)
    await c.ping_pong()


async def test_overlapping_subscriptions_of_one_connection_all_get_the_message(server: Server, login: Dial) -> None:
    """Checklist 37."""
    c = await login(server)
    await c.send(b"SUB over.lap 1\r\nSUB over.* 2\r\nSUB over.> 3\r\nSUB *.lap 4\r\nPUB over.lap 0\r\n\r\n")
    assert await sids_of(c, count=4) == ["1", "2", "3", "4"]
    await c.ping_pong()


async def test_no_echo_keeps_own_messages_away_and_lets_others_have_them(server: Server, login: Dial) -> None:
    """Checklist 38."""
    quiet, other = await login(server, echo=False), await login(server)
    await quiet.subscribe("echo")
    await other.subscribe("echo")
    await quiet.publish("echo", b"mine")
    await other.expect(b"MSG echo 1 4\r\nmine\r\n")
    await other.send(b"PUB echo 6\r\ntheirs\r\n")
    await quiet.expect(b"MSG echo 1 6\r\ntheirs\r\n")


async def test_no_echo_member_of_a_queue_group_leaves_the_message_to_others(server: Server, login: Dial) -> None:
    """Checklist 38."""
    quiet, other = await login(server, echo=False), await login(server)
    await quiet.subscribe("echo.queue", queue="q")
    await other.subscribe("echo.queue", queue="q")
    await quiet.send(b"PUB echo.queue 0\r\n\r\n" * 20)
    await other.expect(b"MSG echo.queue 1 0\r\n\r\n" * 20)
    await quiet.ping_pong()


async def test_one_publisher_is_delivered_in_order(server: Server, login: Dial) -> None:
    """Checklist 37."""
    publisher, receiver = await login(server), await login(server)
    await receiver.subscribe("order")
    numbers = [str(number).encode() for number in range(2000)]
    await publisher.send(b"".join(b"PUB order %d\r\n%b\r\n" % (len(text), text) for text in numbers))
    await receiver.expect(b"".join(b"MSG order 1 %d\r\n%b\r\n" % (len(text), text) for text in numbers))


async def test_subscriptions_end_with_their_connection(server: Server, login: Dial) -> None:
    """Checklist 37."""
    stays, leaves = await login(server), await login(server)
    await stays.subscribe("ends", queue="q")
    await leaves.subscribe("ends", queue="q")
    await leaves.send(b"-ERR 'bye'\r\n")
    await leaves.expect_closed()
    await stays.send(b"PUB ends 0\r\n\r\n" * 20)
    await stays.expect(b"MSG ends 1 0\r\n\r\n" * 20)
