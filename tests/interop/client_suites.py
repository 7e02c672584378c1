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
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from tests.interop.suites.adapters import NatsC, NatsPy, Suite, Verdict
from tests.interop.suites.isolation import isolated
from tests.interop.suites.shim import write_shim
from tests.interop.suites.stages import STAGES, format_list, highest_stage, read_list, stage_of_start
from tests.kit.servers import ServerKind

LISTS = Path(__file__).parent / "suites"
TEST_S = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One finished test: its verdict, what it printed, and the servers it started (only noted when deriving)."""

    test: str
    verdict: Verdict
    seconds: float
    output: str
    starts: tuple[str, ...]


class Runner:
    """Runs tests of a suite, a few at a time."""

    def __init__(self, suite: Suite, *, folder: Path, jobs: int, notes_starts: bool) -> None:
        self._suite = suite
        self._folder = folder
        self._limiter = trio.CapacityLimiter(jobs)
        self._notes_starts = notes_starts

    async def run(self, tests: Sequence[str]) -> list[Outcome]:
        """All outcomes, in the order of `tests`."""
        outcomes: dict[str, Outcome] = {}

        async def run_one(number: int, test: str) -> None:
            async with self._limiter:
                outcomes[test] = await self._run(number, test)
            print_progress(len(outcomes), len(tests), outcomes[test])

        async with trio.open_nursery() as nursery:
            for number, test in enumerate(tests):
                nursery.start_soon(run_one, number, test)
        return [outcomes[test] for test in tests]

    async def _run(self, number: int, test: str) -> Outcome:
        own = self._folder / str(number)
        own.mkdir()
        starts = own / "starts"
        environment = {
            **os.environ,
            **self._suite.environment(),
            "PATH": f"{self._folder}:{os.environ['PATH']}",
            "SUITE_STARTS": str(starts) if self._notes_starts else "",
        }
        began = time.monotonic()
        code, output = await run_to_end(
            isolated(self._suite.command(test), folder=self._folder),
            folder=self._suite.work_folder(own),
            environment=environment,
        )
        verdict = Verdict.TIMED_OUT if code is None else self._suite.verdict(code, output)
        noted = [json.loads(line) for line in starts.read_text().splitlines()] if starts.exists() else []
        shutil.rmtree(own, ignore_errors=True)
        return Outcome(
            test=test,
            verdict=verdict,
            seconds=time.monotonic() - began,
            output=output,
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


def print_progress(done: int, total: int, outcome: Outcome) -> None:
    """A line for each test that did not pass, and one for every twentieth."""
    if outcome.verdict is not Verdict.PASSED or done % 20 == 0 or done == total:
        print(f"{done}/{total} {outcome.verdict.value:9} {outcome.seconds:6.1f} s  {outcome.test}", flush=True)


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
        runner = Runner(suite, folder=Path(folder), jobs=arguments.jobs, notes_starts=arguments.derive)
        tests = suite.all_names() if arguments.derive else chosen_tests(suite, arguments)
        outcomes = trio.run(runner.run, tests)
    if arguments.derive:
        derive_list(suite, outcomes)
    stages = read_list(LISTS / f"{suite.name}.txt")
    outcomes = [outcome for outcome in outcomes if outcome.test in stages]
    print_table(suite, stages, outcomes)
    failed = [outcome for outcome in outcomes if outcome.verdict in (Verdict.FAILED, Verdict.TIMED_OUT)]
    if arguments.logs:
        write_logs(Path(arguments.logs), suite, failed)
    return not failed


def chosen_tests(suite: Suite, arguments: argparse.Namespace) -> list[str]:
    """The tests of the list that the command line asks for."""
    wanted = arguments.stages.split(",")
    stages = read_list(LISTS / f"{suite.name}.txt")
    return [test for test, stage in stages.items() if stage in wanted and re.search(arguments.match, test)]


def write_logs(folder: Path, suite: Suite, failed: Sequence[Outcome]) -> None:
    """What the failed tests printed, a file each."""
    folder.mkdir(parents=True, exist_ok=True)
    for outcome in failed:
        name = re.sub(r"\W+", "_", f"{suite.name}_{outcome.test}")
        (folder / f"{name}.log").write_text(outcome.output)


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
    parser.add_argument("--logs", help="folder for the output of failed tests")
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
