"""The name and arguments that a process shows."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from services.shared.runtime.process_name import read_arguments, set_arguments, set_process_name
set_process_name("nats-server-with-a-long-name")
set_arguments(["short", "secret free"])
print(open("/proc/self/comm").read().strip())
print(read_arguments())
"""
ROOT = Path(__file__).resolve().parents[4]


def test_name_and_arguments_are_what_others_see() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--pass", "secret"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert ended.stdout.splitlines() == ["nats-server-wit", "['short', 'secret free']"]
