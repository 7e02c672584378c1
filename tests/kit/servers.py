"""Starts a server under test, real or ours, and proves that nothing of it is left afterwards.

Both kinds are started the same way: a configuration file, flags, free ports, and a ports file that says which ports
they got. A server that does not come up fails the test with its whole log. Everything started here is terminated by
process id; the marker variable in its environment finds descendants that left the process group.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trio

REPOSITORY = Path(__file__).resolve().parents[2]
MARKER = "NATSFLEET_TEST_SERVER"
START_S = 20.0
STOP_S = 10.0
POLL_S = 0.003
FREE_PORT = "127.0.0.1:-1"


class ServerFailed(AssertionError):
    """A server did not start, did not stop, or left something behind; the message carries its log."""


class ServerKind(Enum):
    """Which server a test runs against."""

    REAL = "real"
    OURS = "ours"

    def command(self) -> list[str]:
        """The words before the first flag."""
        match self:
            case ServerKind.REAL:
                return [find_real_server()]
            case ServerKind.OURS:
                return [find_command(), "server"]


def find_command() -> str:
    """The command `natsfleet` that `make build` puts beside the interpreter."""
    command = Path(sys.executable).with_name("natsfleet")
    if not command.exists():
        raise ServerFailed(f"wanted the command {command}; `make build` writes it")
    return str(command)


def find_real_server() -> str:
    """The nats-server binary on PATH or beside the running interpreter; a missing one is an error, never a skip."""
    beside = Path(sys.executable).with_name("nats-server")
    found = shutil.which("nats-server") or (str(beside) if beside.exists() else None)
    if found is None:
        raise ServerFailed(
            "wanted a nats-server binary on PATH or beside the interpreter; tests/interop/install gets it"
        )
    return found


def server_environment(*, marker: str = "") -> dict[str, str]:
    """The environment of a started server: ours, plus what makes `-m services...` importable from any directory."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NATS")}
    environment["PYTHONPATH"] = str(REPOSITORY)
    if marker:
        environment[MARKER] = marker
    return environment


class Server:
    """One running server process with its ports, log and signals. Blocking; `running_server` is the async door."""

    def __init__(
        self,
        kind: ServerKind,
        *,
        config: str,
        args: Sequence[str] = (),
        files: Mapping[str, str] | None = None,
        monitoring: bool = False,
        listen: str = FREE_PORT,
    ) -> None:
        self.kind = kind
        self.folder = Path(tempfile.mkdtemp(prefix=f"natsfleet-{kind.value}-"))
        self.marker = uuid.uuid4().hex
        self.config_path = self.folder / "server.conf"
        self._log_path = self.folder / "stderr.log"
        self._ports: dict[str, list[str]] = {}
        for name, text in (files or {}).items():
            (self.folder / name).write_text(text)
        self.fixed_lines = f'listen: "{listen}"\n' + (f'http: "{FREE_PORT}"\n' if monitoring else "")
        self.write_config(config)
        command = [*kind.command(), "-c", str(self.config_path), "--ports_file_dir", str(self.folder), *args]
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=REPOSITORY if kind is ServerKind.OURS else self.folder,
                env=server_environment(marker=self.marker),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def write_config(self, config: str) -> None:
        """Replaces the configuration file (for a reload); the test's own folder is available as `$FOLDER`."""
        self.config_path.write_text(self.fixed_lines + config.replace("$FOLDER", str(self.folder)))

    @property
    def pid(self) -> int:
        """The process that was started: the one that signals go to."""
        return self._process.pid

    @property
    def client_port(self) -> int:
        """The port that clients connect to."""
        return self.port("nats")

    @property
    def websocket_port(self) -> int:
        """The port of the websocket listener."""
        return self.port("websocket")

    @property
    def monitor_port(self) -> int:
        """The port of the monitoring HTTP listener."""
        return self.port("monitoring")

    def port(self, listener: str) -> int:
        """The port of one listener, by its name in the ports file."""
        if listener not in self._ports:
            raise ServerFailed(f"the ports file names no {listener!r} listener: {self._ports}")
        port = urlsplit(self._ports[listener][0]).port
        if port is None:
            raise ServerFailed(f"no port in {self._ports[listener]}")
        return port

    def log_text(self) -> str:
        """Everything the server wrote to stdout and stderr so far."""
        return self._log_path.read_text(errors="replace")

    def is_running(self) -> bool:
        """Whether the started process still lives."""
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        """Sends a signal to the started process, and to it alone."""
        self._process.send_signal(number)

    def wait_ready(self) -> None:
        """Waits for the ports file, which a server writes when it serves."""
        deadline = time.monotonic() + START_S
        while not self._ports:
            if not self.is_running():
                raise ServerFailed(
                    f"{self.kind.value} server exited with {self._process.returncode}:\n{self.log_text()}"
                )
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.kind.value} server wrote no ports file in {START_S} s:\n{self.log_text()}")
            self._read_ports_file()
            time.sleep(POLL_S)

    def _read_ports_file(self) -> None:
        for path in self.folder.glob(f"*_{self.pid}.ports"):
            try:
                self._ports = json.loads(path.read_text())
            except ValueError:  # still being written
                self._ports = {}

    def wait_exit(self, *, within_s: float = STOP_S) -> int:
        """Waits for the started process to exit by itself and returns its exit code."""
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            raise ServerFailed(f"{self.kind.value} server did not exit in {within_s} s:\n{self.log_text()}") from None

    def stop(self) -> None:
        """Terminates the server, verifies that none of its processes is left, and removes its folder."""
        try:
            if self.is_running():
                self.signal(signal.SIGTERM)
            self.wait_exit()
            self.check_nothing_left()
        finally:
            self.discard()

    def discard(self) -> None:
        """Kills whatever is left, without asking, and removes the folder."""
        self._kill_leftovers()
        shutil.rmtree(self.folder, ignore_errors=True)

    def check_nothing_left(self, *, within_s: float = STOP_S) -> None:
        """Fails unless every process that descends from this server is gone."""
        deadline = time.monotonic() + within_s
        while left := self.descendants():
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.kind.value} server left processes {left} behind:\n{self.log_text()}")
            time.sleep(POLL_S)

    def descendants(self) -> list[int]:
        """The living processes that inherited this server's marker or belong to its process group."""
        wanted = f"{MARKER}={self.marker}".encode()
        return [pid for pid in _process_ids() if pid != os.getpid() and _belongs(pid, wanted, self.pid)]

    def _kill_leftovers(self) -> None:
        for pid in self.descendants():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self._process.poll() is None:
            self._process.wait()


def _process_ids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def _belongs(pid: int, wanted: bytes, group: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        if status[0] in "ZX":  # dead already, only not waited for
            return False
        return int(status[2]) == group or wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False


def start_server(kind: ServerKind, *, config: str = "", **options: Any) -> Server:
    """Starts a server and waits until it serves; the caller owes it a `stop()`. Fails with the log.

    Options: `args` (flags), `files` (name to text, written to `$FOLDER`), `monitoring` (HTTP on a free port), `listen`.
    """
    server = Server(kind, config=config, **options)
    try:
        server.wait_ready()
    except BaseException:
        server.discard()
        raise
    return server


@asynccontextmanager
async def running_server(kind: ServerKind, *, config: str = "", **options: Any) -> AsyncIterator[Server]:
    """A server that serves inside the block; options as for `start_server`."""
    server = await trio.to_thread.run_sync(lambda: start_server(kind, config=config, **options))
    try:
        yield server
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(server.stop)


def refused_start(kind: ServerKind, *, config: str, args: Sequence[str] = ()) -> tuple[int, str]:
    """Starts a server that must refuse its configuration; returns its exit code and everything it printed."""
    server = Server(kind, config=config, args=args)
    try:
        code = server.wait_exit()
        return code, server.log_text()
    finally:
        server.discard()
