"""Which command lines are worth forking a role ahead for."""

import os
import subprocess
import sys

import pytest

from services.cli.ahead import expects_node

ROOT = os.getcwd()


@pytest.mark.parametrize("words", [[], ["-p", "-1"], ["-c", "n.conf", "-DV"], ["--name=t"]])
def test_a_node_is_expected(words: list[str]) -> None:
    assert expects_node(words)


@pytest.mark.parametrize(
    "words", [["-v"], ["--version"], ["help"], ["-t", "-c", "x"], ["-sl=quit=1"], ["--signal", "ldm"]]
)
def test_an_answer_is_expected(words: list[str]) -> None:
    assert not expects_node(words)


def test_what_is_loaded_before_the_fork_is_needed_on_both_sides() -> None:
    """And nothing of one side alone: no role's module, no engine, no event loop, no library for keys."""
    program = (
        "import sys\n"
        "from importlib import import_module\n"
        "from services.cli.ahead import LOADED_ONCE\n"
        "for module in LOADED_ONCE: import_module(module)\n"
        "print([name for name in sys.modules if name.startswith(('trio', 'asyncio', 'nacl', 'inspect', 'dataclasses',\n"
        "    'services.router', 'services.monitor', 'services.supervisor', 'services.shared.engine'))])"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_the_command_is_ready_for_an_interrupt_before_it_loads_anything_large() -> None:
    program = "import sys, services.cli.main; print({'typing', 're', 'enum'} & set(sys.modules))"
    command = [sys.executable, "-IS", "-c", f"import sys; sys.path[:0] = [{ROOT!r}]; {program}"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == "set()\n"
