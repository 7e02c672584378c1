"""A well-behaved pair of clients beside an attack: requests go on being answered, and memory is watched."""

from __future__ import annotations

import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from tests.kit.rawclient import RawClient, raw_client
from tests.kit.servers import Server

ANSWER_S = 5.0
PAGE_BYTES = resource.getpagesize()
MEGABYTE = 1 << 20


class Neighbour:
    """A requester and a responder. `answered` counts round trips, `slowest_s` is the longest of them."""

    def __init__(self, requester: RawClient, responder: RawClient) -> None:
        self._requester = requester
        self._responder = responder
        self.answered = 0
        self.slowest_s = 0.0

    async def ask(self) -> None:
        """One request and its answer, within a deadline."""
        text = str(self.answered + 1).encode()
        begin = trio.current_time()
        await self._requester.send(b"PUB neighbour.service neighbour.inbox %d\r\n%s\r\n" % (len(text), text))
        request = await self._responder.expect_message(within_s=ANSWER_S)
        assert request.payload == text
        await self._responder.send(b"PUB neighbour.inbox %d\r\n%s\r\n" % (len(text), text))
        answer = await self._requester.expect_message(within_s=ANSWER_S)
        assert answer.payload == text
        self.answered += 1
        self.slowest_s = max(self.slowest_s, trio.current_time() - begin)

    async def ask_on(self) -> None:
        """Requests until cancelled, with room for others in between."""
        while True:
            await self.ask()
            await trio.lowlevel.checkpoint()


@asynccontextmanager
async def neighbour(server: Server, **connect: str) -> AsyncIterator[Neighbour]:
    """A pair that asks and answers all the time inside the block, at the latest once at its end."""
    async with raw_client(server) as requester, raw_client(server) as responder:
        await requester.connect(**connect)
        await requester.subscribe("neighbour.inbox")
        await responder.connect(**connect)
        await responder.subscribe("neighbour.service")
        pair = Neighbour(requester, responder)
        await pair.ask()
        async with trio.open_nursery() as nursery:
            asking = trio.CancelScope()

            async def ask_on() -> None:
                with asking:
                    await pair.ask_on()

            nursery.start_soon(ask_on)
            before = pair.answered
            yield pair
            with trio.fail_after(ANSWER_S):
                while pair.answered == before:
                    await trio.lowlevel.checkpoint()
            asking.cancel()


def resident_bytes(server: Server) -> int:
    """The memory of all processes of a server together."""
    return sum(_resident_bytes(pid) for pid in server.descendants())


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (FileNotFoundError, ProcessLookupError):
        return 0


def allow_descriptors(count: int) -> None:
    """Makes sure that this process and what it starts may hold so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard == resource.RLIM_INFINITY or hard >= count, (
        f"this system allows {hard} open files, the test needs {count}"
    )
    if soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
