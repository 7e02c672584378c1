"""Runs the real command line tools as a user does: `nats` and `nk` from `.tools/bin` or PATH, with a clean home."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from tests.kit.rawclient import RawClient, open_connection
from tests.kit.servers import REPOSITORY, Server

TOOL_S = 60.0


def find_tool(name: str) -> str:
    """The tool's path; a missing one is an error, never a skip."""
    ours = REPOSITORY / ".tools" / "bin" / name
    found = str(ours) if ours.exists() else shutil.which(name)
    if found is None:
        raise AssertionError(f"wanted the tool {name!r} in .tools/bin or on PATH; tests/interop/install gets it")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a tool printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both outputs."""
        return self.out + self.err


class Tool:
    """One tool bound to a home folder of its own, so that no configuration of the user leaks in."""

    def __init__(self, name: str, *, home: Path, before: Sequence[str] = ()) -> None:
        self._command = [find_tool(name), *before]
        self.home = home
        self._environment = {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "dumb", "NO_COLOR": "1"}

    async def run(self, *args: str, stdin: bytes = b"", fails: bool = False, within_s: float = TOOL_S) -> Finished:
        """Runs to the end; fails the test unless the exit code is 0 (or is not, if `fails`)."""
        try:
            with trio.fail_after(within_s):
                process = await trio.run_process(
                    [*self._command, *args],
                    stdin=stdin,
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                    env=self._environment,
                    cwd=self.home,
                )
        except trio.TooSlowError:
            raise AssertionError(f"{self._command[0]} {args} did not end in {within_s} s") from None
        finished = Finished(
            code=process.returncode,
            out=process.stdout.decode(errors="replace"),
            err=process.stderr.decode(errors="replace"),
        )
        assert (finished.code != 0) == fails, f"{args} ended with {finished.code}:\n{finished.text}"
        return finished

    @asynccontextmanager
    async def running(self, *args: str) -> AsyncIterator[RunningTool]:
        """The tool in the background; it is ended with the block."""
        log = self.home / f"{len(list(self.home.glob('*.log')))}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*self._command, *args],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=self._environment,
                cwd=self.home,
            )
        try:
            yield RunningTool(process, log)
        finally:
            process.kill()
            process.wait()


class RunningTool:
    """A tool in the background: its output so far."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def text(self) -> str:
        """Everything it printed so far."""
        return self._log.read_text(errors="replace")


async def wait_for_interest(server: Server, subject: str, **connect: str) -> None:
    """Waits until somebody subscribes to `subject`, by asking until the answer is no longer 503.

    The subscriber sees at least one empty message on `subject` that nobody else sends.
    """
    client = RawClient(await open_connection(server))
    try:
        await client.read_greeting()
        await client.connect(headers=True, no_responders=True, **connect)
        await client.subscribe("_INBOX.interest")
        with trio.fail_after(TOOL_S):
            while True:
                await client.send(f"PUB {subject} _INBOX.interest 0\r\n\r\nPING\r\n".encode())
                if b" 503\r\n" not in (item := await client.next_item()):
                    assert item == b"PONG\r\n" or item.startswith(b"MSG _INBOX.interest"), item
                    return
                await client.expect(b"PONG\r\n")
                await trio.sleep(0.02)
    finally:
        await client.aclose()
