"""The link against a small router on the other end of a socket pair."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from services.monitor.link_loop import Link, LinkLostError, LinkTimeoutError

DEADLINE_S = 10

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class OtherEnd:
    """Makes links and serves the other end of each with the next function of a list."""

    def __init__(self, *serves: Serve) -> None:
        self._serves = list(serves)
        self._tasks: list[asyncio.Task[None]] = []

    def make(self) -> socket.socket:
        if not self._serves:
            raise OSError("nobody there")
        ours, theirs = socket.socketpair()
        self._tasks.append(asyncio.create_task(self._run(self._serves.pop(0), theirs)))
        return ours

    async def _run(self, serve: Serve, end: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=end)
        assert (await reader.readline()).startswith(b"SUB _INBOX.")
        await serve(reader, writer)
        writer.close()


async def read_request(reader: asyncio.StreamReader) -> tuple[str, bytes, bytes]:
    _, subject, reply, size = (await reader.readline()).split()
    body = await reader.readexactly(int(size) + 2)
    return subject.decode(), reply, body[:-2]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while not reader.at_eof():
        try:
            subject, reply, body = await read_request(reader)
        except (ValueError, asyncio.IncompleteReadError):
            return
        text = subject.encode() + b" " + body
        writer.write(b"MSG %b 1 %d\r\n%b\r\n" % (reply, len(text), text))


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    _, reply, _ = await read_request(reader)
    writer.write(b"HMSG %b 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n" % reply)
    await reader.read()


async def talk_nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"MSG x 1 " + b"9" * 30 + b"\r\n")
    await reader.read()


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Runs a test on asyncio, which is the monitor's loop."""

    async def timed() -> None:
        await asyncio.wait_for(test(), DEADLINE_S)

    asyncio.run(timed())


def test_a_request_gets_its_own_answer() -> None:
    async def test() -> None:
        link = Link(OtherEnd(echo).make)
        answers = await asyncio.gather(*(link.request(f"s.{at}", b"%d" % at, timeout_s=5) for at in range(200)))
        assert answers == [b"s.%d %d" % (at, at) for at in range(200)]
        await link.close()

    run(test)


def test_a_router_that_restarts_is_asked_again() -> None:
    async def test() -> None:
        link = Link(OtherEnd(hang_up, echo).make)
        assert await link.request("s", b"x", timeout_s=5) == b"s x"
        await link.close()

    run(test)


def test_a_router_that_keeps_dying_is_asked_twice_at_most() -> None:
    async def test() -> None:
        link = Link(OtherEnd(hang_up, hang_up, echo).make)
        with pytest.raises(LinkLostError):
            await link.request("s", b"", timeout_s=5)

    run(test)


def test_without_a_router_nothing_is_answered() -> None:
    async def test() -> None:
        with pytest.raises(LinkLostError):
            await Link(OtherEnd().make).request("s", b"", timeout_s=5)

    run(test)


def test_a_router_that_says_nothing_is_not_waited_for() -> None:
    async def test() -> None:
        link = Link(OtherEnd(say_nothing).make)
        with pytest.raises(LinkTimeoutError):
            await link.request("s", b"", timeout_s=0.01)
        await link.close()

    run(test)


@pytest.mark.parametrize("serve", [refuse, talk_nonsense])
def test_a_router_that_makes_no_sense_is_an_error(serve: Serve) -> None:
    async def test() -> None:
        link = Link(OtherEnd(serve).make)
        with pytest.raises(LinkLostError):
            await link.request("s", b"", timeout_s=5)
        await link.close()

    run(test)


def test_closing_ends_what_still_waits() -> None:
    async def test() -> None:
        asked = asyncio.Event()

        async def take_note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            asked.set()
            await reader.read()

        link = Link(OtherEnd(take_note, echo).make)
        waiting = asyncio.create_task(link.request("s", b"", timeout_s=60))
        await asked.wait()
        await link.close()
        with pytest.raises(LinkLostError):
            await waiting

    run(test)
