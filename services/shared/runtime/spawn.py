"""Starting a role: a fork of the supervisor, without exec, so that what is loaded is shared.

Promise: the child dies with its parent, holds only the descriptors it was given, has default dispositions where it
needs them and ignores what the terminal or a service manager sends to the whole group, since orders come over the
control channel. Invariant: the caller has no threads (a fork copies one). The child first imports its module, then
waits for its identity: importing takes longest, and the parent can make the keys meanwhile.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, NoReturn

from services.shared.runtime.control import ChannelClosed, receive_start
from services.shared.runtime.parent_death import ParentGoneError, set_parent_death_signal
from services.shared.runtime.process_name import set_arguments, set_process_name
from services.shared.runtime.role_plan import RolePlan

EXIT_CRASHED: Final = 70
_IGNORED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildStart:
    """What the fork needs beside the plan: where `run` is, and how the process is called.

    `output` is the descriptor that becomes standard output and error of the child.
    """

    module: str
    comm: str
    title: str
    output: int


def fork_role(start: ChildStart, plan: RolePlan) -> int:
    """Forks; the pid of the child, which runs `module.run(plan)` once it has its identity, and never returns."""
    parent = os.getpid()
    gc.freeze()  # the shared pages of the parent's objects stay shared
    _flush_output()
    pid = os.fork()
    if pid == 0:
        _live(start, plan, parent=parent)
    return pid


def _live(start: ChildStart, plan: RolePlan, *, parent: int) -> NoReturn:
    code = EXIT_CRASHED
    try:
        set_parent_death_signal(signal.SIGKILL, parent=parent)
        _become_child(start, plan)
        code = _import_run(start.module)(_with_identity(plan))
    except (ParentGoneError, ChannelClosed):
        code = EXIT_CRASHED
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else EXIT_CRASHED
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        # Not sys.exit: what the parent registered to run at its own end is not ours to run.
        _flush_output()
        os._exit(code & 0xFF)


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # a program started without the descriptor has no stream
            stream.flush()


def _become_child(start: ChildStart, plan: RolePlan) -> None:
    signal.set_wakeup_fd(-1)
    for signum in _IGNORED:
        signal.signal(signum, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.dup2(start.output, 1)
    os.dup2(start.output, 2)
    kept = set(plan.sockets.values())
    if plan.control is not None:
        kept.add(plan.control)
    close_others(kept)
    _dump_on_quit()
    set_process_name(start.comm)
    set_arguments([start.title])


def _dump_on_quit() -> None:
    import faulthandler  # in the child: 1 ms

    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    faulthandler.enable(file=2)
    faulthandler.register(signal.SIGQUIT, file=2, all_threads=True, chain=True)


def close_others(kept: set[int]) -> None:
    """Closes every descriptor above 2 that is not in `kept`."""
    first = 3
    for fd in sorted(kept):
        if fd >= first:
            os.closerange(first, fd)
            first = fd + 1
    os.closerange(first, _descriptors_max())


def _descriptors_max() -> int:
    try:
        return max(int(name) for name in os.listdir("/proc/self/fd")) + 1
    except (OSError, ValueError):
        return 65_536


def _import_run(module: str) -> Callable[[RolePlan], int]:
    from importlib import import_module

    run: Callable[[RolePlan], int] = import_module(module).run
    return run


def _with_identity(plan: RolePlan) -> RolePlan:
    if plan.control is None:
        return plan
    return replace(plan, identity=receive_start(plan.control))
