"""The end of a process that has nothing left to do: at once, without taking the interpreter down piece by piece."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import NoReturn


def end_process(code: int) -> NoReturn:
    """Ends the process. What was printed is written; nothing that is registered to run at the end runs."""
    flush_output()
    os._exit(code & 0xFF)


def flush_output() -> None:
    """Writes what was printed, where there is somebody to take it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # a program started without the descriptor has no stream
            stream.flush()
