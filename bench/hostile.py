"""What an attack costs a neighbour: requests and replies beside each kind of attack, and undisturbed.

    .venv/bin/python -m bench.hostile [--server ours|theirs] [--attack NAME ...] [--connections N [--pause S]]
                                     [--seconds S]

Prints the p50 and p99 of the round trip, undisturbed and during the attack, their factor, and how far the server's memory
grew. Attack, load generator and server share the processors of this machine; on a small one that alone costs something,
which the row `busy` shows: the attacker computes and does not talk to the server at all. In the row `blocked` nobody
attacks, but our control plane, the thread that runs Python, stands still meanwhile.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.attacks import ATTACKS
from bench.paused_thread import paused_thread
from bench.prerequisites import REPOSITORY, find_nats_server, load_generator, our_command
from bench.servers import HOST, Launch, Server

BUSY = "busy"
BLOCKED = "blocked"
_BUSY_PROGRAM = "import sys, time\nend = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end: pass"
_START_SECONDS = 1.0
_GENERATOR_SECONDS_MAX = 60.0
_DESCRIPTORS = 12_000
MEGABYTE = 1 << 20


def measure(generator: Path, server: Server, seconds: float) -> dict[str, Any]:
    """One connection asks, one answers, one request at a time."""
    command = [generator, "request", "--addr", server.address, "--size", "16", "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_GENERATOR_SECONDS_MAX)
    report: dict[str, Any] = json.loads(done.stdout or "{}")
    if "p99_us" not in report:
        raise server.failure(f"the load generator says {done.stdout!r} {done.stderr!r}")
    return report


def resident_bytes(server: Server) -> int:
    """Memory of the server's processes together."""
    pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in server.processes())
    return sum(pages) * resource.getpagesize()


def control_plane(server: Server) -> int:
    """The thread of our router that runs Python: its first."""
    for pid in server.processes():
        if Path(f"/proc/{pid}/comm").read_text().strip() == "nf-router":
            return pid
    raise server.failure("no process is a router of ours")


def attacker(name: str, server: Server, seconds: float, shape: Sequence[str]) -> subprocess.Popen[bytes]:
    """The process that attacks for so long."""
    if name == BUSY:
        return subprocess.Popen([sys.executable, "-c", _BUSY_PROGRAM, str(seconds)])
    command = [sys.executable, "-m", "bench.attacks", name, HOST, str(server.load_port), str(seconds)]
    return subprocess.Popen([*command, *shape], cwd=REPOSITORY)


def compare(name: str, launch: Launch, generator: Path, seconds: float, shape: Sequence[str]) -> str:
    """One row of the table."""
    with Server(launch, "tcp") as server:
        quiet = measure(generator, server, seconds)
        before = resident_bytes(server)
        if name == BLOCKED:
            # Who asks and answers is admitted by the engine, which needs nobody for it.
            with paused_thread(control_plane(server)):
                return row(name, quiet, measure(generator, server, seconds), 0)
        attacking = attacker(name, server, seconds + 2 * _START_SECONDS, shape)
        try:
            measure(generator, server, _START_SECONDS)
            disturbed = measure(generator, server, seconds)
            grown = resident_bytes(server) - before
        finally:
            attacking.kill()
            attacking.wait()
    return row(name, quiet, disturbed, grown)


def row(name: str, quiet: dict[str, Any], disturbed: dict[str, Any], grown: int) -> str:
    """A line of the table."""
    factor = disturbed["p99_us"] / quiet["p99_us"]
    columns = (quiet["p50_us"], quiet["p99_us"], disturbed["p50_us"], disturbed["p99_us"])
    figures = "  ".join(f"{figure:9.0f}" for figure in columns)
    return f"{name:16} {figures}  {factor:7.2f}  {grown / MEGABYTE:8.1f}"


def main() -> None:
    """Runs the attacks that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=["ours", "theirs"], default="ours")
    parser.add_argument(
        "--attack", nargs="*", default=[BUSY, *ATTACKS], help=f"{BUSY}, {BLOCKED} (ours only), {', '.join(ATTACKS)}"
    )
    parser.add_argument("--connections", type=int, help="how many attack at a time, instead of what each attack has")
    parser.add_argument(
        "--pause", type=float, help="seconds that each of them rests between two pieces (needs --connections)"
    )
    parser.add_argument("--seconds", type=float, default=3.0)
    arguments = parser.parse_args()
    if arguments.pause is not None and arguments.connections is None:
        parser.error("--pause needs --connections")
    shape = [str(value) for value in (arguments.connections, arguments.pause) if value is not None]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(_DESCRIPTORS, hard), hard))
    generator = load_generator()
    command = our_command() if arguments.server == "ours" else (str(find_nats_server()),)
    print("                     quiet, microseconds   attacked              factor    memory")
    print("attack                 p50        p99        p50        p99     of p99   grows MB")
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.attack:
            launch = Launch(label=arguments.server, command=command, folder=Path(folder))
            print(compare(name, launch, generator, arguments.seconds, shape), flush=True)


if __name__ == "__main__":
    main()
