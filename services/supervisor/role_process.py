"""One role's process as the supervisor sees it: started, talked to, listened to, buried.

Promise: nothing here waits. Invariants: a `RoleProcess` is one incarnation, from its plan to the reaped exit; it owns
the descriptors of the control channel and of the role's output, and closes both when buried.
"""

from __future__ import annotations

import os
import signal
from typing import Final

from services.shared.runtime.control import ChannelClosed, ControlChannel, ToRole, ToSupervisor
from services.shared.runtime.plan_transfer import send_plan
from services.shared.runtime.role_plan import RolePlan
from services.shared.runtime.spawn import ForkedRole
from services.supervisor.roles import RoleSpec

OUTPUT_LINE_BYTES_MAX: Final = 8_192
_READ_BYTES: Final = 65_536


class RoleProcess:
    """A running role. `ready_since_ns` and `kill_at_ns` are monotonic times, set by the loop."""

    __slots__ = ("_output", "_output_rest", "channel", "incarnation", "is_closed", "kill_at_ns", "pid",
                 "ready_since_ns", "spec")  # fmt: skip

    def __init__(self, spec: RoleSpec, forked: ForkedRole, *, incarnation: int) -> None:
        self.pid = forked.pid
        self.spec = spec
        self.incarnation = incarnation
        self.channel = ControlChannel(forked.control)
        self.is_closed = False
        self.ready_since_ns: int | None = None
        self.kill_at_ns: int | None = None
        self._output = forked.output
        self._output_rest = b""

    def start(self, plan: RolePlan) -> None:
        """Gives the role its plan and sockets, once."""
        send_plan(self.channel, plan)

    def output_fileno(self) -> int:
        """What to poll for the role's standard output and error; -1 at its end."""
        return self._output

    def send(self, record: ToRole) -> None:
        """Gives an order; silent if the role is gone."""
        if not self.is_closed:
            self.channel.send(record)

    def receive(self) -> list[ToSupervisor]:
        """What the role has reported; sets `is_closed` when it can't report any more."""
        if self.is_closed:
            return []
        try:
            return self.channel.receive()  # type: ignore[return-value]  # a role sends nothing else
        except ChannelClosed:
            self.is_closed = True
            return []

    def read_output(self) -> list[str]:
        """Whole lines that the role wrote to standard output or error since the last call."""
        if self._output < 0:
            return []
        try:
            data = os.read(self._output, _READ_BYTES)
        except BlockingIOError:
            return []
        if not data:
            self._close_output()
        *lines, rest = (self._output_rest + data).split(b"\n")
        if rest and (not data or len(rest) > OUTPUT_LINE_BYTES_MAX):
            lines.append(rest)
            rest = b""
        self._output_rest = rest
        return [line.decode(errors="backslashreplace") for line in lines if line.strip()]

    def drain(self) -> tuple[list[ToSupervisor], list[str]]:
        """Everything that a dead role left behind."""
        records: list[ToSupervisor] = []
        while not self.is_closed:
            received = self.receive()
            if not received and not self.is_closed:
                break
            records += received
        lines: list[str] = []
        while self._output >= 0:
            read = self.read_output()
            if not read and self._output >= 0:
                break
            lines += read
        return records, lines

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """Signals the process; it exists until it has been reaped, so the pid is nobody else's."""
        os.kill(self.pid, signum)

    def bury(self) -> None:
        """Closes what is left, after the process was reaped."""
        self.channel.close()
        self.is_closed = True
        self._close_output()

    def _close_output(self) -> None:
        if self._output >= 0:
            os.close(self._output)
            self._output = -1


def describe_end(status: int) -> str:
    """How a process ended, from its wait status: `was killed by SIGKILL`, `exited with code 3`."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exited with code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
