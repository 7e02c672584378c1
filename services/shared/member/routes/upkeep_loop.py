"""Keeps the connections to other servers complete, where it is us who dialled (reference: wire protocol 2.4, 2.5, 2.13).

Promise: what is missing to a server that is there is dialled, slots one after another, connections for one account at once;
what is lost is dialled again after a moment, what was refused after a longer one each time.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import trio

from services.shared.member.routes.mesh import Mesh
from services.shared.member.routes.pool import Place

RETRY_S: Final = 1.0
RETRY_MAX_S: Final = 30.0
JITTER_S: Final = 0.1
COURTESY_S: Final = 0.25
"""So long a server that has dialled us itself may complete its connections alone."""

DialPlace: TypeAlias = Callable[[str, Place], Awaitable[bool]]
"""Dials a server for a place; true when the connection is up."""


class Upkeep:
    """Completes the connections to servers. `changed` is to be called whenever one is up or gone."""

    __slots__ = ("_changed", "_kept", "_mesh")

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._kept: set[str] = set()
        self._changed = trio.Event()

    def changed(self) -> None:
        """Something is up, gone, or no longer dialled."""
        self._changed.set()
        self._changed = trio.Event()

    async def wait(self) -> None:
        """Returns after the next change."""
        await self._changed.wait()

    async def keep(self, server_id: str, dial: DialPlace, *, delay_s: float, ours: bool) -> None:
        """Dials what is missing to a server until it is gone. `delay_s` is before what was lost is dialled again.

        Without `ours` the server has dialled us first, and gets a moment to complete its connections. One task cares for a
        server; others only wait.
        """
        if server_id in self._kept:
            while self._mesh.knows(server_id):
                await self.wait()
            return
        self._kept.add(server_id)
        try:
            if not ours:
                await trio.sleep(COURTESY_S + random.uniform(0, JITTER_S))
            async with trio.open_nursery() as nursery:
                await self._complete(nursery, server_id, dial, delay_s=delay_s)
                nursery.cancel_scope.cancel()
        finally:
            self._kept.discard(server_id)

    async def _complete(self, nursery: trio.Nursery, server_id: str, dial: DialPlace, *, delay_s: float) -> None:
        busy: set[Place] = set()
        seen: set[Place] = set()

        async def fill(place: Place) -> None:
            if place in seen:
                await trio.sleep(delay_s + random.uniform(0, JITTER_S))
            retry_s = RETRY_S
            while place in self._mesh.missing(server_id) and not await dial(server_id, place):
                await trio.sleep(retry_s + random.uniform(0, JITTER_S))
                retry_s = min(2 * retry_s, RETRY_MAX_S)
            busy.discard(place)
            self.changed()

        while self._mesh.knows(server_id):
            seen.update(self._mesh.places(server_id))
            for place in self._mesh.missing(server_id):
                # A slot that somebody is after already is not the last word: the next one comes when that is settled.
                if place not in busy and (place.account or all(other.account for other in busy)):
                    busy.add(place)
                    nursery.start_soon(fill, place)
            await self.wait()
