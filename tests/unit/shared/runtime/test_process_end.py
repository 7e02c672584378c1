"""How a process ends that has nothing left to do."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import atexit
from services.shared.runtime.process_end import end_process
atexit.register(print, "registered")
print("printed")
end_process({code})
"""


def run(code: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM.format(code=code)], capture_output=True, text=True, timeout=20)


def test_what_was_printed_is_written_and_nothing_registered_runs() -> None:
    ended = run(3)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "printed\n", "")


def test_only_the_low_byte_of_a_code_is_the_code() -> None:
    assert run(258).returncode == 2
