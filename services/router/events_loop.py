"""Drains what the engine reports and hands each event to whom it concerns."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Protocol

import trio

from services.router.admission.desk import Desk
from services.router.census import Census
from services.router.closed_ring import Closed, ClosedRing
from services.router.lifecycle import log_closed, violation_text
from services.router.links_loop import is_link
from services.router.newcomers import arrived, note_prefix, unsettled_note_text
from services.router.own_traffic import payload_text
from services.router.rib.accounts import AccountNumbers
from services.router.tracer import Tracer
from services.shared.engine.forwarding import Arrival, Event, Forwarding
from services.shared.telemetry.log import Logger
from services.shared.wire.close_reasons import CloseReason

EVENTS_MAX = 512
"""Events taken before other tasks get their turn."""

PREFIXES_MAX = 1024
"""Ended connections whose names are kept for what is still to be traced of them."""

_REASONS = {int(reason): reason for reason in CloseReason}


class Routes(Protocol):
    """Who cares for the routes to other servers."""

    def heard(self, cid: int, text: bytes) -> None:
        """INFO came over a route."""

    def closed(self, cid: int, reason: CloseReason, detail: str) -> bool:
        """A connection has ended; true when it was a route."""

    def prefix(self, cid: int) -> str:
        """How the log names a route; empty for what is none."""


class EventSink:
    """Knows what each event of the engine means."""

    __slots__ = ("_census", "_desk", "_dropped", "_engine", "_log", "_numbers", "_prefixes", "_ring", "_tracer",
                 "on_message", "on_served", "routes")  # fmt: skip

    def __init__(
        self, *, engine: Forwarding, desk: Desk, census: Census, numbers: AccountNumbers, tracer: Tracer,
        ring: ClosedRing, log: Logger,
    ) -> None:  # fmt: skip
        self._numbers = numbers
        self._tracer = tracer
        self._ring = ring
        self._engine = engine
        self._desk = desk
        self._census = census
        self._log = log
        self._dropped = 0
        self._prefixes: dict[int, str] = {}
        self.on_message: Callable[[Event], None] | None = None
        self.on_served: Callable[[Event], None] | None = None
        self.routes: Routes | None = None

    def take(self, event: Event) -> None:
        """Acts on one event."""
        match event[0]:
            case "connect":
                self._desk.connect(event[1], event[2], Arrival(*event[3]) if event[3] else None)
            case "admitted":
                self._census.join(self._numbers.name(event[2]))
            case "arrived":
                self._log.debug(f"{arrived(event[1], Arrival(*event[2])).log_prefix} - Client connection created")
            case "closed":
                self._closed(event)
            case "violation":
                self._log.error(f"{self._prefix(event[1])} - {violation_text(*event[2:])}")
            case "served":
                if self.on_served is not None:
                    self.on_served(event)
            case "slow":
                self._log.info(f"{self._prefix(event[1])} - {event[2]}")
            case "spent":
                _, cid, sid, most = event
                name = sid.decode(errors="replace")
                self._log.debug(f"{self._prefix(cid)} - Auto-unsubscribe limit of {most} reached for sid '{name}'")
            case "peer":
                if self.routes is not None:
                    self.routes.heard(event[1], event[2])
            case "info":
                self._check_info(event[1], event[2])
            case "traced":
                self._tracer.report(event, now_ns=time.time_ns())
            case "trace":
                self._trace(event)
            case "deliver":
                if self.on_message is not None:
                    self.on_message(event)
            case unknown:
                raise ValueError(f"the engine reported {unknown!r}, which nobody knows")

    def report_drops(self) -> None:
        """Says so when events were lost because the control plane was too slow."""
        dropped = self._engine.dropped_events()
        if dropped > self._dropped:
            self._log.warn(f"{dropped - self._dropped} reports of the engine were dropped")
            self._dropped = dropped

    def _closed(self, event: Event) -> None:
        _, cid, account, code, detail, last, subs, about, came_in = event
        if self.routes is not None and self.routes.closed(cid, _REASONS[code], detail):
            return
        newcomer = self._desk.forget(cid)
        if is_link(cid):
            return
        if newcomer is None and came_in:
            newcomer = arrived(cid, Arrival(*came_in))
        prefix = newcomer.log_prefix if newcomer is not None else ""
        if about:
            note = json.loads(about)
            self._census.part(note["account"])
            prefix = note_prefix(cid, note)
        if prefix and self._log.traces:
            self._remember(cid, prefix)
        log_closed(self._log, cid=cid, about=about, newcomer=newcomer, reason=_REASONS[code], detail=detail)
        text = about or (unsettled_note_text(newcomer) if newcomer is not None else b"")
        if text:
            closed = Closed(
                cid=cid, account=account if about else None, reason=code, stopped_ns=time.time_ns(), note=text,
                last=last, subscriptions=subs,
            )  # fmt: skip
            self._ring.add(closed)

    def _check_info(self, cid: int, text: bytes) -> None:
        """A client's INFO is ignored, unless it is not JSON (reference: wire protocol 1.2)."""
        try:
            json.loads(text)
        except ValueError:
            self._engine.close(cid, CloseReason.PROTOCOL_VIOLATION)

    def _trace(self, event: Event) -> None:
        _, cid, arrow, line, body = event
        prefix = self._prefix(cid)
        self._log.trace(f"{prefix} - {arrow} [{line.decode(errors='replace')}]")
        if body:
            self._log.trace(f"{prefix} - {arrow} {payload_text(body)}")

    def _prefix(self, cid: int) -> str:
        """How the log names a connection. What it did last may be reported after its end."""
        if self.routes is not None and (prefix := self.routes.prefix(cid)):
            return prefix
        views = self._engine.connections(cid)
        if not views:
            return self._prefixes.get(cid, f"cid:{cid}")
        about, came_in = views[0].about, views[0].arrival
        if about:
            return note_prefix(cid, json.loads(about))
        return arrived(cid, came_in).log_prefix if came_in else f"cid:{cid}"

    def _remember(self, cid: int, prefix: str) -> None:
        if len(self._prefixes) >= PREFIXES_MAX:
            del self._prefixes[next(iter(self._prefixes))]
        self._prefixes[cid] = prefix


def take_waiting(engine: Forwarding, sink: EventSink) -> bool:
    """Acts on what the engine has reported, up to EVENTS_MAX events; whether there were any."""
    events = engine.events(at_most=EVENTS_MAX)
    for event in events:
        sink.take(event)
    return bool(events)


async def events_loop(engine: Forwarding, sink: EventSink) -> None:
    """Serves the engine's events for ever."""
    while True:
        await trio.lowlevel.wait_readable(engine.events_fd)
        while take_waiting(engine, sink):
            await trio.lowlevel.checkpoint()
        sink.report_drops()
