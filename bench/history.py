"""One line for each recorded run, in `bench/history.ndjson`: where, when and with what result."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.prerequisites import REPOSITORY

HISTORY = REPOSITORY / "bench" / "history.ndjson"


def entry(
    rows: Sequence[Mapping[str, Any]],
    *,
    commit: str,
    date: str,
    machine: Mapping[str, Any],
    nats_server: str,
    rounds: int,
) -> dict[str, Any]:
    """What is kept of a run."""
    return {
        "commit": commit,
        "date": date,
        "machine": dict(machine),
        "nats_server": nats_server,
        "rounds": rounds,
        "rows": list(rows),
    }


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Adds one line."""
    with path.open("a") as file:
        file.write(json.dumps(line, separators=(",", ":")) + "\n")


def current_commit() -> str:
    """The commit that is checked out, marked with + when the tree differs from it."""
    commit = _git("rev-parse", "HEAD")
    return f"{commit}+" if _git("status", "--porcelain", "--untracked-files=no") else commit


def current_date() -> str:
    """Now, in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def this_machine() -> dict[str, Any]:
    """Processor and cores."""
    return {"cpu": cpu_model(Path("/proc/cpuinfo").read_text()), "cores": os.cpu_count()}


def cpu_model(cpuinfo: str) -> str:
    """The processor's name out of the text of /proc/cpuinfo, "unknown" when it has none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"
