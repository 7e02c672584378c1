"""Servers under measurement: started with the flags that nats-server and natsfleet share, ready at their first INFO."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import process_table
from bench.cases import Transport
from bench.certificate import CertificateFiles
from bench.prerequisites import REPOSITORY

HOST = "127.0.0.1"
START_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 10.0
# Between two attempts to connect while a server starts.
_ATTEMPT_SECONDS = 0.0005
_LOG_TAIL_BYTES = 2_000


class ServerFailed(Exception):
    """A server did not start, or ended by itself; the text holds the end of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start one of the two servers."""

    label: str
    command: tuple[str, ...]
    folder: Path
    certificate: CertificateFiles | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The place of a server in a cluster: its number, its own route port, and those that it dials."""

    number: int
    port: int
    dials: tuple[int, ...]

    def flags(self) -> tuple[str, ...]:
        """What the command line says about the cluster; everything else stays at its default."""
        routes = ",".join(f"nats://{HOST}:{port}" for port in self.dials)
        words = (
            "--cluster_name",
            "bench",
            "--cluster",
            f"nats://{HOST}:{self.port}",
            "--server_name",
            f"n{self.number}",
        )
        return (*words, "--routes", routes) if routes else words


class Server:
    """One running server; use as a context manager, so that it never outlives the benchmark."""

    def __init__(self, launch: Launch, transport: Transport, *, node: Node | None = None) -> None:
        port = free_port()
        self.load_port = port if transport != "ws" else free_port()
        self._launch = launch
        self._log = launch.folder / (f"{launch.label}-{node.number}.log" if node else f"{launch.label}.log")
        more = node.flags() if node else ()
        arguments = [*launch.command, "-a", HOST, "-p", str(port), *self._flags(transport), *more]
        begin = time.monotonic()
        with self._log.open("wb") as log:
            # Its own session, so that what remains of it can be ended as one group.
            self._process = subprocess.Popen(
                arguments,
                cwd=REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self.startup_seconds = self._wait_info(port, begin)
            if self.load_port != port:
                self._wait_listening(self.load_port, begin)
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def address(self) -> str:
        """Where the load goes."""
        return f"{HOST}:{self.load_port}"

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the ends of the load go: all here."""
        return (self.address,)

    def alive(self) -> bool:
        """Whether the process that was started still runs."""
        return self._process.poll() is None

    def processes(self) -> tuple[int, ...]:
        """The whole process tree."""
        return process_table.tree_of(self._process.pid)

    def stop(self) -> None:
        """Asks the server to end, waits, and ends it by force if it does not."""
        if self.alive():
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS_MAX)
        # The group is the server's own: it lives on only while one of the server's processes does.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def failure(self, text: str) -> ServerFailed:
        """What went wrong, with the end of the log."""
        tail = self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
        return ServerFailed(f"{text}; its log ends with:\n{tail}" if tail else f"{text}; its log is empty")

    def _flags(self, transport: Transport) -> Sequence[str]:
        if transport == "ws":
            config = self._launch.folder / f"{self._launch.label}.conf"
            config.write_text(f'websocket {{ host: "{HOST}", port: {self.load_port}, no_tls: true }}\n')
            return ("-c", str(config))
        if transport == "tls":
            files = self._launch.certificate
            if files is None:
                raise ValueError("a TLS case needs a certificate")
            return ("--tls", "--tlscert", str(files.certificate), "--tlskey", str(files.key))
        return ()

    def _wait_info(self, port: int, begin: float) -> float:
        while True:
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1) as peer:
                if peer.recv(1):
                    return time.monotonic() - begin
            self._give_up_if_late(begin, "sent no INFO")
            time.sleep(_ATTEMPT_SECONDS)

    def _wait_listening(self, port: int, begin: float) -> None:
        while True:
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
                return
            self._give_up_if_late(begin, f"does not listen on port {port}")
            time.sleep(_ATTEMPT_SECONDS)

    def _give_up_if_late(self, begin: float, what: str) -> None:
        if not self.alive():
            raise self.failure(f"{self._launch.label} ended with status {self._process.returncode} while it started")
        if time.monotonic() - begin > START_SECONDS_MAX:
            raise self.failure(f"{self._launch.label} {what} within {START_SECONDS_MAX:.0f} s")


class Cluster:
    """Servers that are one cluster; each dials those before it. The generator itself waits until they know each other."""

    def __init__(self, launch: Launch, transport: Transport, *, nodes: int) -> None:
        ports = [free_port() for _ in range(nodes)]
        self._servers: list[Server] = []
        try:
            for number, port in enumerate(ports):
                node = Node(number=number, port=port, dials=tuple(ports[:number]))
                self._servers.append(Server(launch, transport, node=node))
        except BaseException:
            self.stop()
            raise

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where the load goes: publishers to the first, subscribers to the last."""
        return tuple(server.address for server in self._servers)

    def alive(self) -> bool:
        """Whether all servers that were started still run."""
        return all(server.alive() for server in self._servers)

    def processes(self) -> tuple[int, ...]:
        """The process trees of all servers."""
        return tuple(pid for server in self._servers for pid in server.processes())

    def stop(self) -> None:
        """Ends all servers, as `Server.stop` does."""
        for server in self._servers:
            server.stop()

    def failure(self, text: str) -> ServerFailed:
        """What went wrong, with the end of every server's log."""
        return ServerFailed("; ".join(str(server.failure(text)) for server in self._servers))


def free_port() -> int:
    """A TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
