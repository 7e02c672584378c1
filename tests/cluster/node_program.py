"""Runs a supervisor with test roles: `python -m tests.cluster.node_program FILE`, the node described as JSON in FILE.

The file is read again on a reload. Keys: `roles` (rows of the role table), the rest are options; nested objects are
the nested options of that name.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from services.shared.config.options import FleetOptions, LogOptions, Options, WebsocketOptions
from services.shared.records.record import replace
from services.shared.runtime.parent_death import set_parent_death_signal
from services.supervisor.app import Launch, run_node
from services.supervisor.reload import Reloaded, ReloadError
from services.supervisor.roles import RoleSpec

_NESTED = {"log": LogOptions, "fleet": FleetOptions, "websocket": WebsocketOptions}


def read_options(path: str) -> Options:
    fields = _read(path)
    del fields["roles"]
    return replace(Options(), **{name: _NESTED[name](**v) if name in _NESTED else v for name, v in fields.items()})


def read_roles(path: str) -> tuple[RoleSpec, ...]:
    return tuple(RoleSpec(**{**row, "listeners": tuple(row.get("listeners", ()))}) for row in _read(path)["roles"])


def read_again(path: str, before: Options) -> Reloaded:
    try:
        after = read_options(path)
    except ValueError as error:
        raise ReloadError(str(error)) from error
    if after.max_payload_bytes == before.max_payload_bytes:
        return Reloaded(options=after, lines=("Reloaded server configuration",))
    changed = f"Reloaded: max_payload = {after.max_payload_bytes}"
    return Reloaded(options=after, lines=(changed, "Reloaded server configuration"))


def _read(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        fields: dict[str, Any] = json.load(file)
    return fields


if __name__ == "__main__":
    # A test run that is killed leaves no node behind.
    set_parent_death_signal(signal.SIGKILL, parent=os.getppid())
    described = sys.argv[1]
    launch = Launch(
        options=read_options(described),
        read_again=lambda before: read_again(described, before),
        program="natsfleet-test",
        argv=tuple(sys.argv),
        roles=read_roles(described),
    )
    raise SystemExit(run_node(launch))
