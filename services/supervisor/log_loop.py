"""The one writer of a node's log: every line of every role goes through here, in order.

Promise: writing never blocks the node. Lines for a pipe, a terminal or syslog wait in a bounded queue while nobody
reads and are counted when they don't fit; files are written directly. Where lines go follows the options (operations
5.1): a log file, else remote syslog, else local syslog, else standard error. The caller polls `pending_fileno` for
writing.
"""

from __future__ import annotations

import os
import time
from typing import Final, Protocol

from services.shared.config.options import LogOptions
from services.shared.runtime.log_stream import LineFormatter, LogStream, LogTargetError
from services.shared.telemetry.log import Level, LineStyle
from services.shared.telemetry.logfile import LogFile, backup_suffix

STDERR: Final = 2


class LogTarget(Protocol):
    """Where lines go. Nothing here waits or raises."""

    def write(self, level: Level, text: str, *, now_ns: int) -> None:
        """Writes a line, or queues it, or drops and counts it."""

    def flush(self) -> None:
        """Writes queued lines as far as there is room."""

    def pending_fileno(self) -> int | None:
        """What must become writable before queued lines can go on; None if none wait."""

    def take_dropped(self) -> int:
        """How many lines were dropped since the last call, if there is room to say so; else 0."""

    def reopen(self, *, now_ns: int) -> bool:
        """Opens a file anew; False if the target is none."""

    def close(self) -> None:
        """Closes the target."""


class LogWriter:
    """Writes lines to the target of the options. `pid` and `ident` stand in every line."""

    __slots__ = ("_ident", "_options", "_pid", "_target")

    def __init__(self, options: LogOptions, *, pid: int, ident: str) -> None:
        self._pid = pid
        self._ident = ident
        self._options = options
        self._target = self._open(options)

    def write(self, level: Level, text: str) -> None:
        """Writes one line, unless its level is off."""
        if (level == "DBG" and not self._options.debug) or (level == "TRC" and not self._options.trace):
            return
        self._target.write(level, text, now_ns=time.time_ns())
        self._report_dropped()

    def reconfigure(self, options: LogOptions) -> None:
        """Follows a reload. Raises LogTargetError and goes on as before if the new target can't be opened."""
        fresh = self._open(options)
        self._target.close()
        self._target = fresh
        self._options = options

    def reopen(self) -> None:
        """What SIGUSR1 asks for (operations 4.3)."""
        now_ns = time.time_ns()
        if not self._target.reopen(now_ns=now_ns):
            self._target.write("INF", "File log re-open ignored, not a file logger", now_ns=now_ns)

    def pending_fileno(self) -> int | None:
        """What to poll for writing; None if no line waits."""
        return self._target.pending_fileno()

    def flush(self) -> None:
        """Writes waiting lines as far as there is room."""
        self._target.flush()
        self._report_dropped()

    def close(self) -> None:
        """Gives waiting lines a last chance, then closes the target."""
        self.flush()
        self._target.close()

    def _report_dropped(self) -> None:
        dropped = self._target.take_dropped()
        if dropped:
            text = f"Dropped {dropped} log lines, since they were not read or stored fast enough"
            self._target.write("WRN", text, now_ns=time.time_ns())

    def _open(self, options: LogOptions) -> LogTarget:
        if options.log_file:
            style = LineStyle(pid=self._pid, logtime=options.logtime)
            return FileTarget(options, LineFormatter(style, utc=options.logtime_utc))
        if options.remote_syslog or options.syslog:
            from services.supervisor.syslog_loop import connect_syslog  # few nodes use it

            return connect_syslog(options.remote_syslog, ident=self._ident, pid=self._pid)
        style = LineStyle(pid=self._pid, logtime=options.logtime, colours=os.isatty(STDERR))
        return LogStream(STDERR, LineFormatter(style, utc=options.logtime_utc))


class FileTarget:
    """A log file that rotates by size (operations 4.3). Raises LogTargetError from the constructor only."""

    __slots__ = ("_file", "_formatter", "_options")

    def __init__(self, options: LogOptions, formatter: LineFormatter) -> None:
        self._options = options
        self._formatter = formatter
        try:
            self._file = LogFile(options.log_file, rotate_at_bytes=options.log_size_limit_bytes)
        except OSError as error:
            raise LogTargetError(f"error opening file: open {options.log_file}: {_reason(error)}") from error

    def write(self, level: Level, text: str, *, now_ns: int) -> None:
        """Appends the line and rotates if the file is full now."""
        self._append(level, text, now_ns=now_ns)
        if self._file.is_full:
            self._rotate(now_ns=now_ns)

    def flush(self) -> None:
        """Nothing waits: lines are in the file when `write` returns."""

    def pending_fileno(self) -> int | None:
        """Nothing waits."""
        return None

    def take_dropped(self) -> int:
        """How many lines the disk refused."""
        dropped, self._file.lost_lines = self._file.lost_lines, 0
        return dropped

    def reopen(self, *, now_ns: int) -> bool:
        """Opens the path anew; the first line of the new file says so."""
        try:
            self._file.reopen()
        except OSError as error:
            self._append("ERR", f'Unable to re-open logfile "{self._file.path}" ({_reason(error)})', now_ns=now_ns)
        else:
            self._append("INF", "File log re-opened", now_ns=now_ns)
        return True

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _append(self, level: Level, text: str, *, now_ns: int) -> None:
        self._file.write(self._formatter.format(level, text, now_ns=now_ns))

    def _rotate(self, *, now_ns: int) -> None:
        file = self._file
        suffix = backup_suffix(time.localtime(now_ns // 1_000_000_000), nanosecond=now_ns % 1_000_000_000)
        try:
            backup = file.rotate(suffix)
        except OSError as error:
            file.rotate_at_bytes *= 2
            reason = f"({_reason(error)}), will attempt next rotation at size {file.rotate_at_bytes}"
            self._append("ERR", f'Unable to rotate logfile "{file.path}" {reason}', now_ns=now_ns)
            return
        file.rotate_at_bytes = self._options.log_size_limit_bytes
        self._append("INF", f'Rotated log, backup saved as "{backup}"', now_ns=now_ns)
        for purged in file.purge(kept_max=self._options.log_max_num):
            self._append("INF", f'Purged log file "{purged}"', now_ns=now_ns)


def _reason(error: OSError) -> str:
    text = os.strerror(error.errno or 0)
    return text[:1].lower() + text[1:]
