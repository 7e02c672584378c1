"""The name and the arguments that `ps`, `pgrep` and /proc show for this process. Linux only.

Tools find a running server by the process name `nats-server` (operations 3.5), secrets on the command line must not
stay visible (operations 3.1), and a role should not look like the supervisor it was forked from. All of it is cosmetic
or hardening: where /proc is closed to us nothing fails. Both the name and the arguments are written through /proc,
since Python has no call for either and loading ctypes costs milliseconds before the first fork.
"""

from __future__ import annotations

import os
from typing import Final

COMM_BYTES_MAX: Final = 15
_ARG_START, _ARG_END = 47, 48  # fields of /proc/self/stat counted from 0 (proc(5): arg_start, arg_end)


def set_process_name(name: str) -> None:
    """Sets what `ps -o comm` and `pgrep` see; cut to 15 bytes by the kernel."""
    _write("/proc/self/comm", name.encode()[:COMM_BYTES_MAX])


def set_arguments(argv: list[str]) -> None:
    """Replaces the visible arguments by these, as far as they fit into the room of the old ones."""
    try:
        with open("/proc/self/stat", "rb") as stat:
            # The second field is the name in parentheses and may hold anything; the rest has no parentheses.
            fields = stat.read().rpartition(b")")[2].split()
        start, end = int(fields[_ARG_START - 2]), int(fields[_ARG_END - 2])
        room = end - start
        if start <= 0 or room <= 0:
            return
        text = b"\0".join(os.fsencode(word) for word in argv)[: room - 1]
        memory = os.open("/proc/self/mem", os.O_RDWR | os.O_CLOEXEC)
        try:
            os.pwrite(memory, text.ljust(room, b"\0"), start)
        finally:
            os.close(memory)
    except (OSError, ValueError, IndexError):
        return


def read_arguments() -> list[str]:
    """The arguments this process was started with, interpreter first."""
    try:
        with open("/proc/self/cmdline", "rb") as cmdline:
            return [os.fsdecode(word) for word in cmdline.read().rstrip(b"\0").split(b"\0")]
    except OSError:
        return []


def _write(path: str, text: bytes) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, text)
    except OSError:
        pass
    finally:
        os.close(fd)
