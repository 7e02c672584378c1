"""Runs the rounds of a case: ours, theirs, ours, theirs, each with the same load."""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import process_table
from bench.cases import Case
from bench.rows import Side, build_row, figures
from bench.servers import Cluster, Launch, Server, ServerFailed

# Beyond the time of the load itself; opening thousands of connections belongs to it.
_GENERATOR_SECONDS_MAX = 60.0
_STARTS_PER_ROUND = 3
# A server that has just begun to serve may still start and end helpers; as long as that, and no longer, it is waited for.
_SETTLE_SECONDS = 0.1
_SETTLE_SECONDS_MAX = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many rounds, and how long each measures and warms up, in seconds."""

    rounds: int
    seconds: float
    warmup: float


FULL = Pace(rounds=5, seconds=1.5, warmup=0.3)
QUICK = Pace(rounds=3, seconds=0.8, warmup=0.2)


class RoundFailed(Exception):
    """One round has no result. `lost` is the number of messages that are known to be missing."""

    def __init__(self, text: str, lost: int = 0) -> None:
        super().__init__(text)
        self.lost = lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The two servers and the generator that loads them."""

    generator: Path
    ours: Launch
    theirs: Launch
    pace: Pace

    def run(self, case: Case) -> dict[str, Any]:
        """All rounds of a case, as its row."""
        ours, theirs = Side(), Side()
        if case.kind == "startup":
            for number in range(self.pace.rounds):
                for launch, side in ((self.ours, ours), (self.theirs, theirs)):
                    _attempt(side, number, lambda launch=launch: _measure_startup(launch))
        else:
            with contextlib.ExitStack() as stack:
                seats = [stack.enter_context(_Seat(launch, case)) for launch in (self.ours, self.theirs)]
                for number in range(self.pace.rounds):
                    for seat, side in zip(seats, (ours, theirs), strict=True):
                        _attempt(side, number, lambda seat=seat: self._load(case, seat))
        return build_row(case, ours=ours, theirs=theirs)

    def _load(self, case: Case, seat: _Seat) -> dict[str, float]:
        server = seat.server()
        before = server.processes()
        result = run_generator(self.generator_command(case, server.addresses, before), self._seconds_max())
        after = server.processes()
        if not set(before) <= set(after):
            seat.vacate()
            raise RoundFailed(str(server.failure("a process of the server ended during the round")))
        # Processes that began during the round have used all their time in it.
        late = process_table.cpu_seconds(set(after) - set(before))
        return figures({**result, "server_cpu_s": result["server_cpu_s"] + late})

    def _seconds_max(self) -> float:
        return _GENERATOR_SECONDS_MAX + self.pace.seconds + self.pace.warmup

    def generator_command(self, case: Case, addresses: Sequence[str], pids: Sequence[int]) -> list[str]:
        """The generator's command line for one round."""
        command = [str(self.generator), case.kind, *case.load, "--addr", addresses[0]]
        if len(addresses) > 1:
            command += ["--far-addr", addresses[-1]]
        command += ["--server-pids", ",".join(map(str, pids)), "--transport", case.transport]
        if case.transport == "tls" and self.ours.certificate is not None:
            command += ["--ca", str(self.ours.certificate.certificate)]
        if case.timed:
            command += ["--seconds", str(self.pace.seconds)]
        if case.warmed_up:
            command += ["--warmup", str(self.pace.warmup)]
        return command


class _Seat:
    """The place of one server, or cluster, in a case: filled when needed, emptied when that is not to be used again."""

    def __init__(self, launch: Launch, case: Case) -> None:
        self._launch = launch
        self._case = case
        self._server: Server | Cluster | None = None

    def __enter__(self) -> _Seat:
        return self

    def __exit__(self, *_: object) -> None:
        self.vacate()

    def server(self) -> Server | Cluster:
        if self._server is not None and (self._case.fresh_servers or not self._server.alive()):
            self.vacate()
        if self._server is None:
            launch, transport, nodes = self._launch, self._case.transport, self._case.nodes
            alone = nodes == 1
            self._server = Server(launch, transport) if alone else Cluster(launch, transport, nodes=nodes)
            _wait_settled(self._server)
        return self._server

    def vacate(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None


def run_generator(command: Sequence[str], seconds_max: float) -> Mapping[str, Any]:
    """One run of the generator. Raises RoundFailed when it reports an error, or nothing."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds_max)
    except subprocess.TimeoutExpired:
        raise RoundFailed(f"the generator did not finish within {seconds_max:.0f} s") from None
    return read_result(done.stdout, done.stderr)


def read_result(output: str, messages: str) -> Mapping[str, Any]:
    """The generator's JSON object. Raises RoundFailed when it holds an error or is not there."""
    try:
        result = json.loads(output)
    except json.JSONDecodeError:
        raise RoundFailed(f"the generator printed no result: {(output + messages).strip()[-500:]}") from None
    if "error" in result:
        raise RoundFailed(result["error"], lost=result.get("lost", 0))
    return dict(result)


def _wait_settled(server: Server | Cluster) -> None:
    """Waits until the processes of the server have been the same for a moment."""
    end = time.monotonic() + _SETTLE_SECONDS_MAX
    before: tuple[int, ...] = ()
    while (now := server.processes()) != before and time.monotonic() < end:
        before = now
        time.sleep(_SETTLE_SECONDS)


def _attempt(side: Side, number: int, measure: Any) -> None:
    try:
        side.rounds.append(measure())
    except (RoundFailed, ServerFailed) as failure:
        side.errors.append(f"round {number + 1}: {failure}")
        side.lost += getattr(failure, "lost", 0)


def _measure_startup(launch: Launch) -> dict[str, float]:
    seconds = []
    for _ in range(_STARTS_PER_ROUND):
        with Server(launch, "tcp") as server:
            seconds.append(server.startup_seconds)
    return {"startup_ms": statistics.median(seconds) * 1e3}
