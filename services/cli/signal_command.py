"""`--signal command[=target]`: telling a running server something, by a signal (operations 3.5).

The rules are pure (`parse_request`, `choose_targets`); `send_signal` reads /proc, the pid file and signals. Texts are
nats-server's, line breaks included.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Final

from services.shared.records.record import record
from services.shared.telemetry.release import SERVER_PROGRAM

COMMANDS: Final = {
    "stop": signal.SIGKILL,
    "quit": signal.SIGINT,
    "term": signal.SIGTERM,
    "reopen": signal.SIGUSR1,
    "reload": signal.SIGHUP,
    "ldm": signal.SIGUSR2,
}
_PID_FILE_BYTES_MAX: Final = 4_096


class SignalCommandError(Exception):
    """The command failed; the text stands behind `nats-server: `."""


@record
class SignalRequest:
    """What the flag says. `target` is a pid, a pid's first digits with `*`, a path, or empty."""

    command: str
    target: str


def parse_request(text: str) -> SignalRequest:
    """Takes the flag's value apart. Raises SignalCommandError."""
    command, *rest = text.split("=")
    if len(rest) > 1:
        raise SignalCommandError(f"invalid signal parameters: [{' '.join(rest[1:])}]")
    return SignalRequest(command=command, target=rest[0] if rest else "")


def choose_targets(target: str, *, running: Sequence[int]) -> list[int]:
    """The pids that a target means; `running` are the servers of this machine. Raises SignalCommandError."""
    digits, is_glob = target.removesuffix("*"), target.endswith("*")
    if digits and not _is_number(digits):
        raise SignalCommandError(f"invalid pid: {digits}")
    if digits and not is_glob:
        return [int(digits)]
    if len(running) > 1 and not is_glob:
        listed = "".join(f"\n{pid}" for pid in running)
        raise SignalCommandError(f"multiple {SERVER_PROGRAM} processes running:{listed}")
    if not running:
        raise SignalCommandError(f"no {SERVER_PROGRAM} processes running")
    return [pid for pid in running if str(pid).startswith(digits)]


def send_signal(text: str) -> None:
    """Does what the flag says. Raises SignalCommandError."""
    request = parse_request(text)
    target = _pid_file_content(request.target)
    needs_list = not target or target.endswith("*")
    targets = choose_targets(target, running=running_servers() if needs_list else ())
    if request.command not in COMMANDS:
        raise SignalCommandError(f'unknown signal "{request.command}"')
    failures = ""
    for pid in targets:
        try:
            os.kill(pid, COMMANDS[request.command])
        except (OSError, OverflowError) as error:
            reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else "no such process"
            failures += f'\nsignal "{request.command}" {pid}: {reason[:1].lower()}{reason[1:]}'
    if failures:
        raise SignalCommandError(failures)


def running_servers() -> list[int]:
    """The pids of processes whose name has `nats-server` in it, as `pgrep` finds them; not this one."""
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isascii() and name.isdigit())
    return [pid for pid in pids if pid != os.getpid() and SERVER_PROGRAM in _process_name(pid)]


def _process_name(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
            return comm.read().strip()
    except OSError:
        return ""  # it has just ended


def _pid_file_content(target: str) -> str:
    if not target:
        return target
    try:
        with open(target, encoding="utf-8", errors="replace") as file:
            return file.read(_PID_FILE_BYTES_MAX).strip()
    except (OSError, ValueError):
        return target


def _is_number(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").removeprefix("+").isdigit()
