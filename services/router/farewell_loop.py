"""Leaving politely: a stop closes everybody, lame duck mode moves clients away one by one (reference: operations 4.4)."""

from __future__ import annotations

import json
import random

import trio

from services.router.admission.desk import Desk
from services.router.departures import eviction_pause_ns, lame_duck_info
from services.shared.engine.forwarding import Forwarding
from services.shared.telemetry.log import Logger
from services.shared.wire.close_reasons import CloseReason

POLL_S = 0.02
"""How often a farewell looks whether everybody is gone."""

POLL_FIRST_S = 0.001
"""How soon a stop looks first; each pause doubles, up to POLL_S. Most are gone at once, and somebody waits for it."""


class Farewell:
    """Ends the connections of a router."""

    __slots__ = ("_desk", "_engine", "_log")

    def __init__(self, *, engine: Forwarding, desk: Desk, log: Logger) -> None:
        self._engine = engine
        self._desk = desk
        self._log = log

    async def stop(self, grace_ns: int) -> None:
        """Closes every connection and waits, within the grace, until they are gone."""
        for view in self._engine.connections():
            self._engine.close(view.cid, CloseReason.SERVER_SHUTDOWN)
        pause_s = POLL_FIRST_S
        with trio.move_on_after(min(grace_ns / 2e9, 1.0)):
            while self._engine.totals()["connections"]:
                await trio.sleep(pause_s)
                pause_s = min(2 * pause_s, POLL_S)

    async def lame_duck(self, *, grace_ns: int, duration_ns: int) -> None:
        """Tells clients to move, waits for the grace period, then closes those left over the rest of the duration."""
        self._announce()
        with trio.move_on_after(grace_ns / 1e9):
            while self._engine.totals()["connections"]:
                await trio.sleep(POLL_S)
        views = self._engine.connections()
        if not views:
            return
        self._log.info("Closing existing clients")
        random.shuffle(views)
        pause_ns = eviction_pause_ns(clients=len(views), window_ns=duration_ns - grace_ns)
        for view in views:
            self._engine.close(view.cid, CloseReason.SERVER_SHUTDOWN)
            await trio.sleep(random.uniform(pause_ns / 2, pause_ns) / 1e9)

    def _announce(self) -> None:
        """Sends the INFO with `ldm`; own addresses are not in it."""
        for view in self._engine.connections():
            if not view.about:
                continue
            info = lame_duck_info(json.loads(view.about), cid=view.cid, rules=self._desk.rules)
            if info is not None:
                self._engine.announce([view.cid], info)
