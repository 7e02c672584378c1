"""The ports file, by which scripts find the ports of a server they started with `-1` (operations 3.4). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WILDCARDS = frozenset({"", "0.0.0.0", "::"})


def ports_file_name(*, program: str, pid: int) -> str:
    """`<program>_<pid>.ports`."""
    return f"{program}_{pid}.ports"


def urls(*, scheme: str, bound_host: str, port: int, local_hosts: Sequence[str]) -> list[str]:
    """The URLs under which a listener is reachable; a wildcard stands for every address of the machine."""
    hosts = local_hosts if bound_host in WILDCARDS else [bound_host]
    return [f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}" for host in hosts]


def ports_file_text(entries: Mapping[str, Sequence[str]]) -> str:
    """The JSON object, compact, in the order given."""
    import json  # only nodes with the option `ports_file_dir` pay for it

    return json.dumps({name: list(found) for name, found in entries.items()}, separators=(",", ":"))
