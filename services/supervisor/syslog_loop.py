"""The connection to a syslog daemon, local or remote: never waits, reconnects at most once a second.

The only waits are at the start, where nats-server waits too: for the name of the daemon's host and for the connection,
at most `CONNECT_SECONDS`. Frames that find no room wait in a bounded queue, then are dropped and counted.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from typing import Any, Final

from services.shared.records.record import record
from services.shared.runtime.log_stream import LogTargetError
from services.shared.telemetry.log import Level
from services.shared.telemetry.syslog import (
    LOCAL_PATHS,
    SyslogTarget,
    SyslogUrlError,
    local_frame,
    parse_target,
    remote_frame,
)

PENDING_FRAMES_MAX: Final = 1_024
RECONNECT_NS: Final = 1_000_000_000
CONNECT_SECONDS: Final = 2.0


@record
class Endpoint:
    """A resolved address of the daemon. `is_local` chooses the form of the frames."""

    family: int
    kind: int
    address: Any
    is_local: bool

    def connect(self, *, seconds: float) -> socket.socket:
        """A non-blocking socket; with 0 seconds the connection may still be on its way. Raises OSError."""
        opened = socket.socket(self.family, self.kind)
        try:
            opened.settimeout(seconds)
            try:
                opened.connect(self.address)
            except BlockingIOError:
                pass
            opened.setblocking(False)
        except OSError:
            opened.close()
            raise
        return opened


def connect_syslog(url: str, *, ident: str, pid: int) -> SyslogConnection:
    """Connects to the daemon behind the URL, or to the local one if it is empty. Raises LogTargetError."""
    try:
        target = parse_target(url) if url else None
    except SyslogUrlError as error:
        raise LogTargetError(f"error {error}") from error
    failure = "Unix syslog delivery error"
    try:
        for endpoint in _local_endpoints() if target is None else _endpoints(target):
            try:
                opened = endpoint.connect(seconds=CONNECT_SECONDS)
            except OSError as error:
                failure = failure if target is None else _dial_failure(target, error)
                continue
            return SyslogConnection(endpoint, opened, ident=ident, pid=pid)
    except OSError as error:
        failure = failure if target is None else _dial_failure(target, error)
    raise LogTargetError(f'error connecting to syslog: "{failure}"')


class SyslogConnection:
    """An open connection to the daemon."""

    __slots__ = ("_dropped", "_endpoint", "_host", "_ident", "_pending", "_pid", "_retry_at_ns", "_socket")

    def __init__(self, endpoint: Endpoint, opened: socket.socket, *, ident: str, pid: int) -> None:
        self._endpoint = endpoint
        self._socket: socket.socket | None = opened
        self._ident = ident
        self._pid = pid
        self._host = socket.gethostname() or "localhost"
        self._pending: deque[bytes] = deque()
        self._dropped = 0
        self._retry_at_ns = 0

    def write(self, level: Level, text: str, *, now_ns: int) -> None:
        """Sends a line or queues it."""
        if len(self._pending) >= PENDING_FRAMES_MAX:
            self._dropped += 1
            return
        second = now_ns // 1_000_000_000
        if self._endpoint.is_local:
            fields = time.localtime(second)
            frame = local_frame(level=level, text=text, fields=fields, ident=self._ident, pid=self._pid)
        else:
            utc = time.gmtime(second)
            frame = remote_frame(level=level, text=text, utc=utc, host=self._host, ident=self._ident, pid=self._pid)
        self._pending.append(frame)
        self.flush()

    def flush(self) -> None:
        """Sends what finds room, after reconnecting if the connection was lost."""
        self._reconnect()
        while self._socket is not None and self._pending:
            frame = self._pending[0]
            try:
                sent = self._socket.send(frame)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                self._retry_at_ns = time.monotonic_ns() + RECONNECT_NS
                return
            if sent < len(frame):
                self._pending[0] = frame[sent:]
                return
            self._pending.popleft()

    def pending_fileno(self) -> int | None:
        """The socket, if there is one and frames wait for room in it."""
        return self._socket.fileno() if self._socket is not None and self._pending else None

    def take_dropped(self) -> int:
        """How many frames were dropped since the last call, if there is room to say so; else 0."""
        if self._socket is None or self._pending:
            return 0
        dropped, self._dropped = self._dropped, 0
        return dropped

    def reopen(self, *, now_ns: int) -> bool:
        """Not a file."""
        return False

    def close(self) -> None:
        """Closes the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _reconnect(self) -> None:
        if self._socket is not None or time.monotonic_ns() < self._retry_at_ns:
            return
        try:
            self._socket = self._endpoint.connect(seconds=0.0)
        except OSError:
            self._retry_at_ns = time.monotonic_ns() + RECONNECT_NS


def _local_endpoints() -> list[Endpoint]:
    return [
        Endpoint(family=socket.AF_UNIX, kind=kind, address=path, is_local=True)
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)
        for path in LOCAL_PATHS
    ]


def _endpoints(target: SyslogTarget) -> list[Endpoint]:
    kind = socket.SOCK_STREAM if target.network in ("tcp", "unix") else socket.SOCK_DGRAM
    if target.path:
        return [Endpoint(family=socket.AF_UNIX, kind=kind, address=target.path, is_local=False)]
    found = socket.getaddrinfo(target.host or "localhost", target.port, type=kind)
    return [Endpoint(family=family, kind=kind, address=address, is_local=False) for family, _, _, _, address in found]


def _dial_failure(target: SyslogTarget, error: OSError) -> str:
    where = target.path or f"{target.host}:{target.port}"
    text = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
    return f"dial {target.network} {where}: {text[:1].lower()}{text[1:]}"
