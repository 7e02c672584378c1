"""The engine without a thread or sockets: the second entrance, for connections that Python keeps.

Links in memory (simulation) and protocols that are spoken in Python feed bytes in and take bytes out; matching, limits
and deadlines are the engine's, and the dialogue of a connection is byte for byte that of a socket. Time passes only in
`tick`. Not for more than one thread at a time.
"""

from __future__ import annotations

from enum import StrEnum

from services.shared.engine import _native
from services.shared.engine.forwarding import Arrival, EngineControl, Handover
from services.shared.records.record import record
from services.shared.wire.close_reasons import CloseReason


class Fate(StrEnum):
    """What became of input: see `Fate` in `engine/drive/src/manual.rs`."""

    PROCESSED = "processed"
    RESTS = "rests"
    WAITS = "waits"
    GONE = "gone"


@record(kw_only=False)
class Fed:
    """What became of input; with `RESTS` the publisher should be quiet until `until_ns`."""

    fate: Fate
    until_ns: int


@record(kw_only=False)
class Output:
    """The next bytes for a peer; `ended` when nothing follows, ever."""

    data: bytes
    ended: bool


class ManualForwarding(EngineControl):
    """An engine whose connections are fed and emptied by calls. Two with the same seed do the same."""

    __slots__ = ()

    _engine: _native.ManualEngine

    def __init__(self, limits: dict[str, object], *, seed: int) -> None:
        self._engine = _native.ManualEngine(limits, seed)

    @property
    def now_ns(self) -> int:
        """The time that was last told; 1 at first."""
        return self._engine.now_ns()

    @property
    def next_due_ns(self) -> int | None:
        """When `tick` has something to do next."""
        return self._engine.next_due_ns()

    def tick(self, now_ns: int) -> None:
        """Lets time pass: pings, deadlines, the end of rests."""
        self._engine.tick(now_ns)

    def open(self, handover: Handover, *, greeting: bytes = b"", arrival: Arrival | None = None) -> int:
        """Takes a connection on and returns its client id. With `arrival` it counts as one that came through a door."""
        came_in = None
        if arrival is not None:
            came_in = (arrival.door, arrival.ip, arrival.port, arrival.nonce, arrival.at_ns)
        return self._engine.open(handover.as_mapping(), greeting, came_in)

    def feed(self, cid: int, data: bytes) -> Fed:
        """Input of a connection, in any pieces. What cannot be processed yet is kept, so stop feeding until it is."""
        fate, until_ns = self._engine.feed(cid, data)
        return Fed(Fate(fate), until_ns)

    def take_output(self, cid: int, *, at_most: int | None = None) -> Output:
        """Takes output of a connection. What is left waits as before a full socket, under the same limits."""
        return Output(*self._engine.take_output(cid, at_most))

    def ready(self) -> list[int]:
        """Connections that have output, or have ended, since they were last emptied."""
        return self._engine.ready()

    def lost(self, cid: int, reason: CloseReason = CloseReason.CLIENT_CLOSED, *, detail: str = "") -> None:
        """The peer of a connection went away."""
        self._engine.lost(cid, reason, detail)
