"""The channel between the supervisor and one role: records over a Unix stream socket, both ends.

Promise: nothing here ever blocks; orders and results are never lost while both processes live, log lines are dropped
(and counted) when the other side does not read. Invariants: a frame is four bytes of length and a pickled record, both
ends run the same program image and trust each other; buffers are bounded. Deliberately absent: waiting. The supervisor
polls the descriptor itself, a trio role uses `control_loop`.
"""

from __future__ import annotations

import copyreg
import os
import pickle
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from services.shared.config.options import Options
from services.shared.records.record import field, record
from services.shared.runtime.role_plan import RolePlan
from services.shared.telemetry.log import Level

FRAME_BYTES_MAX: Final = 256 * 1024 * 1024
LOG_PENDING_BYTES_MAX: Final = 1024 * 1024
READ_BYTES: Final = 65_536
LENGTH_BYTES: Final = 4


@record
class Start:
    """Supervisor: what the role is to do. Comes first, with the sockets beside it (`plan_transfer`)."""

    plan: RolePlan


@record
class Stop:
    """Supervisor: end now, politely; the process is killed after `grace_ns`."""

    grace_ns: int


@record
class LameDuck:
    """Supervisor: close your client listeners, move clients away, then send `Finished` (operations 4.4)."""


@record
class Reload:
    """Supervisor: these options are in force, and certificate files are to be read again (operations 4.2)."""

    options: Options
    loaded_at_ns: int


@record
class ReloadOutcome:
    """Supervisor: the answer to `AskReload`. `error` is empty when the new options are in force."""

    ask_id: int
    error: str = ""


@record
class Ready:
    """Role: it truly serves. `ports` names the ports it opened itself, beside those it was given."""

    ports: Mapping[str, int] = field(default_factory=dict)


@record
class LogLine:
    """Role: a line for the log."""

    level: Level
    text: str


@record
class LinesDropped:
    """Role: so many lines were lost here because the channel was full."""

    count: int


@record
class AskReload:
    """Role: a request over the network wants the configuration file read again."""

    ask_id: int


@record
class Failed:
    """Role: it can't start, and trying again would not help. The node ends with this text as an `[FTL]` line."""

    text: str


@record
class Finished:
    """Role: lame duck mode is over, no client is left; the node may end."""


def _read_only(fields: dict[str, str]) -> MappingProxyType[str, str]:
    return MappingProxyType(fields)


def _reduce_proxy(
    proxy: MappingProxyType[str, str],
) -> tuple[Callable[[dict[str, str]], MappingProxyType[str, str]], tuple[dict[str, str]]]:
    return _read_only, (dict(proxy),)


copyreg.pickle(MappingProxyType, _reduce_proxy)  # options hold read-only mappings, which pickle refuses by itself

ToRole = Start | Stop | LameDuck | Reload | ReloadOutcome
ToSupervisor = Ready | LogLine | LinesDropped | AskReload | Failed | Finished


class ChannelClosed(Exception):
    """The process at the other end is gone."""


class ControlChannel:
    """One end of the channel; owns the descriptor, which it makes non-blocking.

    `on_pending` is called when bytes are left over that the socket did not take: wait until it is writable, `flush`.
    """

    __slots__ = ("_dropped", "_in", "_out", "fd", "on_pending")

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.on_pending: Callable[[], None] | None = None
        self._in = bytearray()
        self._out = bytearray()
        self._dropped = 0

    @property
    def has_pending(self) -> bool:
        """Whether bytes wait for the socket to become writable."""
        return bool(self._out)

    def send(self, record: ToRole | ToSupervisor) -> None:
        """Queues the record and writes what the socket takes. Silent when the other end is gone: reading tells."""
        self._out += encode_record(record)
        self.flush()

    def send_log(self, level: Level, text: str) -> None:
        """Sends a log line, or counts it as dropped when too much waits already."""
        if len(self._out) > LOG_PENDING_BYTES_MAX:
            self._dropped += 1
            return
        self.send(LogLine(level=level, text=text))

    def flush(self) -> None:
        """Writes what the socket takes now; tells of dropped lines as soon as there is room."""
        while self._out or self._dropped:
            if not self._out:
                self._out += encode_record(LinesDropped(count=self._dropped))
                self._dropped = 0
            try:
                sent = os.write(self.fd, self._out)
            except BlockingIOError:
                if self.on_pending is not None:
                    self.on_pending()
                return
            except (BrokenPipeError, ConnectionResetError):
                self._out.clear()
                return
            del self._out[:sent]

    def receive(self) -> list[ToRole | ToSupervisor]:
        """The records that have arrived whole; empty when there is nothing now. Raises ChannelClosed at the end."""
        try:
            data = os.read(self.fd, READ_BYTES)
        except BlockingIOError:
            return []
        except ConnectionResetError as error:
            raise ChannelClosed from error
        if not data:
            raise ChannelClosed
        self._in += data
        return self._take_frames()

    def close(self) -> None:
        """Closes the descriptor."""
        os.close(self.fd)

    def _take_frames(self) -> list[ToRole | ToSupervisor]:
        records = []
        offset = 0
        while len(self._in) - offset >= LENGTH_BYTES:
            length = int.from_bytes(self._in[offset : offset + LENGTH_BYTES])
            if length > FRAME_BYTES_MAX:
                raise ChannelClosed(f"a control frame of {length} bytes, at most {FRAME_BYTES_MAX} wanted")
            end = offset + LENGTH_BYTES + length
            if len(self._in) < end:
                break
            records.append(decode_record(bytes(self._in[offset + LENGTH_BYTES : end])))
            offset = end
        del self._in[:offset]
        return records


def encode_record(record: ToRole | ToSupervisor) -> bytes:
    """The record as a frame."""
    body = pickle.dumps(record, protocol=5)
    return len(body).to_bytes(LENGTH_BYTES) + body


def decode_record(body: bytes) -> ToRole | ToSupervisor:
    """The record in the body of a frame."""
    record: ToRole | ToSupervisor = pickle.loads(body)
    return record
