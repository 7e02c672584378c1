"""What a signal means to the node (operations 4.1). Pure.

The names are those that nats-server writes in `Trapped "..." signal`.
"""

from __future__ import annotations

from enum import Enum, auto
from signal import SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2
from typing import Final


class Phase(Enum):
    """How far the node's life has come."""

    SERVING = auto()
    LAME_DUCK = auto()
    STOPPING = auto()


class Meaning(Enum):
    """What to do about a signal."""

    STOP = auto()
    HURRY = auto()
    DUMP_AND_QUIT = auto()
    RELOAD = auto()
    REOPEN_LOG = auto()
    LAME_DUCK = auto()
    REAP = auto()
    IGNORE = auto()


NAMES: Final = {
    int(SIGINT): "interrupt",
    int(SIGTERM): "terminated",
    int(SIGHUP): "hangup",
    int(SIGUSR1): "user defined signal 1",
    int(SIGUSR2): "user defined signal 2",
}
"""Signals that leave a line in the log, by nats-server's name for them."""

HANDLED: Final = (SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD)


def trapped_line(signum: int) -> str | None:
    """The log line that this signal leaves, if any."""
    name = NAMES.get(signum)
    return None if name is None else f'Trapped "{name}" signal'


HURRY_AFTER_NS: Final = 500_000_000
"""An interrupt this long after the stop began is meant to hurry it. An earlier one is the same key press, delivered
twice: by the terminal to the whole group, and by a wrapper to its child."""


def decide_meaning(signum: int, phase: Phase, *, in_phase_ns: int) -> Meaning:
    """What the signal means now, `in_phase_ns` after the phase began.

    In lame duck mode TERM and a second USR2 are ignored, INT stops at once.
    """
    match signum:
        case SIGCHLD.value:
            return Meaning.REAP
        case SIGQUIT.value:
            return Meaning.DUMP_AND_QUIT
        case SIGINT.value:
            if phase is not Phase.STOPPING:
                return Meaning.STOP
            return Meaning.HURRY if in_phase_ns >= HURRY_AFTER_NS else Meaning.IGNORE
        case SIGTERM.value:
            return Meaning.STOP if phase is Phase.SERVING else Meaning.IGNORE
        case SIGHUP.value:
            return Meaning.RELOAD if phase is not Phase.STOPPING else Meaning.IGNORE
        case SIGUSR1.value:
            return Meaning.REOPEN_LOG
        case SIGUSR2.value:
            return Meaning.LAME_DUCK if phase is Phase.SERVING else Meaning.IGNORE
        case _:
            return Meaning.IGNORE
