"""Which processes belong to a server, and what CPU time they have used, read from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStat:
    """What /proc/PID/stat says, as far as it is needed here; CPU time in clock ticks."""

    pid: int
    parent: int
    cpu_ticks: int


def parse_stat(text: str) -> ProcessStat:
    """Reads one line of /proc/PID/stat; the name in it may hold blanks and brackets. Raises ValueError."""
    head, separator, tail = text.rpartition(")")
    fields = tail.split()
    if not separator or len(fields) < 13:
        raise ValueError(f"not a line of /proc/PID/stat: {text!r}")
    return ProcessStat(
        pid=int(head.split("(", 1)[0]),
        parent=int(fields[1]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
    )


def descendants(root: int, stats: Iterable[ProcessStat]) -> tuple[int, ...]:
    """`root` and every process below it, sorted; empty when `root` is not there."""
    children: dict[int, list[int]] = {}
    present = set()
    for stat in stats:
        present.add(stat.pid)
        children.setdefault(stat.parent, []).append(stat.pid)
    if root not in present:
        return ()
    found = {root}
    waiting = [root]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return tuple(sorted(found))


def read_all() -> Mapping[int, ProcessStat]:
    """Every process of the machine that can be read now."""
    table = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = parse_stat((entry / "stat").read_text())
        except (OSError, ValueError):
            continue  # it ended while we looked
        table[stat.pid] = stat
    return table


def tree_of(root: int) -> tuple[int, ...]:
    """The running processes of the tree below `root`, `root` included."""
    return descendants(root, read_all().values())


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that those of the processes that still run have used since they began."""
    table = read_all()
    ticks = sum(table[pid].cpu_ticks for pid in pids if pid in table)
    return ticks / os.sysconf("SC_CLK_TCK")
