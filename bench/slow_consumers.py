"""Thousands of subscribers that never read: how long until all are cut, how far memory grows, what a healthy one notices.

    .venv/bin/python -m bench.slow_consumers [--consumers 5000] [--rate-bytes 1000000] [--size 10000] [--server ours|theirs]

One publisher sends to all of them at the given rate, and to a healthy subscriber of the same subject. Ours gets
`fleet { pending_bytes_max }` of `--bound` megabytes; nats-server has no such bound.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import socket
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from bench.hostile import MEGABYTE, resident_bytes
from bench.prerequisites import find_nats_server, our_command
from bench.servers import HOST, Launch, Server

_SEND_BYTES_MAX = 1 << 20
_RECEIVE_BYTES = 1 << 20
_SMALLEST_BUFFER_BYTES = 4096
_GIVE_UP_SECONDS = 120.0


@dataclass(slots=True)
class Healthy:
    """The subscriber that reads: what it got, and its longest time without anything."""

    connection: socket.socket
    bytes: int = 0
    last_s: float = 0.0
    gaps_s: list[float] = field(default_factory=list)

    def read(self) -> None:
        """Takes everything that is there."""
        with contextlib.suppress(BlockingIOError):
            while data := self.connection.recv(_RECEIVE_BYTES):
                now_s = time.monotonic()
                if self.bytes:
                    self.gaps_s.append(now_s - self.last_s)
                self.bytes += len(data)
                self.last_s = now_s


def connect(server: Server, *, receive_buffer: int = 0) -> socket.socket:
    """A connection after CONNECT and PING."""
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(30)
    connection.connect((HOST, server.load_port))
    connection.sendall(b'CONNECT {"verbose":false}\r\nSUB feed 1\r\nPING\r\n')
    seen = b""
    while not seen.endswith(b"PONG\r\n"):
        seen += connection.recv(4096)
    return connection


def is_cut(connection: socket.socket) -> bool:
    """Whether the server has ended the connection; what it still had to say stays unread."""
    try:
        connection.send(b"PONG\r\n")
    except OSError:
        return True
    return False


def main() -> None:
    """Runs it and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=["ours", "theirs"], default="ours")
    parser.add_argument("--consumers", type=int, default=5000)
    parser.add_argument("--rate-bytes", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--bound", type=int, default=1024, help="megabytes for all slow consumers together")
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(arguments.consumers * 2 + 500, hard), hard))
    command = our_command() if arguments.server == "ours" else (str(find_nats_server()),)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.server == "ours":
            config = folder / "server.conf"
            config.write_text(f"fleet {{ pending_bytes_max: {arguments.bound * MEGABYTE} }}\n")
            command = (*command, "-c", str(config))
        with Server(Launch(label=arguments.server, command=command, folder=folder), "tcp") as server:
            run(server, arguments)


def run(server: Server, arguments: argparse.Namespace) -> None:
    """Publishes at the rate until every slow consumer is cut."""
    healthy = Healthy(connect(server))
    healthy.connection.setblocking(False)
    publisher = connect(server)
    publisher.sendall(b"UNSUB 1\r\n")
    slow = [connect(server, receive_buffer=_SMALLEST_BUFFER_BYTES) for _ in range(arguments.consumers)]
    before, worst = resident_bytes(server), 0
    message = b"PUB feed %d\r\n%s\r\n" % (arguments.size, b"x" * arguments.size)
    publisher.setblocking(False)
    begin_s = time.monotonic()
    sent, waiting, first_cut_s, looked_s = 0, b"", 0.0, begin_s
    while slow and time.monotonic() - begin_s < _GIVE_UP_SECONDS:
        due = int((time.monotonic() - begin_s) * arguments.rate_bytes / arguments.size) + 1
        if not waiting and due > sent:
            count = min(due - sent, max(1, _SEND_BYTES_MAX // len(message)))
            waiting = message * count
            sent += count
        with contextlib.suppress(BlockingIOError):
            waiting = waiting[publisher.send(waiting) :] if waiting else b""
        healthy.read()
        if time.monotonic() - looked_s > 0.25:
            worst = max(worst, resident_bytes(server) - before)
            still = [connection for connection in slow if not is_cut(connection)]
            if len(still) < len(slow) and not first_cut_s:
                first_cut_s = time.monotonic() - begin_s
            slow = still
            looked_s = time.monotonic()
    all_cut_s = time.monotonic() - begin_s
    publisher.setblocking(True)
    publisher.sendall(waiting)
    frame = len(b"MSG feed 1 %d\r\n\r\n" % arguments.size) + arguments.size
    while healthy.bytes < sent * frame and time.monotonic() - healthy.last_s < 10:
        healthy.read()
    gaps = sorted(healthy.gaps_s) or [0.0]
    print(f"slow consumers               {arguments.consumers}, {len(slow)} of them not cut in the end")
    print(f"first cut, all cut           {first_cut_s:.2f} s, {all_cut_s:.2f} s")
    print(f"memory grew by at most       {worst / MEGABYTE:.0f} MB")
    print(f"healthy subscriber received  {healthy.bytes / frame:.0f} of {sent} messages")
    print(
        f"its pauses                   p99 {gaps[len(gaps) * 99 // 100] * 1e3:.1f} ms, longest {gaps[-1] * 1e3:.1f} ms"
    )


if __name__ == "__main__":
    main()
