"""A supervised node of test roles as a real process, with deadlines on everything."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from services.supervisor.readiness import ReadinessRecord, read_records

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 10.0
T = TypeVar("T")

ECHO = {"name": "router", "module": "tests.cluster.roles.echo", "comm": "nf-router", "listeners": ["nats"],
        "essential": True}  # fmt: skip


def eventually(
    condition: Callable[[], T], *, seconds: float = DEADLINE_SECONDS, what: Callable[[], str] | None = None
) -> T:
    """The first true value of the condition; fails when there is none before the deadline."""
    deadline = time.monotonic() + seconds
    pause = 0.001
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what() if what else condition}")
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


class SupervisedNode:
    """A running `tests.cluster.node_program`; its standard error goes to `log_path` unless a descriptor is given.

    `redirects` are a shell's, such as `2>&-`.
    """

    def __init__(
        self, folder: Path, *, roles: list[dict[str, Any]], stderr: int | None, redirects: str, options: dict[str, Any]
    ):
        self.folder = folder
        self.log_path = folder / "stderr.log"
        self.description = folder / "node.json"
        self.data_dir = folder / "data"
        self.options = {"host": "127.0.0.1", "port": -1, "fleet": {"data_dir": str(self.data_dir)}, **options}
        self.roles = roles
        self.describe()
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    "/bin/sh",
                    "-c",
                    f'exec "$@" {redirects}',
                    "sh",
                    sys.executable,
                    "-m",
                    "tests.cluster.node_program",
                    str(self.description),
                ],
                cwd=ROOT,
                stderr=log if stderr is None else stderr,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def describe(self, **changed: Any) -> None:
        """Writes the description, which a reload reads again."""
        self.options.update(changed)
        self.description.write_text(json.dumps({**self.options, "roles": self.roles}))

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def texts(self) -> list[str]:
        """The log without pid, time and level."""
        return [re.sub(r"^\[\d+\] (?:\S+ \S+ )?\[\w+\] ", "", line) for line in self.log.splitlines()]

    def wait_log(self, text: str, *, count: int = 1) -> None:
        eventually(lambda: self.log.count(text) >= count, what=lambda: f"{text!r} in the log:\n{self.log}")

    def record(self, role: str = "router") -> ReadinessRecord | None:
        return read_records(str(self.data_dir / "run")).get(role)

    def wait_ready(self, role: str = "router", *, other_than: int = 0) -> ReadinessRecord:
        """The readiness record of the role, of another process than the given one."""

        def ready() -> ReadinessRecord | None:
            assert self.process.poll() is None, self.log
            record = self.record(role)
            return record if record is not None and record.pid != other_than else None

        return eventually(ready, what=lambda: f"{role} ready:\n{self.log}")

    def connect(self) -> tuple[socket.socket, dict[str, Any]]:
        """A connection to the echo role, and what it said about itself."""
        record = self.record("supervisor")
        assert record is not None
        connection = socket.create_connection(("127.0.0.1", record.ports["nats"]), timeout=DEADLINE_SECONDS)
        with connection.makefile("rb") as lines:
            return connection, json.loads(lines.readline())

    def children(self) -> list[int]:
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as children:
            return [int(pid) for pid in children.read().split()]

    def signal(self, signum: int) -> None:
        self.process.send_signal(signum)

    def wait_exit(self, *, seconds: float = DEADLINE_SECONDS) -> int:
        return self.process.wait(timeout=seconds)


@contextmanager
def supervised(
    folder: Path,
    *,
    roles: list[dict[str, Any]] | None = None,
    stderr: int | None = None,
    redirects: str = "",
    **options: Any,
) -> Iterator[SupervisedNode]:
    """A node that is certainly gone afterwards, with all its roles."""
    node = SupervisedNode(folder, roles=roles or [ECHO], stderr=stderr, redirects=redirects, options=options)
    try:
        yield node
    finally:
        if node.process.poll() is None:
            os.killpg(node.pid, signal.SIGKILL)
        node.process.wait(timeout=DEADLINE_SECONDS)


def is_gone(pid: int) -> bool:
    """Whether the process is dead: no such process, or a zombie that nobody has reaped yet."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            return stat.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except (FileNotFoundError, ProcessLookupError):
        return True
