"""The rolling upgrade of the manual: two servers from flags, a third one for the while, and clients that hardly notice."""

from __future__ import annotations

import asyncio
import functools
import itertools
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.cluster.soaking.members import free_ports
from tests.kit.servers import Server, ServerKind, start_server

OURS, REAL = ServerKind.OURS, ServerKind.REAL
WALK_S = 90.0
WAIT_S = 15.0
GAP_S = 5.0
"""More than a client of nats-py takes to find another server here."""

UPGRADES = {"ours": (OURS, OURS), "real to ours": (REAL, OURS), "ours to real": (OURS, REAL)}
SEED_UPGRADES = ("ours", "real to ours")
"""Not back to nats-server: it dials the address of a server without a pool once more when that leaves. If the next server is
there already, it takes it for one that it was told of, and does not tell others of it: they never meet."""

upgrades = pytest.mark.parametrize("upgrade", UPGRADES)


def in_asyncio(scenario: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Makes a test of a coroutine: it gets a loop of its own and a deadline."""

    @functools.wraps(scenario)
    def test(**fixtures: str) -> None:
        asyncio.run(asyncio.wait_for(scenario(**fixtures), WALK_S))

    return test


async def eventually(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    """Waits for a condition; fails when it takes too long."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_S} s: {what()}"
        await asyncio.sleep(0.01)


class Place:
    """One of the servers of the walk: it keeps its ports when its program is replaced."""

    def __init__(self, name: str, client_port: int, cluster_port: int, *, cluster: str) -> None:
        self.cluster = cluster
        self.name, self.client_port, self.cluster_port = name, client_port, cluster_port
        self.server: Server | None = None

    @property
    def url(self) -> str:
        """Where clients connect to."""
        return f"nats://127.0.0.1:{self.client_port}"

    async def start(self, kind: ServerKind, *routes: Place) -> None:
        """Starts a server from flags, as the manual does."""
        words = ["-D", "-cluster", f"nats://localhost:{self.cluster_port}"]
        if self.cluster:
            words += ["-cluster_name", self.cluster]
        if routes:
            words += ["-routes", ",".join(f"nats://localhost:{place.cluster_port}" for place in routes)]
        listen = f"127.0.0.1:{self.client_port}"
        self.server = await asyncio.to_thread(lambda: start_server(kind, args=words, listen=listen))

    async def stop(self) -> None:
        """What Ctrl+C does, and nothing may be left."""
        server, self.server = self.server, None
        if server is None:
            return
        server.signal(signal.SIGINT)
        await asyncio.to_thread(server.stop)


class Subscriber:
    """A client of nats-py that listens to everything and notes the numbers it hears, and where it is connected."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.heard: list[int] = []
        self.moves = 0

    @classmethod
    async def connected(cls, place: Place) -> Subscriber:
        """A client that knows only one server until it is told of others."""
        client = Client()
        self = cls(client)

        async def moved() -> None:
            self.moves += 1

        async def ignore(_: Exception) -> None:
            pass  # a server that is gone is what this is about

        await client.connect(
            [place.url], reconnected_cb=moved, error_cb=ignore, reconnect_time_wait=0.05, max_reconnect_attempts=-1,
        )  # fmt: skip
        await client.subscribe(">", cb=self._hear)
        await client.flush()
        return self

    async def _hear(self, message: Msg) -> None:
        if message.subject == "walk":
            self.heard.append(int(message.data))

    @property
    def is_at(self) -> int:
        """The port of the server that it is connected to, 0 when it is not."""
        url = self.client.connected_url
        return (url.port or 0) if self.client.is_connected and url is not None else 0


class Walk:
    """The cluster, its subscribers, and a publisher that counts."""

    def __init__(self, stack: AsyncExitStack, *, places: int, cluster: str) -> None:
        self._stack = stack
        self.named = bool(cluster)
        ports = free_ports(2 * places, random.Random())
        self.places = [Place("ABC"[at], ports[2 * at], ports[2 * at + 1], cluster=cluster) for at in range(places)]
        for place in self.places:
            stack.push_async_callback(place.stop)
        self.subscribers: list[Subscriber] = []
        self.sent = 0
        self.sent_at: list[float] = []

    async def subscribe(self, place: Place, *, count: int) -> None:
        """Some more subscribers, all at one server."""
        for _ in range(count):
            subscriber = await Subscriber.connected(place)
            self._stack.push_async_callback(subscriber.client.close)
            self.subscribers.append(subscriber)

    async def until_all_hear(self, speaker: Place) -> None:
        """Publishes at one server until all subscribers hear it; numbers go on where they were."""
        client = await nats.connect(speaker.url, allow_reconnect=False)
        start = self.sent
        try:

            async def publish() -> None:
                self.sent_at.append(time.monotonic())
                await client.publish("walk", b"%d" % self.sent)
                self.sent += 1
                await client.flush()

            deadline = time.monotonic() + WAIT_S
            while not all(one.heard and one.heard[-1] >= start for one in self.subscribers):
                assert time.monotonic() < deadline, [(one.is_at, one.heard[-1:]) for one in self.subscribers]
                await publish()
                await asyncio.sleep(0.005)
        finally:
            await client.close()

    async def until_clients_know(self, *places: Place) -> None:
        """Waits until all subscribers know of these servers."""
        wanted = {place.client_port for place in places}

        def known() -> bool:
            return all(wanted <= {url.port for url in one.client.servers} for one in self.subscribers)

        await eventually(known, lambda: str([[u.netloc for u in one.client.servers] for one in self.subscribers]))

    async def replace(self, place: Place, *, by: ServerKind | None, routes: tuple[Place, ...], speaker: Place) -> None:
        """Stops a server while somebody publishes at another one; its clients move. Then another one takes its place."""
        moving = [one for one in self.subscribers if one.is_at == place.client_port]
        staying = [one for one in self.subscribers if one not in moving]
        moves = {id(one): one.moves for one in self.subscribers}
        first = self.sent
        # nats-py may swallow a cancellation.
        enough = asyncio.Event()
        publishing = asyncio.create_task(self._publish_at(speaker, enough))
        try:
            await place.stop()
            others = {other.client_port for other in self.places if other.server is not None}
            await eventually(lambda: all(one.is_at in others for one in moving), lambda: str([o.is_at for o in moving]))
            if by is not None:
                await place.start(by, *routes)
        finally:
            enough.set()
            await publishing
        numbers = range(first, self.sent)
        await self.until_all_hear(speaker)
        if by is not None:
            await self.until_all_hear(place)
        assert all(one.moves == moves[id(one)] for one in staying), "whoever was elsewhere stayed there"
        assert all(one.moves > moves[id(one)] for one in moving)
        for one in self.subscribers:
            self._check_heard(one, numbers, gaps_max=one.moves - moves[id(one)])

    async def _publish_at(self, speaker: Place, enough: asyncio.Event) -> None:
        client = await nats.connect(speaker.url, allow_reconnect=False)
        try:
            while not enough.is_set():
                self.sent_at.append(time.monotonic())
                await client.publish("walk", b"%d" % self.sent)
                self.sent += 1
                await client.flush()
                await asyncio.sleep(0.005)
        finally:
            await client.close()

    def _check_heard(self, one: Subscriber, numbers: range, *, gaps_max: int) -> None:
        """Everything was heard once and in order, but for one short gap each time that the client had to move."""
        heard = [number for number in one.heard if number in numbers]
        assert heard == sorted(set(heard))
        edges = [numbers.start - 1, *heard, numbers.stop]
        gaps = [(before + 1, after - 1) for before, after in itertools.pairwise(edges) if after != before + 1]
        # Servers whose names were generated part for a moment when they learn of a greater one, as nats-server does.
        assert len(gaps) <= gaps_max or not self.named, (gaps, gaps_max, numbers)
        for begin, end in gaps:
            lasted = self.sent_at[end] - self.sent_at[begin]
            assert lasted < GAP_S, f"missed {begin} to {end}, {lasted:.1f} s"


@pytest.mark.parametrize("cluster", ["", "walk"], ids=["generated name", "named"])
@upgrades
@in_asyncio
async def test_a_cluster_is_upgraded_one_server_after_the_other(upgrade: str, cluster: str) -> None:
    before, after = UPGRADES[upgrade]
    async with AsyncExitStack() as stack:
        walk = Walk(stack, places=3, cluster=cluster)
        a, b, c = walk.places
        # The manual's: both list both, themselves included.
        await a.start(before, a, b)
        await b.start(before, a, b)
        await walk.subscribe(a, count=4)
        await walk.subscribe(b, count=2)
        await walk.until_all_hear(a)
        await walk.until_all_hear(b)
        await walk.until_clients_know(a, b)
        await c.start(after, a, b)
        await walk.until_clients_know(a, b, c)
        await walk.until_all_hear(c)
        await walk.replace(a, by=after, routes=(a, b), speaker=c)
        await walk.replace(b, by=after, routes=(a, b), speaker=a)
        await walk.replace(c, by=None, routes=(), speaker=b)
        await walk.until_all_hear(a)
        assert {one.is_at for one in walk.subscribers} <= {a.client_port, b.client_port}


@pytest.mark.parametrize("upgrade", SEED_UPGRADES)
@in_asyncio
async def test_servers_that_know_only_a_seed_are_upgraded(upgrade: str) -> None:
    """The seed included: those that know each other through it stay together without it."""
    before, after = UPGRADES[upgrade]
    async with AsyncExitStack() as stack:
        walk = Walk(stack, places=3, cluster="walk")
        seed, b, c = walk.places
        await seed.start(before)
        await b.start(before, seed)
        await c.start(before, seed)
        await walk.subscribe(seed, count=3)
        await walk.subscribe(b, count=2)
        for place in walk.places:
            await walk.until_all_hear(place)
        await walk.until_clients_know(*walk.places)
        await walk.replace(seed, by=after, routes=(), speaker=c)
        await walk.replace(b, by=after, routes=(seed,), speaker=seed)
        await walk.replace(c, by=after, routes=(seed,), speaker=b)
        await walk.until_clients_know(*walk.places)
