"""natsfleet's own block, `fleet { ... }`. nats-server does not know it, so nothing here has to look like it."""

from __future__ import annotations

from typing import Final

from services.shared.config.assembly import assemble
from services.shared.config.options import FleetOptions
from services.shared.config.reading import (
    Entry,
    go_type,
    integer,
    read_block,
    string,
    table,
)

ENGINE_THREADS_MAX: Final = 64
ROUTERS_MAX: Final = 64


def fleet(entry: Entry) -> FleetOptions:
    """Options that only natsfleet has."""
    if not isinstance(entry.value.data, dict):
        raise entry.problem(f"Expected fleet to be a map, got {go_type(entry.value.data)}")
    return assemble(FleetOptions(), read_block(entry.value.data, _RULES, entry.reading))


def _pending_bytes_max(entry: Entry) -> int:
    size = integer(entry)
    if size < 0:
        raise entry.problem(f"pending_bytes_max wants a size such as 2GB, or 0 to choose itself, got {size}")
    return size


def _engine_threads(entry: Entry) -> int:
    count = integer(entry)
    if not 0 <= count <= ENGINE_THREADS_MAX:
        raise entry.problem(f"engine_threads wants 1 to {ENGINE_THREADS_MAX}, or 0 to choose itself, got {count}")
    return count


def _routers(entry: Entry) -> int:
    count = integer(entry)
    if not 1 <= count <= ROUTERS_MAX:
        raise entry.problem(f"routers wants 1 to {ROUTERS_MAX}, got {count}")
    return count


_RULES: Final = table(
    ("routers", "routers", _routers),
    ("pending_bytes_max", "pending_bytes_max", _pending_bytes_max),
    ("engine_threads", "engine_threads", _engine_threads),
    ("data_dir", "data_dir", string),
)
