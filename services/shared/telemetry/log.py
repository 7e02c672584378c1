"""The lines of the log: levels, their format, and the logger that code holds.

Promise: a line looks exactly as nats-server writes it (reference: operations 5.1), and a text from outside can never
forge a second line. Invariants: this module decides and formats; it opens nothing and reads no clock. Where lines go
is the business of `services.supervisor.log_loop` (one writer a node) or `services.shared.runtime.log_stream`.
Deliberately absent: handlers, filters by module, propagation. A logger is a function to call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

from services.shared.records.record import record

Level = Literal["INF", "DBG", "WRN", "ERR", "FTL", "TRC"]

LIMITED_TEXTS_MAX: Final = 1_024
LIMITED_PERIOD_NS: Final = 1_000_000_000
LINE_CHARS_MAX: Final = 65_536
"""Longer texts are cut: one line must not fill the queue of all others."""

_COLOURS: Final[dict[Level, str]] = {
    "INF": "32", "DBG": "36", "WRN": "0;93", "ERR": "31", "FTL": "31", "TRC": "33",
}  # fmt: skip
_CONTROL: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x09} | {
    0x0A: "\\n",
    0x0D: "\\r",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


@record
class LineStyle:
    """How the log of one node looks. `pid` is the supervisor's, in every line of every role."""

    pid: int
    logtime: bool = True
    colours: bool = False


def format_stamp(fields: Sequence[int], *, microsecond: int) -> str:
    """`YYYY/MM/DD HH:MM:SS.uuuuuu` of a broken-down time (year, month, day, hour, minute, second, ...)."""
    year, month, day, hour, minute, second = fields[:6]
    return f"{year:04}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02}.{microsecond:06}"


def format_line(*, level: Level, text: str, stamp: str, style: LineStyle) -> bytes:
    """One line with its LF, as UTF-8 (reference: operations 5.1). Control characters in the text are escaped."""
    tag = f"\x1b[{_COLOURS[level]}m{level}\x1b[0m" if style.colours else level
    when = f"{stamp} " if style.logtime else ""
    return f"[{style.pid}] {when}[{tag}] {one_line(text)}\n".encode(errors="backslashreplace")


def one_line(text: str) -> str:
    """The text with control characters escaped and cut to `LINE_CHARS_MAX`, so that it stays one line."""
    if len(text) > LINE_CHARS_MAX:
        text = text[:LINE_CHARS_MAX] + "..."
    return text if text.isprintable() else text.translate(_CONTROL)


class OncePerSecond:
    """Lets each text through at most once a second; remembers a bounded number of texts."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def allow(self, text: str, *, now_ns: int) -> bool:
        """Whether this text may be written now."""
        last = self._last.pop(text, None)
        if last is not None and now_ns - last < LIMITED_PERIOD_NS:
            self._last[text] = last
            return False
        if len(self._last) >= LIMITED_TEXTS_MAX:
            del self._last[next(iter(self._last))]
        self._last[text] = now_ns
        return True


class Logger:
    """What a role writes to: one method a level. Never blocks; `emit` decides what happens to a line.

    Ask `debugs` and `traces` before building a costly text.
    """

    __slots__ = ("_emit", "_limit", "debugs", "traces")

    def __init__(self, emit: Callable[[Level, str], None], *, debug: bool = False, trace: bool = False) -> None:
        self._emit = emit
        self._limit = OncePerSecond()
        self.debugs = debug
        self.traces = trace

    def info(self, text: str) -> None:
        """Writes an `[INF]` line."""
        self._emit("INF", text)

    def debug(self, text: str) -> None:
        """Writes a `[DBG]` line if the option `debug` is on."""
        if self.debugs:
            self._emit("DBG", text)

    def trace(self, text: str) -> None:
        """Writes a `[TRC]` line if the option `trace` is on."""
        if self.traces:
            self._emit("TRC", text)

    def warn(self, text: str) -> None:
        """Writes a `[WRN]` line."""
        self._emit("WRN", text)

    def warn_limited(self, text: str, *, now_ns: int) -> None:
        """Writes a `[WRN]` line unless the same text was written less than a second ago."""
        if self._limit.allow(text, now_ns=now_ns):
            self._emit("WRN", text)

    def error(self, text: str) -> None:
        """Writes an `[ERR]` line."""
        self._emit("ERR", text)

    def fatal(self, text: str) -> None:
        """Writes an `[FTL]` line. Ending the process is the caller's decision."""
        self._emit("FTL", text)
