"""What this process takes of the machine: memory and processor time. Linux only."""

from __future__ import annotations

import os
import time
from typing import Final

_FRESH_NS: Final = 1_000_000_000
"""A share of processor time that was measured less than this ago is given again."""


class ProcessUsage:
    """Measures this process. The share of processor time is that between two questions, a second apart at least."""

    __slots__ = ("_asked_ns", "_cpu_ns", "_percent")

    def __init__(self) -> None:
        self._asked_ns = time.monotonic_ns()
        self._cpu_ns = time.process_time_ns()
        self._percent = 0.0

    def memory_bytes(self) -> int:
        """Resident memory."""
        try:
            with open("/proc/self/statm", "rb") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, IndexError):
            return 0

    def cpu_percent(self) -> float:
        """Percent of one core, so it can exceed 100; one digit after the point."""
        now_ns = time.monotonic_ns()
        if now_ns - self._asked_ns >= _FRESH_NS:
            cpu_ns = time.process_time_ns()
            self._percent = round((cpu_ns - self._cpu_ns) * 100 / (now_ns - self._asked_ns), 1)
            self._asked_ns, self._cpu_ns = now_ns, cpu_ns
        return self._percent


def core_count() -> int:
    """Cores of the machine."""
    return os.cpu_count() or 1


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))
