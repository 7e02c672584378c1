"""Signals as bytes in a pipe, so that a poll loop sees them like any other event, one at a time and in order."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from types import FrameType
from typing import Final

_READ_BYTES: Final = 512


class SignalPipe:
    """Catches these signals from now on; `read` tells which have come. One per process."""

    __slots__ = ("_read_fd", "_write_fd")

    def __init__(self, signals: Iterable[int]) -> None:
        self._read_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        for signum in signals:
            signal.signal(signum, _take_no_action)

    def fileno(self) -> int:
        """The descriptor to poll for reading."""
        return self._read_fd

    def read(self) -> list[int]:
        """The numbers of the signals that have come since the last call."""
        try:
            return list(os.read(self._read_fd, _READ_BYTES))
        except BlockingIOError:
            return []


def _take_no_action(signum: int, frame: FrameType | None) -> None:
    """The byte in the pipe is all that is wanted."""
