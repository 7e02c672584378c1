"""Several connections between two servers, as a small server sees them (checklist: [route] 73 to 80, 84)."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio

from tests.conftest import Dial, StartServer
from tests.kit.clusters import cluster_config
from tests.kit.eventually import eventually
from tests.kit.routepeer import RoutePeer, route_door, route_peer
from tests.kit.servers import Server, ServerKind, running_server

USERS = """
accounts {
    X { users: [{user: x, password: x}] }
    Y { users: [{user: y, password: y}] }
    P { users: [{user: p, password: p}] }
    $SYS { users: [{user: s, password: s}] }
}
"""
CONFIG = cluster_config() + USERS
PINNED = cluster_config(more="accounts: [P]") + USERS
BARE = cluster_config(more="pool_size: -1") + USERS
QUIET_S = 0.6
"""So long nothing happens when nothing more is to happen."""

SLOT_OF = {"x": 2, "y": 0}
"""Where FNV-1a puts the accounts of these users, of three slots."""

NOT_TAKEN_IN = {
    "index": ({"route_pool_size": 3, "route_pool_idx": 7}, "Invalid route pool index: 7 - pool size is 3"),
    "negative index": ({"route_pool_size": 3, "route_pool_idx": -1}, "Invalid route pool index: -1 - pool size is 3"),
    "index of five": ({"route_pool_size": 5, "route_pool_idx": 5}, "Invalid route pool index: 5 - pool size is 5"),
    "unknown account": (
        {"route_pool_size": 3, "route_account": "ZZZ"},
        'Unable to lookup account "ZZZ": account missing',
    ),
    "unknown account without a pool": ({"route_account": "ZZZ"}, 'Unable to lookup account "ZZZ": account missing'),
    "unpinned account": ({"route_pool_size": 3, "route_account": "X"}, 'No route for account "X"'),
    "account without a pool": (
        {"route_account": "$SYS"},
        'Not possible to have a dedicated route for account "$SYS" between those servers',
    ),
}


async def pool_of(
    stack: AsyncExitStack, server: Server, server_id: str, *, size: int = 3, **members: Any
) -> list[RoutePeer]:
    """A server with this many connections in the slots of its pool."""
    peers = [await stack.enter_async_context(route_peer(server)) for _ in range(size)]
    for slot, peer in enumerate(peers):
        await peer.join(server_id, route_pool_size=size, route_pool_idx=slot, **members)
    return peers


async def told(peers: list[RoutePeer], word: bytes) -> dict[int, list[bytes]]:
    """The lines about interest with this word in them, by slot."""
    found = {slot: await peer.settled() for slot, peer in enumerate(peers)}
    lines = {slot: [line for line in said if word in line.split()] for slot, said in found.items()}
    return {slot: said for slot, said in lines.items() if said}


async def test_a_server_says_how_many_connections_it_wants(shared_server: StartServer) -> None:
    """Checklist 70."""
    async with route_peer(shared_server(CONFIG)) as peer:
        assert peer.info["route_pool_size"] == 3 and "route_pool_idx" not in peer.info
    async with route_peer(shared_server(BARE)) as peer:
        assert "route_pool_size" not in peer.info


async def test_slots_are_opened_one_after_another_and_pinned_accounts_at_once(server_kind: ServerKind) -> None:
    """Checklist 72, 73."""
    async with route_door("DOOR", route_pool_size=3) as door:
        config = cluster_config(routes=(door.port,), more="accounts: [P]") + USERS
        async with running_server(server_kind, config=config):
            peers = await door.all_within(QUIET_S, answers_pings=False)
            [first] = [peer for peer in peers if "route_account" not in peer.info]
            assert "route_pool_idx" not in first.info and first.info["route_pool_size"] == 3
            await first.send(b"PONG\r\n")
            peers += await door.all_within(QUIET_S, answers_pings=False)
            assert sorted(peer.info.get("route_account", "") for peer in peers) == ["", "", "$SYS", "P"]
            [second] = [peer for peer in peers if "route_pool_idx" in peer.info]
            assert second.info["route_pool_idx"] == 1
            await second.send(b"PONG\r\n")
            [third] = await door.all_within(QUIET_S)
            assert third.info["route_pool_idx"] == 2


@pytest.mark.parametrize(("size", "slots"), [(1, 3), (5, 5)])
async def test_the_larger_of_two_pools_is_opened(server_kind: ServerKind, size: int, slots: int) -> None:
    """Checklist 76."""
    async with route_door("DOOR", route_pool_size=size) as door:
        config = cluster_config(routes=(door.port,)) + USERS
        async with running_server(server_kind, config=config):
            peers = [await door.next() for _ in range(slots + 1)]
            pooled = [peer.info.get("route_pool_idx", 0) for peer in peers if "route_account" not in peer.info]
            assert pooled == list(range(slots))
            assert await door.all_within(QUIET_S) == []


async def test_a_server_without_a_pool_is_dialled_once(server_kind: ServerKind) -> None:
    """Checklist 77."""
    async with route_door("DOOR") as door:
        config = cluster_config(routes=(door.port,)) + USERS
        async with running_server(server_kind, config=config):
            # A real server also dials for the system account before it knows better, and takes that back.
            peers = [await door.accept()]
            with trio.move_on_after(2.5):
                while True:
                    peers.append(await door.accept(within_s=10))
            said = [await peer.settled() for peer in peers]
            accepted = [lines for lines in said if not any(line.startswith(b"-ERR") for line in lines)]
            assert len(accepted) == 1 and len(peers) <= 2
            [info] = [json.loads(line[5:]) for line in accepted[0] if line.startswith(b"INFO ")]
            assert "route_pool_idx" not in info and "route_account" not in info


async def test_a_lost_connection_is_dialled_again(server_kind: ServerKind) -> None:
    async with route_door("DOOR", route_pool_size=3) as door:
        config = cluster_config(routes=(door.port,)) + USERS
        async with running_server(server_kind, config=config):
            peers = [await door.next() for _ in range(4)]
            [lost] = [peer for peer in peers if peer.info.get("route_pool_idx") == 1]
            await lost.close()
            again = await door.next()
            assert again.info["route_pool_idx"] == 1
            [system] = [peer for peer in peers if "route_account" in peer.info]
            await system.close()
            assert (await door.next()).info["route_account"] == "$SYS"
            for peer in peers:
                if peer not in (lost, system):
                    assert not [line for line in await peer.settled() if line.startswith(b"-ERR")]


async def test_whoever_is_dialled_does_not_choose_the_slot(server_kind: ServerKind) -> None:
    """Checklist 78."""
    async with route_door("DOOR", route_pool_size=3, route_pool_idx=2) as door:
        config = cluster_config(routes=(door.port,), more="pool_size: 3") + "no_system_account: true\n"
        async with running_server(server_kind, config=config):
            peer = await door.accept()
            words = [line for line in await peer.closing_words() if line.startswith(b"-ERR")]
            assert words == [b"-ERR 'Route pool index should not be set but is set to 2'"]


@pytest.mark.parametrize("case", sorted(NOT_TAKEN_IN))
async def test_a_connection_without_a_place_is_told_so(shared_server: StartServer, case: str) -> None:
    """Checklist 78."""
    members, text = NOT_TAKEN_IN[case]
    async with route_peer(shared_server(CONFIG)) as peer:
        await peer.introduce_as("LOST", **members)
        assert [line for line in await peer.closing_words() if line.startswith(b"-ERR")] == [f"-ERR '{text}'".encode()]


async def test_a_server_without_a_pool_has_no_connection_for_an_account(shared_server: StartServer) -> None:
    """Checklist 78."""
    text = b"-ERR 'Not possible to have a dedicated route for account \"$SYS\" between those servers'"
    async with route_peer(shared_server(BARE)) as peer:
        await peer.introduce_as("LOST", route_pool_size=3, route_account="$SYS")
        assert [line for line in await peer.closing_words() if line.startswith(b"-ERR")] == [text]


async def test_an_account_is_told_of_in_its_own_slot(shared_server: StartServer, login: Dial) -> None:
    """Checklist 75."""
    server = shared_server(CONFIG)
    async with AsyncExitStack() as stack:
        peers = await pool_of(stack, server, "SLOTS")
        for user, slot in SLOT_OF.items():
            client = await login(server, user=user, **{"pass": user})
            await client.subscribe(f"slot.{user}")
            await client.subscribe(f"slot.{user}", sid="2", queue="q")
            await client.ping_pong()
            word = f"slot.{user}".encode()
            account = user.upper().encode()
            lines = [b"RS+ %s %s" % (account, word), b"RS+ %s %s q 1" % (account, word)]
            assert await told(peers, word) == {slot: lines}


async def test_the_size_of_the_peer_does_not_move_an_account(shared_server: StartServer, login: Dial) -> None:
    """Checklist 76."""
    server = shared_server(CONFIG)
    client = await login(server, user="x", **{"pass": "x"})
    await client.subscribe("five.here")
    await client.ping_pong()
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(route_peer(server)) for _ in range(5)]
        said: dict[int, list[bytes]] = {}
        for slot, peer in enumerate(peers):
            connect = b'CONNECT {"cluster":"C"}\r\nINFO {"server_id":"FIVE","cluster":"C","route_pool_size":5,'
            await peer.send(connect + b'"route_pool_idx":%d}\r\n' % slot)
            said[slot] = await peer.settled()
        assert [slot for slot, lines in said.items() if b"RS+ X five.here" in lines] == [2]
        await peers[4].send(b"RS+ X five.there\r\n")
        await peers[4].settled()
        await client.publish("five.there", b"z")
        assert await peers[4].message() == (b"RMSG X five.there 1", b"z")


async def test_a_message_goes_back_where_its_interest_came_from(shared_server: StartServer, login: Dial) -> None:
    """Checklist 84."""
    server = shared_server(CONFIG)
    client = await login(server, user="x", **{"pass": "x"})
    async with AsyncExitStack() as stack:
        peers = await pool_of(stack, server, "BACK")
        for slot, peer in enumerate(peers):
            await peer.send(b"RS+ X back.%d\r\nRS+ X back.q%d q 1\r\n" % (slot, slot))
            await peer.settled()
        for slot, peer in enumerate(peers):
            await client.send(b"PUB back.%d 1\r\na\r\nPUB back.q%d r 1\r\nb\r\n" % (slot, slot))
            assert await peer.message() == (b"RMSG X back.%d 1" % slot, b"a")
            assert await peer.message() == (b"RMSG X back.q%d + r q 1" % slot, b"b")


@pytest.mark.parametrize(("account", "user"), [("$SYS", "s"), ("P", "p")])
async def test_lines_on_a_connection_for_one_account_do_not_name_it(
    shared_server: StartServer, login: Dial, account: str, user: str
) -> None:
    """Checklist 74."""
    server = shared_server(PINNED)
    client = await login(server, headers=True, user=user, **{"pass": user})
    async with AsyncExitStack() as stack:
        pool = await pool_of(stack, server, "ALONE")
        peer = await stack.enter_async_context(route_peer(server))
        await peer.join("ALONE", route_pool_size=3, route_account=account)
        await client.subscribe("own.here")
        await client.subscribe("own.here", sid="2", queue="g")
        await client.ping_pong()
        lines = [line for line in await peer.settled() if b"own.here" in line.split()]
        assert lines == [b"RS+ own.here", b"RS+ own.here g 1"]
        assert await told(pool, b"own.here") == {}
        await peer.send(b"RS+ own.there\r\nRS+ own.q g 1\r\n")
        await peer.settled()
        await client.send(b"PUB own.there 1\r\na\r\nHPUB own.q rp 12 13\r\nNATS/1.0\r\n\r\nb\r\n")
        assert await peer.message() == (b"RMSG own.there 1", b"a")
        assert await peer.message() == (b"HMSG own.q + rp g 12 13", b"NATS/1.0\r\n\r\nb")
        await peer.send(b"RMSG own.here re 1\r\nc\r\nHMSG own.here | g 12 13\r\nNATS/1.0\r\n\r\nd\r\nRS- own.there\r\n")
        await client.expect(b"MSG own.here 1 re 1\r\nc\r\n")
        assert {await client.next_item(), await client.next_item()} == {
            b"HMSG own.here 1 12 13\r\nNATS/1.0\r\n\r\nd\r\n",
            b"HMSG own.here 2 12 13\r\nNATS/1.0\r\n\r\nd\r\n",
        }
        await client.send(b"UNSUB 1\r\nUNSUB 2\r\n")
        await client.ping_pong()
        lines = [line for line in await peer.settled() if b"own.here" in line.split()]
        assert lines == [b"RS- own.here", b"RS- own.here g"]


async def test_a_server_without_a_pool_hears_of_all_accounts_by_name(shared_server: StartServer, login: Dial) -> None:
    """Checklist 77."""
    server = shared_server(PINNED)
    async with route_peer(server) as peer:
        await peer.join("SINGLE")
        await peer.settled()
        for user, account in (("x", b"X"), ("y", b"Y"), ("p", b"P"), ("s", b"$SYS")):
            client = await login(server, user=user, **{"pass": user})
            await client.subscribe("single.here")
            await client.ping_pong()
            await client.send(b"PING\r\n")
            assert b"RS+ %s single.here" % account in await peer.settled()
            await peer.send(b"RS+ %s single.there\r\n" % account)
            await peer.settled()
            await client.publish("single.there", b"z")
            assert await peer.message() == (b"RMSG %s single.there 1" % account, b"z")


async def test_a_slot_that_is_taken_is_closed_in_silence(shared_server: StartServer) -> None:
    """Checklist 80."""
    server = shared_server(CONFIG)
    async with AsyncExitStack() as stack:
        peers = await pool_of(stack, server, "TAKEN")
        system = await stack.enter_async_context(route_peer(server))
        await system.join("TAKEN", route_pool_size=3, route_account="$SYS")
        for members in ({"route_pool_idx": 1}, {"route_account": "$SYS"}):
            async with route_peer(server) as again:
                await again.introduce_as("TAKEN", route_pool_size=3, **members)
                assert [line for line in await again.closing_words() if line.startswith(b"-ERR")] == []
        for peer in (*peers, system):
            await peer.settled()


async def test_with_one_connection_goes_its_interest_only(shared_server: StartServer, login: Dial) -> None:
    server = shared_server(CONFIG)
    client = await login(server, user="x", **{"pass": "x"})
    async with AsyncExitStack() as stack:
        peers = await pool_of(stack, server, "PARTS")
        for slot, peer in enumerate(peers):
            await peer.send(b"RS+ X parts.%d\r\n" % slot)
            await peer.settled()
        await peers[0].close()
        back: list[RoutePeer] = []

        async def comes_again() -> bool:
            """The place is free as soon as the server has noticed."""
            peer = await stack.enter_async_context(route_peer(server))
            await peer.introduce_as("PARTS", route_pool_size=3)
            back.append(peer)
            return await peer.is_taken_in()

        await eventually(comes_again)
        await client.send(b"PUB parts.0 1\r\na\r\nPUB parts.1 1\r\nb\r\nPUB parts.2 1\r\nc\r\n")
        assert await peers[1].message() == (b"RMSG X parts.1 1", b"b")
        assert await peers[2].message() == (b"RMSG X parts.2 1", b"c")
        assert not [line for line in await back[-1].settled() if line.startswith(b"RMSG")]
