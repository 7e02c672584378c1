"""A child that dies with its parent, however the parent dies (also by SIGKILL). Linux only.

The kernel sends the signal when the thread that forked ends; the supervisor has one thread, so that is the process.
"""

from __future__ import annotations

import os
from typing import Final

PR_SET_PDEATHSIG: Final = 1


class ParentGoneError(Exception):
    """The parent ended before the child could tie itself to it."""


def set_parent_death_signal(signum: int, *, parent: int) -> None:
    """Asks for `signum` when `parent` ends. Raises ParentGoneError if it already has, OSError if the kernel refuses."""
    import ctypes  # 3 ms, paid by the child in parallel with the supervisor

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signum, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:
        raise ParentGoneError(f"parent {parent} is gone")
