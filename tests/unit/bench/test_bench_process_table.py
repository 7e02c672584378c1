"""Process trees and CPU times out of /proc."""

import os
import subprocess
import sys

import pytest

from bench.process_table import ProcessStat, cpu_seconds, descendants, parse_stat, tree_of


def stat(pid: int, parent: int) -> ProcessStat:
    return ProcessStat(pid=pid, parent=parent, cpu_ticks=0)


def test_a_name_with_blanks_and_brackets_does_not_shift_the_fields() -> None:
    line = "77 (we) ird (x) S 12 77 77 0 -1 4194560 100 0 0 0 21 34 5 6 20 0 1 0 100 1 2 3\n"
    assert parse_stat(line) == ProcessStat(pid=77, parent=12, cpu_ticks=55)


@pytest.mark.parametrize("line", ["", "77 (short) S 1", "no brackets at all"])
def test_anything_else_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="stat"):
        parse_stat(line)


def test_descendants_are_found_at_any_depth_and_strangers_are_not() -> None:
    table = [stat(1, 0), stat(10, 1), stat(11, 10), stat(12, 11), stat(13, 10), stat(20, 1)]
    assert descendants(10, table) == (10, 11, 12, 13)


def test_a_root_that_is_gone_has_no_tree() -> None:
    assert descendants(99, [stat(1, 0), stat(100, 99)]) == ()


def test_a_loop_in_the_table_ends() -> None:
    assert descendants(1, [stat(1, 2), stat(2, 1)]) == (1, 2)


def test_the_tree_of_a_real_process_holds_its_child() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert {os.getpid(), child.pid} <= set(tree_of(os.getpid()))
        child.communicate(b"\n")


def test_cpu_time_of_running_processes_is_counted_and_of_others_is_not() -> None:
    spent = cpu_seconds([os.getpid()])
    assert 0 < spent <= sum(os.times()[:2]) + 0.05
    assert cpu_seconds([2**22 + 1]) == 0
