"""`natsfleet status`: which roles of a node serve, from their readiness records. For people and for health checks.

The exit code is 0 when every role that the node wants is up, else 1; 1 also when there is no node.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from services.shared.records.record import record
from services.supervisor.plan import UP_DATA_DIR
from services.supervisor.readiness import SUPERVISOR, ReadinessRecord, is_alive, is_held, is_run_dir, read_records


@record
class Status:
    """What to print, and whether all is well."""

    lines: tuple[str, ...]
    is_up: bool


def describe_node(records: Mapping[str, ReadinessRecord], *, alive: frozenset[int], where: str) -> Status:
    """The status of one node from its records; `alive` are the pids among them that exist. Pure."""
    node = records.get(SUPERVISOR)
    if node is None or node.pid not in alive:
        return Status(lines=(f"no node runs in {where}",), is_up=False)
    lines = [f"node        pid {node.pid}, {_ports(node)}, since {node.since}"]
    is_up = True
    for role in node.roles:
        record = records.get(role)
        if record is None or record.pid not in alive:
            lines.append(f"{role:11} not ready")
            is_up = False
        else:
            lines.append(f"{role:11} ready, pid {record.pid}, {_ports(record)}, since {record.since}")
    return Status(lines=tuple(lines), is_up=is_up)


def print_status(data_dirs: list[str], *, temporary: str) -> int:
    """Prints the nodes of these data directories; without any, those of ./data and the temporary directory."""
    paths = [os.path.join(folder, "run") for folder in data_dirs]
    if not paths:
        default = os.path.join(UP_DATA_DIR, "run")
        paths = [default] if read_records(default) else []
        paths += _temporary_run_dirs(temporary)
    if not paths:
        print(f"no node runs in ./{UP_DATA_DIR}, nor one without a data directory")
        return 1
    is_up = True
    for path in paths:
        records = read_records(path)
        alive = frozenset(record.pid for record in records.values() if is_alive(record.pid))
        status = describe_node(records, alive=alive, where=path)
        is_up = is_up and status.is_up
        print(*status.lines, sep="\n")
    return 0 if is_up else 1


def _temporary_run_dirs(temporary: str) -> list[str]:
    try:
        names = sorted(os.listdir(temporary))
    except OSError:
        return []
    paths = [os.path.join(temporary, name) for name in names if is_run_dir(name)]
    return [path for path in paths if is_held(path)]


def _ports(record: ReadinessRecord) -> str:
    return "ports " + ", ".join(f"{name} {port}" for name, port in record.ports.items()) if record.ports else "no ports"
