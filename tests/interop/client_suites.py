"""Runs the official clients' own suites against a server, test by test, and counts passes per stage.

    python -m tests.interop.client_suites --nats-c BUILD_DIR --nats-py CHECKOUT [--server real] [--stages 1,2,3,4,5]

Each test runs isolated (network, processes) with a program named `nats-server` in front of PATH that becomes the server
under test. `docs/client-suites.md` explains stages and figures. With `--derive` the lists of tests are made anew.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from tests.interop.suites.adapters import SERVERS_LOG, NatsC, NatsPy, Suite, Verdict
from tests.interop.suites.isolation import isolated
from tests.interop.suites.shim import write_shim
from tests.interop.suites.stages import STAGES, format_list, highest_stage, read_list, stage_of_start
from tests.kit.servers import ServerKind

LISTS = Path(__file__).parent / "suites"
TEST_S = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One finished test: its verdict and why, what it and its servers printed, the servers it started.

    `starts` are only noted when deriving the lists.
    """

    test: str
    verdict: Verdict
    reason: str
    seconds: float
    output: str
    server_log: str
    starts: tuple[str, ...]


class Runner:
    """Runs tests of a suite, a few at a time."""

    def __init__(self, suite: Suite, *, folder: Path, arguments: argparse.Namespace) -> None:
        self._suite = suite
        self._folder = folder
        self._limiter = trio.CapacityLimiter(arguments.jobs)
        self._notes_starts: bool = arguments.derive
        self._server_flags: str = arguments.server_flags

    async def run(self, tests: Sequence[str]) -> list[Outcome]:
        """All outcomes, in the order of `tests`, which may name a test more than once."""
        outcomes: dict[int, Outcome] = {}

        async def run_one(number: int, test: str) -> None:
            async with self._limiter:
                outcomes[number] = await self._run(number, test)
            print_progress(len(outcomes), len(tests), outcomes[number])

        async with trio.open_nursery() as nursery:
            for number, test in enumerate(tests):
                nursery.start_soon(run_one, number, test)
        return [outcomes[number] for number in range(len(tests))]

    async def _run(self, number: int, test: str) -> Outcome:
        own = self._folder / str(number)
        own.mkdir()
        starts, server_log = own / "starts", own / SERVERS_LOG
        environment = {
            **os.environ,
            **self._suite.environment(),
            "PATH": f"{self._folder}:{os.environ['PATH']}",
            "SUITE_STARTS": str(starts) if self._notes_starts else "",
            "SUITE_SERVER_FLAGS": " ".join([*self._suite.log_flags(own), self._server_flags]),
        }
        began = time.monotonic()
        code, output = await run_to_end(
            isolated(self._suite.command(test), folder=self._folder),
            folder=self._suite.work_folder(own),
            environment=environment,
        )
        seconds = time.monotonic() - began
        verdict = Verdict.TIMED_OUT if code is None else self._suite.verdict(code, output)
        noted = [json.loads(line) for line in starts.read_text().splitlines()] if starts.exists() else []
        log = server_log.read_text(errors="replace") if server_log.exists() else ""
        shutil.rmtree(own, ignore_errors=True)
        return Outcome(
            test=test,
            verdict=verdict,
            reason=tell_reason(verdict, code, self._suite.reason(output)),
            seconds=seconds,
            output=output,
            server_log=log,
            starts=tuple(stage_of_start(start["arguments"], start["config"]) for start in noted),
        )


async def run_to_end(command: list[str], *, folder: Path, environment: dict[str, str]) -> tuple[int | None, str]:
    """Exit code (None when it took too long and was killed, with all its processes) and output."""
    with tempfile.TemporaryFile() as output:
        with trio.move_on_after(TEST_S) as scope:
            process = await trio.run_process(
                command, cwd=folder, env=environment, stdin=b"", stdout=output, stderr=output, check=False
            )
        output.seek(0)
        text = output.read().decode(errors="replace")
    return (None if scope.cancelled_caught else process.returncode), text


def tell_reason(verdict: Verdict, code: int | None, told: str) -> str:
    """Why a test did not pass: how its process ended where that is remarkable, and what it said itself."""
    if verdict in (Verdict.PASSED, Verdict.SKIPPED):
        return ""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}; {told}"
    return told or ("printed nothing that tells" if code is None else f"exit code {code}")


def print_progress(done: int, total: int, outcome: Outcome) -> None:
    """A line for each test that did not pass, with the reason, and one for every twentieth."""
    if outcome.verdict is not Verdict.PASSED or done % 20 == 0 or done == total:
        print(f"{done}/{total} {outcome.verdict.value:9} {outcome.seconds:6.1f} s  {outcome.test}", flush=True)
    if outcome.reason:
        print(f"    {outcome.reason}", flush=True)


def print_table(suite: Suite, stages: dict[str, str], outcomes: Sequence[Outcome]) -> None:
    """Passes per stage."""
    print(f"\n{suite.name}: stage, passed of all")
    for stage, meaning in STAGES.items():
        verdicts = Counter(outcome.verdict for outcome in outcomes if stages[outcome.test] == stage)
        if not verdicts:
            continue
        passed, total = verdicts.pop(Verdict.PASSED, 0), sum(verdicts.values())
        others = "".join(f"; {count} {verdict.value}" for verdict, count in verdicts.items())
        print(f"  {stage:5} {passed:4} of {passed + total:4}  {meaning}{others}")


def print_counts(outcomes: Sequence[Outcome]) -> None:
    """Passes per test, of those that did not pass each time."""
    runs = Counter(outcome.test for outcome in outcomes)
    passed = Counter(outcome.test for outcome in outcomes if outcome.verdict is Verdict.PASSED)
    for test, times in runs.items():
        if passed[test] < times:
            print(f"  {passed[test]:4} of {times:4}  {test}")


def derive_list(suite: Suite, outcomes: Sequence[Outcome]) -> None:
    """Writes the suite's list from how its tests started servers."""
    tests = {outcome.test: highest_stage(outcome.starts) for outcome in outcomes if outcome.starts}
    about = f"Tests of the outside suite {suite.name} that start a server, by the stage they need (see stages.py)"
    (LISTS / f"{suite.name}.txt").write_text(format_list(tests, about=about))
    print(f"{suite.name}: {len(tests)} of {len(outcomes)} tests start a server")


def run_suite(suite: Suite, arguments: argparse.Namespace) -> bool:
    """Runs one suite as the command line says; whether nothing failed."""
    with tempfile.TemporaryDirectory(prefix="natsfleet-suite-") as folder:
        write_shim(Path(folder), ServerKind(arguments.server))
        runner = Runner(suite, folder=Path(folder), arguments=arguments)
        tests = suite.all_names() if arguments.derive else chosen_tests(suite, arguments) * arguments.repeat
        outcomes = trio.run(runner.run, tests)
    if arguments.derive:
        derive_list(suite, outcomes)
    stages = read_list(LISTS / f"{suite.name}.txt")
    outcomes = [outcome for outcome in outcomes if outcome.test in stages]
    print_table(suite, stages, outcomes)
    print_counts(outcomes)
    failed = [outcome for outcome in outcomes if outcome.verdict in (Verdict.FAILED, Verdict.TIMED_OUT)]
    if arguments.logs:
        write_logs(Path(arguments.logs), suite, outcomes if arguments.all_logs else failed)
    return not failed


def chosen_tests(suite: Suite, arguments: argparse.Namespace) -> list[str]:
    """The tests of the list that the command line asks for."""
    wanted = arguments.stages.split(",")
    stages = read_list(LISTS / f"{suite.name}.txt")
    return [test for test, stage in stages.items() if stage in wanted and re.search(arguments.match, test)]


def write_logs(folder: Path, suite: Suite, outcomes: Sequence[Outcome]) -> None:
    """What these tests and their servers printed, a file for each run."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, outcome in enumerate(outcomes):
        name = re.sub(r"\W+", "_", f"{suite.name}_{outcome.test}_{number}")
        head = f"{outcome.test}: {outcome.verdict.value} after {outcome.seconds:.1f} s: {outcome.reason}"
        (folder / f"{name}.log").write_text(f"{head}\n{outcome.output}\n== Its servers\n{outcome.server_log}")


def main() -> int:
    """Runs the suites that were named; exit code 1 if a test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nats-c", metavar="BUILD_DIR", help="a build of the C client with its tests")
    parser.add_argument("--nats-py", metavar="CHECKOUT", help="a checkout of the Python client")
    parser.add_argument("--python", default=sys.executable, help="interpreter with the Python suite's dependencies")
    parser.add_argument("--server", choices=[kind.value for kind in ServerKind], default=ServerKind.OURS.value)
    parser.add_argument("--stages", default="1,2,3,4,5", help=f"of {','.join(STAGES)} (default 1,2,3,4,5)")
    parser.add_argument("--match", default="", help="only tests whose name matches this regular expression")
    parser.add_argument("--jobs", type=int, default=2, help="tests at a time (default 2)")
    parser.add_argument("--logs", help="folder for what failed tests and their servers printed")
    parser.add_argument("--all-logs", action="store_true", help="those of tests that passed too")
    parser.add_argument("--repeat", type=int, default=1, help="how often each test is run (default 1)")
    parser.add_argument(
        "--server-flags", default="", help="flags for every server, such as -DV for a log that tells all"
    )
    parser.add_argument("--derive", action="store_true", help="run every test and write the lists anew")
    arguments = parser.parse_args()
    suites: list[Suite] = []
    if arguments.nats_c:
        suites.append(NatsC(Path(arguments.nats_c).resolve()))
    if arguments.nats_py:
        suites.append(NatsPy(Path(arguments.nats_py).resolve(), arguments.python))
    if not suites:
        parser.error("name a suite with --nats-c or --nats-py")
    passed = [run_suite(suite, arguments) for suite in suites]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
