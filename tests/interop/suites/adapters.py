"""The outside suites we run: what tests each has, how one test is run, and how its outcome is read."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from enum import Enum
from pathlib import Path
from typing import Protocol

RELEASE = "v2.15.1"
PYTHON_TESTS = "nats/tests"


class Verdict(Enum):
    """How a test ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    TIMED_OUT = "timed out"


class Suite(Protocol):
    """One outside suite. `name` is also the name of its list."""

    name: str

    def all_names(self) -> list[str]:
        """Every test of the suite, as its list names it."""

    def command(self, test: str) -> list[str]:
        """How one test is run."""

    def work_folder(self, own: Path) -> Path:
        """Where it is run; `own` is an empty folder for this test alone."""

    def environment(self) -> dict[str, str]:
        """What its environment needs."""

    def verdict(self, code: int, output: str) -> Verdict:
        """What its exit code and output mean."""


class NatsC:
    """The C client: its test program in a build folder, and the list beside its sources."""

    name = "nats_c"

    def __init__(self, build: Path) -> None:
        self._program = build / "bin" / "testsuite"
        cache = (build / "CMakeCache.txt").read_text()
        source = re.search(r"^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$", cache, re.MULTILINE)
        if source is None or not self._program.exists():
            raise SystemExit(f"wanted a build of the C client with tests in {build}")
        self._folder = Path(source[1]) / "test"

    def all_names(self) -> list[str]:
        return re.findall(r"^_test\((\w+)\)", (self._folder / "list_test.txt").read_text(), re.MULTILINE)

    def command(self, test: str) -> list[str]:
        return [str(self._program), test]

    def work_folder(self, own: Path) -> Path:
        # A copy: its tests write files of fixed names where they run.
        return Path(shutil.copytree(self._folder, own / "work", ignore=shutil.ignore_patterns("*.c")))

    def environment(self) -> dict[str, str]:
        return {"NATS_TEST_SERVER_VERSION": f"nats-server: {RELEASE}"}

    def verdict(self, code: int, output: str) -> Verdict:
        return Verdict.PASSED if code == 0 and "ALL PASSED" in output else Verdict.FAILED


class NatsPy:
    """The Python client: a checkout, and an interpreter that has pytest, pytest-asyncio, aiohttp and nkeys."""

    name = "nats_py"

    def __init__(self, checkout: Path, python: str) -> None:
        self._checkout = checkout
        self._python = python
        if not (checkout / PYTHON_TESTS / "test_client.py").exists():
            raise SystemExit(f"wanted a checkout of the Python client in {checkout}")

    def all_names(self) -> list[str]:
        listed = subprocess.run(
            [*self._pytest(), "--collect-only", "-q", PYTHON_TESTS],
            cwd=self._checkout,
            env={**os.environ, **self.environment()},
            capture_output=True,
            text=True,
            check=True,
        )
        return [line.removeprefix(f"{PYTHON_TESTS}/") for line in listed.stdout.splitlines() if "::" in line]

    def command(self, test: str) -> list[str]:
        return [*self._pytest(), "-q", f"{PYTHON_TESTS}/{test}"]

    def work_folder(self, own: Path) -> Path:
        # The checkout: configuration files of its tests name certificates from there, and nothing is written.
        return self._checkout

    def environment(self) -> dict[str, str]:
        source = str(self._checkout / "nats" / "src")
        return {"PYTHONPATH": source, "NATS_SERVER_VERSION": RELEASE, "PYTHONDONTWRITEBYTECODE": "1"}

    def verdict(self, code: int, output: str) -> Verdict:
        if code != 0:
            return Verdict.FAILED
        return Verdict.PASSED if re.search(r"\b1 passed\b", output) else Verdict.SKIPPED

    def _pytest(self) -> list[str]:
        # One of its tests relies on another one having imported unittest.mock.
        start = "import sys, unittest.mock, pytest; sys.exit(pytest.main(sys.argv[1:]))"
        return [self._python, "-c", start, "-p", "no:cacheprovider", "-o", "asyncio_mode=auto"]
