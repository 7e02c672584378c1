"""Writing log lines to a descriptor that nobody may be reading, without ever waiting for it.

A pipe or terminal is re-opened through /proc, which gives an own, non-blocking view without changing the flags that
others share. Where that is refused, a line is written only when `poll` says that there is room, in pieces that a pipe
takes at once. A regular file is written directly. Lines that find no room wait in a bounded queue, then are dropped and
counted; the count is reported as soon as there is room. Used by the supervisor, and by a role that runs without one.
"""

from __future__ import annotations

import os
import select
import stat
import time
from collections import deque
from typing import Final

from services.shared.telemetry.log import Level, LineStyle, format_line, format_stamp

PENDING_BYTES_MAX: Final = 256 * 1024
PIECE_BYTES: Final = select.PIPE_BUF


class LogTargetError(Exception):
    """The log can't be opened as configured; the text is what nats-server prints before it exits with 1."""


class LineFormatter:
    """Formats lines with their time; breaks a second down only once."""

    __slots__ = ("_fields", "_second", "_style", "_utc")

    def __init__(self, style: LineStyle, *, utc: bool) -> None:
        self._style = style
        self._utc = utc
        self._second = -1
        self._fields = time.gmtime(0)

    def format(self, level: Level, text: str, *, now_ns: int) -> bytes:
        """The line as bytes, LF included."""
        if not self._style.logtime:
            return format_line(level=level, text=text, stamp="", style=self._style)
        second = now_ns // 1_000_000_000
        if second != self._second:
            self._second = second
            self._fields = time.gmtime(second) if self._utc else time.localtime(second)
        stamp = format_stamp(self._fields, microsecond=now_ns // 1_000 % 1_000_000)
        return format_line(level=level, text=text, stamp=stamp, style=self._style)


class LogStream:
    """A target for lines on an open descriptor."""

    __slots__ = (
        "_broken", "_direct", "_dropped", "_fd", "_formatter", "_owned", "_pending", "_pending_bytes", "_poll", "_rest",
    )  # fmt: skip

    def __init__(self, fd: int, formatter: LineFormatter) -> None:
        self._formatter = formatter
        mode = os.fstat(fd).st_mode
        self._direct = stat.S_ISREG(mode)
        self._owned = False
        self._fd = fd
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            self._reopen(fd)
        self._pending: deque[bytes] = deque()
        self._pending_bytes = 0
        self._rest = b""
        self._dropped = 0
        self._broken = False
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)

    def write(self, level: Level, text: str, *, now_ns: int) -> None:
        """Writes the line now, or queues it, or drops it; never waits, never raises."""
        if self._broken:
            return
        line = self._formatter.format(level, text, now_ns=now_ns)
        if self._pending_bytes + len(line) > PENDING_BYTES_MAX:
            self._dropped += 1
            return
        self._pending.append(line)
        self._pending_bytes += len(line)
        self.flush()

    def flush(self) -> None:
        """Writes what finds room now."""
        while (self._rest or self._pending) and not self._broken:
            if not self._rest:
                self._rest = self._pending.popleft()
            if not self._write_piece():
                return

    def pending_fileno(self) -> int | None:
        """The descriptor, if lines wait for room in it."""
        return self._fd if self._rest or self._pending else None

    def take_dropped(self) -> int:
        """How many lines were dropped since the last call, if there is room to say so; else 0."""
        if self._rest or self._pending:
            return 0
        dropped, self._dropped = self._dropped, 0
        return dropped

    def reopen(self, *, now_ns: int) -> bool:
        """Not a file that we opened."""
        return False

    def close(self) -> None:
        """Closes the own view of the descriptor, never the one that was given."""
        if self._owned:
            os.close(self._fd)
        self._broken = True

    def _reopen(self, fd: int) -> None:
        try:
            self._fd = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            self._owned = True
        except OSError:
            self._fd = fd

    def _write_piece(self) -> bool:
        if not self._direct and not self._owned and not self._has_room():
            return False
        try:
            written = os.write(self._fd, self._rest if self._direct else self._rest[:PIECE_BYTES])
        except BlockingIOError:
            return False
        except OSError:
            self._lose_line()
            return not self._broken
        self._rest = self._rest[written:]
        self._pending_bytes -= written
        return True

    def _has_room(self) -> bool:
        return any(event & select.POLLOUT for _, event in self._poll.poll(0))

    def _lose_line(self) -> None:
        """A full disk loses the line; a reader that is gone (EPIPE, EIO) is gone for good."""
        self._pending_bytes -= len(self._rest)
        self._rest = b""
        self._dropped += 1
        if not self._direct:
            self._broken = True
            self._pending.clear()
            self._pending_bytes = 0
