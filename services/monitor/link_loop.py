"""The monitor's link to the router: requests over the NATS protocol on a socket of its own.

Promise: every request ends, with the answer, with `LinkLostError` or with `LinkTimeoutError`; a link that ended is
replaced by a new one for the next request. Invariant: one reader task; answers find their request by its subject.
Deliberately absent: CONNECT and INFO, since the router takes a link on as already admitted.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from socket import socket
from typing import Final

LINE_BYTES_MAX: Final = 64 * 1024
ANSWER_BYTES_MAX: Final = 512 * 1024 * 1024
WAITING_MAX: Final = 64
"""Requests under way; more wait for their turn."""


class LinkLostError(Exception):
    """The router is not there, or went away before it answered."""


class RouterGoneError(LinkLostError):
    """The link ended before the answer."""


class LinkTimeoutError(Exception):
    """The router did not answer in time."""


class Link:
    """Asks the router. `make` makes a connected socket whose other end the router takes; it may raise OSError."""

    def __init__(self, make: Callable[[], socket]) -> None:
        self._make = make
        self._inbox = f"_INBOX.{os.urandom(11).hex()}"
        self._count = 0
        self._closed = False
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._room = asyncio.Semaphore(WAITING_MAX)
        self._opening = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def request(self, subject: str, body: bytes, *, timeout_s: float) -> bytes:
        """The answer to a request. Raises LinkLostError or LinkTimeoutError.

        A link that ended meanwhile is replaced once: the router may just be restarting.
        """
        async with self._room:
            try:
                return await self._ask(subject, body, timeout_s=timeout_s)
            except RouterGoneError:
                if self._closed:
                    raise
                return await self._ask(subject, body, timeout_s=timeout_s)

    async def _ask(self, subject: str, body: bytes, *, timeout_s: float) -> bytes:
        writer = await self._open_writer()
        self._count += 1
        reply = f"{self._inbox}.{self._count}"
        answer = asyncio.get_running_loop().create_future()
        self._waiting[reply.encode()] = answer
        try:
            writer.write(f"PUB {subject} {reply} {len(body)}\r\n".encode() + body + b"\r\n")
            return await asyncio.wait_for(answer, timeout_s)
        except TimeoutError as error:
            raise LinkTimeoutError(f"no answer to {subject} within {timeout_s:g} s") from error
        except ConnectionError as error:
            raise RouterGoneError("the router is gone") from error
        finally:
            self._waiting.pop(reply.encode(), None)

    async def close(self) -> None:
        """Ends the link, and with it what still waits for an answer."""
        self._closed = True
        if self._reading is not None:
            self._reading.cancel()
        if self._writer is not None:
            self._writer.close()
        self._fail_waiting()

    def _fail_waiting(self) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(RouterGoneError("the router went away"))

    async def _open_writer(self) -> asyncio.StreamWriter:
        async with self._opening:
            if self._writer is not None:
                return self._writer
            try:
                reader, self._writer = await asyncio.open_connection(sock=self._make(), limit=LINE_BYTES_MAX)
            except OSError as error:
                raise LinkLostError(f"the router takes no link: {error}") from error
            self._writer.write(f"SUB {self._inbox}.* 1\r\n".encode())
            self._reading = asyncio.create_task(self._read(reader, self._writer))
            return self._writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                await self._take(line.rstrip(b"\r\n"), reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass  # the link is of no use any more, whatever the reason
        finally:
            self._writer = None
            writer.close()
            self._fail_waiting()

    async def _take(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        operation, *words = line.split()
        match operation:
            case b"MSG" | b"HMSG":
                size = int(words[-1])
                header_bytes = int(words[-2]) if operation == b"HMSG" else 0
                if size > ANSWER_BYTES_MAX:
                    raise ValueError(f"an answer of {size} bytes, at most {ANSWER_BYTES_MAX} wanted")
                body = (await reader.readexactly(size + 2))[header_bytes:-2]
                answer = self._waiting.get(words[0])
                if answer is not None and not answer.done():
                    _settle(answer, body, is_refusal=operation == b"HMSG" and not body)
            case b"PING":
                writer.write(b"PONG\r\n")
            case _:
                return


def _settle(answer: asyncio.Future[bytes], body: bytes, *, is_refusal: bool) -> None:
    if is_refusal:  # a header without a body: nobody listens to such requests
        answer.set_exception(LinkLostError("the router does not answer such requests"))
    else:
        answer.set_result(body)
