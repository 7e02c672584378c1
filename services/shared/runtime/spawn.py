"""Starting a role: a fork of the supervisor, without exec, so that what is loaded is shared.

Promise: the child dies with its parent, holds only the descriptors it was given, has default dispositions where it
needs them and ignores what the terminal or a service manager sends to the whole group, since orders come over the
control channel. Invariant: the caller has no threads (a fork copies one).

The child first imports its module, then waits for its plan and sockets on the control channel: importing takes longest,
so the fork may happen before the parent knows the options, opens sockets or makes keys. This module is therefore loaded
first of all, and imports next to nothing at the top. Garbage is not searched for until the child has its plan.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NoReturn

from services.shared.records.record import record
from services.shared.runtime import garbage
from services.shared.runtime.process_end import end_process, flush_output

if TYPE_CHECKING:
    from services.shared.runtime.role_plan import RolePlan

EXIT_CRASHED: Final = 70
_IGNORED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE)


@record
class ForkedRole:
    """A role's process before it has its plan. The parent owns both descriptors.

    `control` is the parent's end of the control channel, `output` where the role's standard output and error arrive.
    """

    pid: int
    control: int
    output: int


def fork_role(*, module: str, comm: str, title: str) -> ForkedRole:
    """Forks a child that imports `module` and runs `module.run(plan)` once it is sent a plan.

    `comm` and `title` are what `ps` shows as its name and arguments.
    """
    parent = os.getpid()
    fill_standard_descriptors()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    output, child_output = os.pipe2(os.O_CLOEXEC)
    gc.freeze()  # the shared pages of the parent's objects stay shared
    flush_output()
    pid = os.fork()
    if pid == 0:
        _live(module, comm=comm, title=title, control=theirs.fileno(), output=child_output, parent=parent)
    theirs.close()
    os.close(child_output)
    os.set_blocking(output, False)
    return ForkedRole(pid=pid, control=ours.detach(), output=output)


def fill_standard_descriptors() -> None:
    """Makes descriptors 0 to 2 exist from now on, so that nothing else ever gets their numbers."""
    while True:
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 2:
            os.close(fd)
            return


def _live(module: str, *, comm: str, title: str, control: int, output: int, parent: int) -> NoReturn:
    code = EXIT_CRASHED
    try:
        _die_with(parent)
        _become_child(control=control, output=output)
        _be_called(comm, title)
        garbage.hold_off()
        run = _import_run(module)
        plan = _wait_for_plan(control)
        garbage.resume()
        code = EXIT_CRASHED if plan is None else run(plan)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else EXIT_CRASHED
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        # Not sys.exit: what the parent registered to run at its own end is not ours to run.
        end_process(code)


def _die_with(parent: int) -> None:
    from services.shared.runtime.parent_death import ParentGoneError, set_parent_death_signal

    try:
        set_parent_death_signal(signal.SIGKILL, parent=parent)
    except ParentGoneError as error:
        raise SystemExit(EXIT_CRASHED) from error


def _become_child(*, control: int, output: int) -> None:
    import faulthandler

    signal.set_wakeup_fd(-1)
    for signum in _IGNORED:
        signal.signal(signum, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    os.dup2(output, 1)
    os.dup2(output, 2)
    close_others({control})
    faulthandler.enable(file=2)
    faulthandler.register(signal.SIGQUIT, file=2, all_threads=True, chain=True)


def _be_called(comm: str, title: str) -> None:
    from services.shared.runtime.process_name import set_arguments, set_process_name

    set_process_name(comm)
    set_arguments([title])


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


def _wait_for_plan(control: int) -> RolePlan | None:
    """The plan, or None when the parent has no use for this role."""
    from services.shared.runtime.control import ChannelClosed
    from services.shared.runtime.plan_transfer import receive_plan

    try:
        return receive_plan(control)
    except ChannelClosed:
        return None
