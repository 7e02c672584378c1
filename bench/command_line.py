"""The command `bench/compare`: reads its arguments, runs the cases, prints, and keeps what it is asked to keep."""

from __future__ import annotations

import argparse
import json
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import ceiling, history, prerequisites, table
from bench.cases import Case, all_cases, select
from bench.certificate import CertificateFiles, write_certificate
from bench.rounds import FULL, QUICK, Comparison, Pace, RoundFailed
from bench.rows import failed
from bench.servers import Launch

DESCRIPTION = """natsfleet beside nats-server on this machine: the same load on both, in turn. Ratios are ours /
theirs, of medians over the rounds. The status is 1 when a round failed or lost messages, 2 when a need is missing."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        cases = select(ceiling.CASES if options.ceiling and not options.case else options.case, all_cases())
        if options.list:
            print("\n".join(case.name for case in cases))
            return 0
        with tempfile.TemporaryDirectory(prefix="natsfleet-bench-") as folder:
            if options.ceiling:
                return _print_ceiling(options, cases, Path(folder))
            return _compare(options, cases, Path(folder))
    except (prerequisites.Missing, LookupError) as problem:
        print(f"bench/compare: {problem}", file=sys.stderr)
        return 2
    except RoundFailed as failure:
        print(f"bench/compare: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/compare", description=DESCRIPTION)
    parser.add_argument(
        "--case", action="append", default=[], metavar="NAME", help="a case, or a pattern such as 'pub-*'"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the cases and end")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK.rounds} short rounds instead of {FULL.rounds}")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="rounds of each server")
    parser.add_argument("--seconds", type=float, metavar="S", help="measured time of one round")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there")
    parser.add_argument("--record", action="store_true", help="append the run to bench/history.ndjson")
    parser.add_argument("--ours", metavar="CMD", help="how our server is started; it gets nats-server's flags")
    parser.add_argument("--theirs", metavar="CMD", help="how the other server is started (default: nats-server)")
    parser.add_argument("--ceiling", action="store_true", help="measure the generator against its own sink instead")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number}: wanted at least 1")
    return number


def _pace(options: argparse.Namespace) -> Pace:
    pace = QUICK if options.quick else FULL
    return Pace(
        rounds=options.rounds or pace.rounds,
        seconds=options.seconds or pace.seconds,
        warmup=pace.warmup,
    )


def _prepare(options: argparse.Namespace, cases: Sequence[Case], folder: Path) -> tuple[Comparison, str]:
    """Everything needed for the cases, and the release of nats-server."""
    if options.theirs:
        theirs, version = tuple(shlex.split(options.theirs)), options.theirs
    else:
        binary = prerequisites.find_nats_server()
        theirs, version = (str(binary),), prerequisites.nats_server_version(binary)
    ours = tuple(shlex.split(options.ours)) if options.ours else prerequisites.our_command()
    certificate = _certificate(folder) if any(case.transport == "tls" for case in cases) else None
    comparison = Comparison(
        generator=prerequisites.load_generator(),
        ours=Launch(label="ours", command=ours, folder=folder, certificate=certificate),
        theirs=Launch(label="theirs", command=theirs, folder=folder, certificate=certificate),
        pace=_pace(options),
    )
    return comparison, version


def _certificate(folder: Path) -> CertificateFiles:
    try:
        return write_certificate(folder)
    except ImportError as error:
        raise prerequisites.Missing(
            f"the TLS cases need the Python package `cryptography` in {sys.executable}; `make build` installs it"
        ) from error


def _compare(options: argparse.Namespace, cases: Sequence[Case], folder: Path) -> int:
    comparison, version = _prepare(options, cases, folder)
    machine = history.this_machine()
    pace = comparison.pace
    print(f"ours: {shlex.join(comparison.ours.command)}")
    print(f"theirs: nats-server {version}; {machine['cpu']}, {machine['cores']} cores")
    print(f"{pace.rounds} rounds of {pace.seconds} s each, medians; ratios are ours / theirs\n\n{table.HEADER}")
    rows: list[dict[str, Any]] = []
    for case in cases:
        row = comparison.run(case)
        rows.append(row)
        print("\n".join([table.format_row(row), *table.format_errors(row)]), flush=True)
        if options.json:
            # After every case, so that a run that is cut short leaves what it has.
            options.json.write_text(json.dumps(rows, indent=1) + "\n")
    if options.record:
        line = history.entry(
            rows,
            commit=history.current_commit(),
            date=history.current_date(),
            machine=machine,
            nats_server=version,
            rounds=pace.rounds,
        )
        history.append(history.HISTORY, line)
    return 1 if any(map(failed, rows)) else 0


def _print_ceiling(options: argparse.Namespace, cases: Sequence[Case], folder: Path) -> int:
    comparison = Comparison(
        generator=prerequisites.load_generator(),
        ours=Launch(label="ours", command=(), folder=folder),
        theirs=Launch(label="theirs", command=(), folder=folder),
        pace=_pace(options),
    )
    print(ceiling.HEADER)
    for case in cases:
        rounds = [ceiling.measure(comparison, case) for _ in range(comparison.pace.rounds)]
        print(ceiling.format_line(case, rounds), flush=True)
    return 0
