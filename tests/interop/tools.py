"""The real tools that `tests/interop/install` gets: found, or the test fails with a sentence."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[2] / ".tools" / "bin"
RUN_S = 30.0


def find_tool(name: str) -> str:
    """The path of a tool in .tools/bin or on PATH."""
    found = shutil.which(name, path=str(TOOLS)) or shutil.which(name)
    assert found is not None, f"wanted {name} in .tools/bin or on PATH; tests/interop/install gets it"
    return found


def run_tool(name: str, arguments: Sequence[str]) -> str:
    """What the tool prints on both streams; fails when its exit code is not 0."""
    done = subprocess.run(
        [find_tool(name), *arguments],
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{name} {' '.join(arguments)} ended with {done.returncode}:\n{output}"
    return output
