"""A client that notes everything it hears, from a task of its own."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import trio

from tests.kit.protocol_items import ProtocolItems

ANSWER_S = 20.0
CHUNK_BYTES = 1 << 16


@dataclass(frozen=True)
class Subscription:
    """What a client asked for."""

    subject: str
    queue: str = ""


def matches(pattern: str, subject: str) -> bool:
    """Whether a subscription to `pattern` gets what is published on `subject`."""
    wanted, tokens = pattern.split("."), subject.split(".")
    for at, token in enumerate(wanted):
        if token == ">":
            return len(tokens) > at
        if at >= len(tokens) or token not in ("*", tokens[at]):
            return False
    return len(wanted) == len(tokens)


class Ledger:
    """Who heard what since the last `forget`. A message is known by the first word of its payload: `ACCOUNT.NUMBER`.

    `plain` counts by client, subscription and message; `shared` by account, queue group and message. A message that comes
    twice, or in another account, is a fault at any time, but for one case that the protocol cannot exclude. A server that
    gets a message for a queue group whose last member has just left it passes the message on to a server that has members.
    There it also comes to subscriptions without a group, which had it already. `left` are the groups that were left.
    """

    def __init__(self) -> None:
        self.plain: Counter[tuple[str, str, str]] = Counter()
        self.shared: Counter[tuple[str, str, str]] = Counter()
        self.left: set[tuple[str, str]] = set()
        self._twice: list[tuple[Listener, Subscription, str, str]] = []

    def note(self, listener: Listener, sid: str, subject: str, payload: bytes) -> None:
        """A client has heard a message."""
        message = payload.split(b" ", 1)[0].decode()
        queue = listener.asked[sid].queue
        if queue:
            count = self.shared[listener.account, queue, message] = self.shared[listener.account, queue, message] + 1
        else:
            count = self.plain[listener.name, sid, message] = self.plain[listener.name, sid, message] + 1
        if count > 1 or not message.startswith(listener.account + "."):
            self._twice.append((listener, listener.asked[sid], subject, message))

    def leave(self, listener: Listener, asked: Iterable[Subscription]) -> None:
        """Subscriptions of a client end."""
        self.left |= {(listener.account, one.subject) for one in asked if one.queue}

    def faults(self) -> list[str]:
        """What must not have happened."""
        return [
            f"{message} on {subject} came to {listener.name} again, or wrongly, by {asked}"
            for listener, asked, subject, message in self._twice
            if asked.queue
            or not message.startswith(listener.account + ".")
            or not any(account == listener.account and matches(left, subject) for account, left in self.left)
        ]

    def forget(self) -> None:
        """Everything sent so far has arrived: it will not come again."""
        self.plain.clear()
        self.shared.clear()
        self.left.clear()
        self._twice.clear()


class Listener:
    """One connection. `asked` are all its subscriptions, `subscriptions` those that still are; `lost`: it is gone."""

    def __init__(self, stream: trio.SocketStream, *, name: str, account: str, ledger: Ledger) -> None:
        self.name, self.account = name, account
        self.asked: dict[str, Subscription] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self._ledger = ledger
        self.unanswered: Counter[str] = Counter()
        self.errors: list[bytes] = []
        self.lost = trio.Event()
        self._stream = stream
        self._items = ProtocolItems()
        self._sending = trio.Lock()
        self._news = trio.Condition()
        self._pongs_wanted = self._pongs = 0
        self._sids = 0

    # -- what it does

    async def subscribe(self, subject: str, *, queue: str = "") -> str:
        """Subscribes, without waiting for the server; returns the id."""
        self._sids += 1
        sid = str(self._sids)
        self.asked[sid] = self.subscriptions[sid] = Subscription(subject, queue)
        await self.send(f"SUB {subject} {queue} {sid}\r\n".encode())
        return sid

    async def unsubscribe(self, sid: str) -> None:
        """Ends a subscription, without waiting for the server. What is on its way still counts as heard."""
        self._ledger.leave(self, [self.subscriptions.pop(sid)])
        await self.send(f"UNSUB {sid}\r\n".encode())

    def ends(self) -> None:
        """The connection is about to end, or has ended: nothing is wanted any more."""
        self._ledger.leave(self, self.subscriptions.values())
        self.subscriptions.clear()

    async def publish(self, subject: str, payload: bytes, *, reply: str = "") -> None:
        """Publishes, without waiting for the server."""
        await self.send(f"PUB {subject} {reply} {len(payload)}\r\n".encode() + payload + b"\r\n")

    async def settle(self) -> None:
        """Waits until the server has carried out everything sent so far. A lost connection has nothing to settle."""
        self._pongs_wanted += 1
        wanted = self._pongs_wanted
        await self.send(b"PING\r\n")
        await self.until(lambda: self._pongs >= wanted, what=f"PONG for {self.name}")

    async def until(self, condition: Callable[[], bool], *, what: str) -> None:
        """Waits for something to be heard; a lost connection hears nothing more. Fails when it takes too long."""
        with trio.move_on_after(ANSWER_S) as scope:
            async with self._news:
                while not condition() and not self.lost.is_set():
                    await self._news.wait()
        if scope.cancelled_caught:
            raise AssertionError(f"waited {ANSWER_S} s for {what}")

    async def send(self, data: bytes) -> None:
        """Sends bytes. To a server that is gone nothing is sent."""
        try:
            async with self._sending:
                await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    async def close(self) -> None:
        """Leaves without a word."""
        await trio.aclose_forcefully(self._stream)

    # -- what it hears

    async def run(self) -> None:
        """Reads until the connection is gone."""
        try:
            while data := await self._stream.receive_some(CHUNK_BYTES):
                self._items.feed(data)
                while (item := self._items.take()) is not None:
                    await self._take(item)
                async with self._news:
                    self._news.notify_all()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)
                self.lost.set()
                async with self._news:
                    self._news.notify_all()

    async def _take(self, item: bytes) -> None:
        line, _, body = item.partition(b"\r\n")
        words = line.split()
        if words[0] == b"MSG":
            self._ledger.note(self, words[2].decode(), words[1].decode(), body[:-2])
        elif words[0] == b"HMSG":
            assert body.startswith(b"NATS/1.0 503"), item
            self.unanswered[words[1].decode()] += 1
        elif words[0] == b"PONG":
            self._pongs += 1
        elif words[0] == b"PING":
            await self.send(b"PONG\r\n")
        elif words[0] == b"-ERR":
            self.errors.append(line)


async def connected(port: int, *, name: str, account: str, ledger: Ledger, nursery: trio.Nursery) -> Listener:
    """A client of an account; it reads in the nursery. Raises OSError or trio.BrokenResourceError when nobody serves."""
    stream = await trio.open_tcp_stream("127.0.0.1", port, happy_eyeballs_delay=math.inf)
    listener = Listener(stream, name=name, account=account, ledger=ledger)
    await listener.send(
        f'CONNECT {{"verbose":false,"user":"{account}","pass":"{account}","name":"{name}","headers":true,'
        f'"no_responders":true,"protocol":0}}\r\n'.encode()
    )
    nursery.start_soon(listener.run)
    await listener.settle()
    if listener.lost.is_set():
        raise OSError(f"{name} was sent away: {listener.errors}")
    return listener
