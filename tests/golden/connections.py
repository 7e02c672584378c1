"""The named connections of a dialogue: opened on first use, read item by item, closed at the end."""

from __future__ import annotations

from contextlib import AsyncExitStack

import trio

from tests.golden.transcript import CLOSE, Step, decode_bytes, match_item
from tests.kit.rawclient import RawClient, open_connection
from tests.kit.servers import Server

QUIET_S = 0.15


class Connections:
    """Plays steps against one server. Placeholders are shared by all connections of the dialogue."""

    def __init__(self, server: Server, stack: AsyncExitStack) -> None:
        self._server = server
        self._stack = stack
        self._clients: dict[str, RawClient] = {}
        self.known: dict[str, bytes] = {}

    async def client(self, name: str) -> RawClient:
        """The connection of that name."""
        if name not in self._clients:
            client = RawClient(await open_connection(self._server))
            self._stack.push_async_callback(client.aclose)
            self._clients[name] = client
        return self._clients[name]

    async def send(self, step: Step) -> None:
        """Sends what the step says; placeholders must have been learned before."""
        text = step.text
        for name, value in self.known.items():
            text = text.replace(f"<{name}>", value.decode())
        await (await self.client(step.connection)).send(decode_bytes(text))

    async def expect(self, step: Step) -> None:
        """The next item on the connection must be what the step says."""
        client = await self.client(step.connection)
        if step.text == CLOSE:
            await client.expect_closed()
            return
        item = await client.next_item()
        assert match_item(step.text, item, self.known), (
            f"on {step.connection}\nwanted {step.text}\n   got {item!r}, with {self.known}"
        )

    async def expect_silence(self) -> None:
        """No connection may have anything more to say."""
        for name, client in self._clients.items():
            item = await next_item_or_none(client, within_s=0)
            assert item in (None, b""), f"on {name}: wanted nothing more, got {item!r}"

    async def drain(self) -> list[tuple[str, bytes]]:
        """Everything that arrives until all connections are quiet, by connection; b"" is the end of one (told once)."""
        items: list[tuple[str, bytes]] = []
        for name in list(self._clients):
            while (item := await next_item_or_none(self._clients[name], within_s=QUIET_S)) is not None:
                items.append((name, item))
                if not item:
                    del self._clients[name]
                    break
        return items


async def next_item_or_none(client: RawClient, *, within_s: float) -> bytes | None:
    """The next item if one comes in that time."""
    with trio.move_on_after(within_s):
        return await client.next_item()
    return None
