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
SERVERS_LOG = "servers.log"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
NATS_C_TROUBLE = re.compile(r"^#.*FAILED$|^@@.*@@$|^Error: .*", re.MULTILINE)
PYTEST_SUMMARY = re.compile(r"^(?:FAILED|ERROR) \S+ - (.*)", re.MULTILINE)
PYTEST_ERROR = re.compile(r"^E +(.*)", re.MULTILINE)


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

    def log_flags(self, own: Path) -> list[str]:
        """Flags that make every server log to `servers.log` in the test's own folder, where the suite does not itself."""

    def environment(self) -> dict[str, str]:
        """What its environment needs."""

    def verdict(self, code: int, output: str) -> Verdict:
        """What its exit code and output mean."""

    def reason(self, output: str) -> str:
        """Why it failed, in one line, as its output tells; empty if that says nothing."""


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
        work = Path(shutil.copytree(self._folder, own / "work", ignore=shutil.ignore_patterns("*.c")))
        # Its servers log to this file, which it removes at the end; one test reads it.
        log = own / SERVERS_LOG
        log.touch()
        os.link(log, work / "server.log")
        return work

    def log_flags(self, own: Path) -> list[str]:
        return []

    def environment(self) -> dict[str, str]:
        return {"NATS_TEST_SERVER_VERSION": f"nats-server: {RELEASE}"}

    def verdict(self, code: int, output: str) -> Verdict:
        return Verdict.PASSED if code == 0 and "ALL PASSED" in output else Verdict.FAILED

    def reason(self, output: str) -> str:
        # The step that failed, the client's error, a crash: a failed step leaves callbacks behind that may crash later.
        return "; ".join(match.strip() for match in NATS_C_TROUBLE.findall(COLOUR.sub("", output)))


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

    def log_flags(self, own: Path) -> list[str]:
        return ["-l", str(own / SERVERS_LOG)]

    def environment(self) -> dict[str, str]:
        source = str(self._checkout / "nats" / "src")
        return {"PYTHONPATH": source, "NATS_SERVER_VERSION": RELEASE, "PYTHONDONTWRITEBYTECODE": "1"}

    def verdict(self, code: int, output: str) -> Verdict:
        if code != 0:
            return Verdict.FAILED
        return Verdict.PASSED if re.search(r"\b1 passed\b", output) else Verdict.SKIPPED

    def reason(self, output: str) -> str:
        told = PYTEST_SUMMARY.search(output) or PYTEST_ERROR.search(output)
        return told[1].strip() if told else ""

    def _pytest(self) -> list[str]:
        # One of its tests relies on another one having imported unittest.mock.
        start = "import sys, unittest.mock, pytest; sys.exit(pytest.main(sys.argv[1:]))"
        return [self._python, "-c", start, "-p", "no:cacheprovider", "-o", "asyncio_mode=auto"]
