"""The supervisor's loop: waits for signals, roles and time, and does what the pure modules decide.

Promise: every signal, report and death is handled one at a time, in order; nothing waits except the one `poll`. A role
that dies is restarted, the others go on; the loop ends when no role is left after a stop. Invariant: no threads, so
that forking stays safe. Rules live in `signals` (what a signal means), `restarts` (when to try again) and `stop` (who
goes when).
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Mapping
from typing import Final, assert_never

from services.shared.runtime.control import (
    AskReload,
    Failed,
    Finished,
    LameDuck,
    LinesDropped,
    LogLine,
    Ready,
    ReloadOutcome,
    Stop,
    ToSupervisor,
)
from services.shared.runtime.control import Reload as ReloadOrder
from services.shared.runtime.role_plan import NATS_LISTENER, WEBSOCKET_LISTENER, Identity
from services.shared.runtime.signal_pipe import SignalPipe
from services.supervisor.announcements import Announcements
from services.supervisor.banner import ready_lines
from services.supervisor.log_loop import LogWriter
from services.supervisor.node import Node
from services.supervisor.reload import ReloadError
from services.supervisor.reload_loop import Reloader
from services.supervisor.restarts import GiveUp, History, RestartAt, decide_restart
from services.supervisor.role_fork import fork
from services.supervisor.role_process import RoleProcess, describe_end
from services.supervisor.signals import Meaning, Phase, decide_meaning, trapped_line
from services.supervisor.stop import Ask, Kill, Shutdown

CLOSED_CHANNEL_GRACE_NS: Final = 2_000_000_000
"""How long a role may live on without its control channel."""
QUIT_DUMP_SECONDS: Final = 0.5
EXIT_FAILED: Final = 1
EXIT_QUIT: Final = 2
_CLIENT_LISTENERS: Final = (NATS_LISTENER, WEBSOCKET_LISTENER)


class ChildrenLoop:
    """Runs a node whose roles were already started once; `run` returns the exit code of the node."""

    def __init__(
        self,
        node: Node,
        *,
        identities: Mapping[str, Identity],
        running: dict[str, RoleProcess],
        log: LogWriter,
        announcements: Announcements,
        reloader: Reloader,
    ) -> None:
        self._node = node
        self._identities = identities
        self._running = running
        self._log = log
        self._announcements = announcements
        self._reloader = reloader
        self._specs = {spec.name: spec for spec in node.plan.roles}
        self._histories = {name: History() for name in self._specs}
        self._restarts: dict[str, int] = {}
        self._incarnations = dict.fromkeys(self._specs, 0)
        self._finished: set[str] = set()
        self._enter(Phase.SERVING)
        self._announced = False
        self._shutdown: Shutdown | None = None
        self._exit_code = 0

    def run(self, signals: SignalPipe) -> int:
        """Serves until every role is gone; the exit code."""
        self._announcements.start(since=_now())
        self._reap()  # what died before signals were caught
        while True:
            self._act_on_time(time.monotonic_ns())
            if self._shutdown is not None and not self._running:
                return self._exit_code
            self._wait(signals)

    # Waiting

    def _wait(self, signals: SignalPipe) -> None:
        poller = select.poll()
        poller.register(signals.fileno(), select.POLLIN)
        by_channel = {process.channel.fd: process for process in self._running.values() if not process.is_closed}
        by_output = {process.output_fileno(): process for process in self._running.values()}
        by_output.pop(-1, None)
        for fd, process in by_channel.items():
            poller.register(fd, select.POLLIN | (select.POLLOUT if process.channel.has_pending else 0))
        for fd in by_output:
            poller.register(fd, select.POLLIN)
        log_fd = self._log.pending_fileno()
        if log_fd is not None:
            poller.register(log_fd, select.POLLOUT)
        for fd, events in poller.poll(self._timeout_ms(time.monotonic_ns())):
            if fd == log_fd:
                self._log.flush()
            elif fd in by_channel:
                self._serve_channel(by_channel[fd], events)
            elif fd in by_output:
                self._log_output(by_output[fd], by_output[fd].read_output())
        # Last, so that what a role said before it died has been heard when its death is.
        for signum in signals.read():
            self._on_signal(signum)

    def _timeout_ms(self, now_ns: int) -> int | None:
        times = list(self._restarts.values())
        times += [process.kill_at_ns for process in self._running.values() if process.kill_at_ns is not None]
        if self._shutdown is not None:
            deadline = self._shutdown.next_deadline_ns(frozenset(self._running))
            times += [deadline] if deadline is not None else []
        if not times:
            return None
        return max(0, -((now_ns - min(times)) // 1_000_000))  # rounded up

    def _serve_channel(self, process: RoleProcess, events: int) -> None:
        if events & select.POLLOUT:
            process.channel.flush()
        if not events & ~select.POLLOUT:
            return
        for record in process.receive():
            self._on_record(process, record)
        if process.is_closed and process.kill_at_ns is None:
            process.kill_at_ns = time.monotonic_ns() + CLOSED_CHANNEL_GRACE_NS

    def _act_on_time(self, now_ns: int) -> None:
        for process in self._running.values():
            if process.kill_at_ns is not None and now_ns >= process.kill_at_ns:
                process.kill_at_ns = None
                process.kill()
        if self._shutdown is not None:
            self._step_shutdown(self._shutdown, now_ns)
            return
        for name in [name for name, at_ns in self._restarts.items() if now_ns >= at_ns]:
            del self._restarts[name]
            self._restart(name)

    # Signals

    def _on_signal(self, signum: int) -> None:
        line = trapped_line(signum)
        if line is not None:
            self._log.write("INF", line)
        meaning = decide_meaning(signum, self._phase, in_phase_ns=time.monotonic_ns() - self._phase_since_ns)
        match meaning:
            case Meaning.REAP:
                self._reap()
            case Meaning.STOP:
                self._begin_stop()
            case Meaning.HURRY:
                if self._shutdown is not None:
                    self._shutdown.hurry()
            case Meaning.RELOAD:
                self._reload()
            case Meaning.REOPEN_LOG:
                self._log.reopen()
            case Meaning.LAME_DUCK:
                self._enter_lame_duck()
            case Meaning.DUMP_AND_QUIT:
                self._dump_and_quit()
            case Meaning.IGNORE:
                return
            case _:
                assert_never(meaning)

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._phase_since_ns = time.monotonic_ns()

    def _reload(self) -> str:
        """Reloads; the reason why not, empty if done."""
        try:
            reloaded = self._reloader.reload()
        except ReloadError as error:
            self._log.write("ERR", f"Failed to reload server configuration: {error}")
            return str(error)
        for line in reloaded.lines:
            self._log.write("INF", line)
        self._announcements.follow_reload(reloaded.options)
        loaded_at_ns = time.time_ns()
        for process in self._running.values():
            options = self._node.options_for(process.spec, reloaded.options)
            process.send(ReloadOrder(options=options, loaded_at_ns=loaded_at_ns))
        return ""

    def _enter_lame_duck(self) -> None:
        self._enter(Phase.LAME_DUCK)
        self._restarts.clear()
        self._log.write("INF", "Entering lame duck mode, stop accepting new clients")
        # As long as one process holds a listening socket the kernel goes on accepting for it.
        self._node.close_listeners(_CLIENT_LISTENERS)
        for process in self._running.values():
            process.send(LameDuck())
        self._end_lame_duck_if_finished()

    def _end_lame_duck_if_finished(self) -> None:
        essential = {name for name, spec in self._specs.items() if spec.essential}
        if self._phase is Phase.LAME_DUCK and not (essential & set(self._running)) - self._finished:
            self._begin_stop()

    def _begin_stop(self) -> None:
        if self._shutdown is not None:
            return
        self._enter(Phase.STOPPING)
        self._restarts.clear()
        self._log.write("INF", "Initiating Shutdown...")
        self._shutdown = Shutdown(self._specs)

    def _step_shutdown(self, shutdown: Shutdown, now_ns: int) -> None:
        for action in shutdown.step(frozenset(self._running), now_ns=now_ns):
            match action:
                case Ask():
                    self._running[action.role].send(Stop(grace_ns=action.grace_ns))
                case Kill():
                    self._log.write("WRN", f"Role {action.role} did not stop in time and is killed")
                    self._running[action.role].kill()
                case _:
                    assert_never(action)

    def _dump_and_quit(self) -> None:
        """Leaves the stacks of all processes where standard error goes, then ends at once."""
        import faulthandler  # only here

        deadline = time.monotonic() + QUIT_DUMP_SECONDS
        for process in self._running.values():
            process.kill(signal.SIGQUIT)
        stderr = select.poll()
        stderr.register(2, select.POLLOUT)
        if any(event & select.POLLOUT for _, event in stderr.poll(0)):
            faulthandler.dump_traceback(file=2)
        while self._running and time.monotonic() < deadline:
            self._reap()
            time.sleep(0.01)
        self._announcements.close()
        self._log.close()
        os._exit(EXIT_QUIT)

    # Roles

    def _on_record(self, process: RoleProcess, record: ToSupervisor) -> None:
        match record:
            case LogLine():
                self._log.write(record.level, record.text)
            case LinesDropped():
                self._log.write("WRN", f"Role {process.spec.name} dropped {record.count} log lines")
            case Ready():
                self._on_ready(process, record)
            case Failed():
                self._log.write("FTL", record.text)
                self._exit_code = EXIT_FAILED
                self._begin_stop()
            case Finished():
                self._finished.add(process.spec.name)
                self._end_lame_duck_if_finished()
            case AskReload():
                process.send(ReloadOutcome(ask_id=record.ask_id, error=self._reload()))
            case _:
                assert_never(record)

    def _on_ready(self, process: RoleProcess, record: Ready) -> None:
        name = process.spec.name
        process.ready_since_ns = time.monotonic_ns()
        ports = self._node.ports_of(process.spec)
        self._announcements.role_ready(name, pid=process.pid, ports={**ports, **record.ports}, since=_now())
        if process.incarnation > 0:
            self._log.write("INF", f"Role {name} serves again (pid {process.pid})")
        if self._announced or self._phase is not Phase.SERVING or not self._essential_are_ready():
            return
        self._announced = True
        options = self._reloader.options
        for level, text in ready_lines(options, self._node.plan, addresses=self._node.addresses):
            self._log.write(level, text)
        self._announcements.write_ports_file(options.ports_file_dir)

    def _essential_are_ready(self) -> bool:
        return all(
            name in self._running and self._running[name].ready_since_ns is not None
            for name, spec in self._specs.items()
            if spec.essential
        )

    def _log_output(self, process: RoleProcess, lines: list[str]) -> None:
        for line in lines:
            self._log.write("ERR", f"Role {process.spec.name}: {line}")

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)  # orphans too: in a container the supervisor is process 1
            except ChildProcessError:
                return
            if pid == 0:
                return
            for process in list(self._running.values()):
                if process.pid == pid:
                    self._on_death(process, status)

    def _on_death(self, process: RoleProcess, status: int) -> None:
        name = process.spec.name
        records, lines = process.drain()
        for record in records:
            self._on_record(process, record)
        self._log_output(process, lines)
        process.bury()
        del self._running[name]
        self._announcements.role_down(name)
        if self._phase is Phase.STOPPING:
            return
        end = f"Role {name} (pid {process.pid}) {describe_end(status)}"
        if self._phase is Phase.LAME_DUCK:
            self._log.write("ERR", f"{end} in lame duck mode")
            self._end_lame_duck_if_finished()
            return
        self._plan_restart(process, end)

    def _plan_restart(self, process: RoleProcess, end: str) -> None:
        name = process.spec.name
        now_ns = time.monotonic_ns()
        decision = decide_restart(self._histories[name], ready_since_ns=process.ready_since_ns, now_ns=now_ns)
        match decision:
            case RestartAt():
                wait_ms = (decision.at_ns - now_ns) // 1_000_000
                self._log.write("ERR", f"{end}, it is restarted {f'in {wait_ms} ms' if wait_ms else 'at once'}")
                self._histories[name] = decision.history
                self._restarts[name] = decision.at_ns
            case GiveUp():
                self._log.write("ERR", end)
                reason = f"it ended {decision.failed_starts} times before it was ready"
                self._log.write("FTL", f"Role {name} can't be kept up: {reason}")
                self._exit_code = EXIT_FAILED
                self._begin_stop()
            case _:
                assert_never(decision)

    def _restart(self, name: str) -> None:
        self._incarnations[name] += 1
        spec = self._specs[name]
        process = RoleProcess(spec, fork(spec), incarnation=self._incarnations[name])
        self._running[name] = process
        options, incarnation = self._reloader.options, process.incarnation
        process.start(
            self._node.role_plan(spec, options=options, identity=self._identities[name], incarnation=incarnation)
        )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
