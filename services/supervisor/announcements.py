"""What the outside can see of a node's state, beside its log: readiness records, pid file, ports file.

Errors of the disk are never fatal here, but for the pid file at the start; they leave an `[ERR]` line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from services.shared.config.options import Options
from services.supervisor.log_loop import LogWriter
from services.supervisor.node import Node
from services.supervisor.opening import write_pid_file
from services.supervisor.ports_file import ports_file_name, ports_file_text, urls
from services.supervisor.readiness import SUPERVISOR, ReadinessRecord, RunDir


class Announcements:
    """The files of one node. `run_dir` is None when it could not be made."""

    __slots__ = ("_log", "_node", "_ports_path", "_run_dir")

    def __init__(self, node: Node, log: LogWriter, run_dir: RunDir | None) -> None:
        self._node = node
        self._log = log
        self._run_dir = run_dir
        self._ports_path = ""

    def start(self, *, since: str) -> None:
        """Records which roles are wanted up. `since` is RFC 3339, as everywhere here."""
        ports = {name: listener.port for name, listener in self._node.listeners.items()}
        roles = tuple(role.name for role in self._node.plan.roles)
        self._record(SUPERVISOR, pid=self._node.pid, ports=ports, since=since, roles=roles)

    def role_ready(self, role: str, *, pid: int, ports: Mapping[str, int], since: str) -> None:
        """Records that the role serves."""
        self._record(role, pid=pid, ports=ports, since=since)

    def role_down(self, role: str) -> None:
        """Takes the role's record away."""
        if self._run_dir is not None:
            try:
                self._run_dir.remove(role)
            except OSError as error:
                self._log.write("ERR", f"Error removing the readiness record of role {role}: {error}")

    def follow_reload(self, options: Options) -> None:
        """Writes the pid and ports files where the new options want them."""
        if options.pid_file:
            try:
                write_pid_file(options.pid_file)
            except OSError as error:
                self._log.write("ERR", f"Could not write pidfile: {_failure('open', error)}")
        self.write_ports_file(options.ports_file_dir)

    def write_ports_file(self, folder: str) -> None:
        """Writes the ports file if the option asks for it; moves it when a reload names another directory."""
        wanted = os.path.join(folder, ports_file_name(program=self._node.program, pid=self._node.pid)) if folder else ""
        if self._ports_path and self._ports_path != wanted:
            self._remove_ports_file()
        self._ports_path = wanted
        if not wanted:
            return
        text = ports_file_text(self._ports_entries())
        try:
            with open(wanted, "w", encoding="ascii") as file:
                file.write(text)
        except OSError as error:
            self._log.write("ERR", f"Error writing ports file ({wanted}): {_failure('open', error)}")

    def close(self) -> None:
        """Removes all but the pid file, which stays as nats-server leaves it."""
        self._remove_ports_file()
        if self._run_dir is not None:
            try:
                self._run_dir.close()
            except OSError as error:
                self._log.write("ERR", f"Error removing readiness records: {error}")

    def _remove_ports_file(self) -> None:
        if not self._ports_path:
            return
        try:
            os.unlink(self._ports_path)
        except OSError as error:
            self._log.write("ERR", f"Error cleaning up ports file {self._ports_path}: {_failure('remove', error)}")
        self._ports_path = ""

    def _ports_entries(self) -> dict[str, list[str]]:
        from services.shared.runtime.interfaces import local_hosts  # only nodes with a ports file need them

        local = local_hosts()
        entries = {}
        for spec in sorted(self._node.plan.listeners, key=lambda listener: _PORTS_ORDER.index(listener.name)):
            listener = self._node.listeners[spec.name]
            entries[spec.name] = urls(
                scheme=spec.scheme, bound_host=listener.bound_host, port=listener.port, local_hosts=local
            )
        return entries

    def _record(
        self, role: str, *, pid: int, ports: Mapping[str, int], since: str, roles: tuple[str, ...] = ()
    ) -> None:
        if self._run_dir is None:
            return
        try:
            self._run_dir.write(ReadinessRecord(role=role, pid=pid, ports=ports, since=since, roles=roles))
        except OSError as error:
            self._log.write("ERR", f"Error writing the readiness record of role {role}: {error}")


_PORTS_ORDER = ("nats", "monitoring", "cluster", "profile", "websocket")


def _failure(verb: str, error: OSError) -> str:
    text = os.strerror(error.errno or 0)
    return f"{verb} {error.filename}: {text[:1].lower()}{text[1:]}"
