"""Publishes the events about traced messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from services.router.message_trace import Crossing, Hop, TracedMessage, trace_event
from services.router.own_traffic import OwnTraffic
from services.router.rib.accounts import AccountNumbers
from services.shared.engine.forwarding import Event, Forwarding

GZIP_HEADER = b"NATS/1.0\r\nContent-Encoding: gzip\r\n\r\n"


class Tracer:
    """Turns what the engine noted about a traced message into the event its publisher asked for."""

    __slots__ = ("_engine", "_numbers", "_own", "_server")

    def __init__(
        self, *, engine: Forwarding, own: OwnTraffic, numbers: AccountNumbers, server: Callable[[int], dict[str, Any]]
    ) -> None:
        """`server` gives the block about this server for a wall-clock time in nanoseconds."""
        self._engine = engine
        self._own = own
        self._numbers = numbers
        self._server = server

    def report(self, event: Event, *, now_ns: int) -> None:
        """Publishes the event for a `traced` event of the engine. `now_ns` is wall-clock time."""
        _, cid, account, (destination, subject, mapped), header, size, zipped, steps, unnamed = event
        message = TracedMessage(
            account=self._numbers.name(account),
            subject=subject.decode(errors="replace"),
            mapped=mapped.decode(errors="replace"),
            header=header,
            size_bytes=size,
            publisher=Hop(cid=cid, name=self._name(cid)),
            steps=[self._step(step) for step in steps],
            unnamed=unnamed,
        )
        body = trace_event(message, server=self._server(now_ns), now_ns=now_ns)
        headers = b""
        if zipped:
            # Imported here: hardly anybody asks for it.
            import gzip

            headers, body = GZIP_HEADER, gzip.compress(body)
        self._own.publish(account=account, subject=destination, headers=headers, body=body)

    def _step(self, step: tuple[Any, ...]) -> Hop | Crossing:
        """What the engine noted as `(kind, account, ...)`."""
        kind, account, *rest = step
        name = "" if account is None else self._numbers.name(account)
        if kind == "eg":
            cid, subject, group = rest
            return Hop(
                cid=cid,
                name=self._name(cid),
                account=name,
                subject=subject.decode(errors="replace"),
                queue=group.decode(errors="replace"),
            )
        *before, after = (subject.decode(errors="replace") for subject in rest)
        return Crossing(kind=kind, account=name, before="".join(before), after=after)

    def _name(self, cid: int) -> str:
        views = self._engine.connections(cid)
        if not views or not views[0].about:
            return ""
        name: str = json.loads(views[0].about).get("name", "")
        return name
