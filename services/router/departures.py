"""Lame duck mode: what clients are told, how fast they are evicted (reference: operations 4.4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from services.router.admission.desk import Rules
from services.router.admission.directory import Listener

PAUSE_MAX_NS: Final = 1_000_000_000
WINDOW_MIN_NS: Final = 1_000_000_000


def eviction_pause_ns(*, clients: int, window_ns: int) -> int:
    """Longest pause between two evictions: the window shared among the clients, at most a second."""
    window_ns = window_ns if window_ns > 0 else WINDOW_MIN_NS
    return min(window_ns // max(clients, 1), PAUSE_MAX_NS)


def lame_duck_info(note: Mapping[str, Any], *, cid: int, rules: Rules) -> bytes | None:
    """The INFO with `ldm` for the connection with this note, without own addresses; None for one that reads no INFO."""
    return update_info(note, cid=cid, rules=rules, lame_duck=True)


def update_info(note: Mapping[str, Any], *, cid: int, rules: Rules, lame_duck: bool = False) -> bytes | None:
    """The INFO that tells the connection with this note of a change; None for one that reads no INFO."""
    if note.get("proto", 0) < 1:
        return None
    account = rules.directory.accounts.get(note["account"])
    limit = rules.directory.max_payload_bytes
    if account is not None and 0 <= account.max_payload_bytes < limit:
        limit = account.max_payload_bytes
    return rules.templates[Listener(note["listener"])].update(
        client_id=cid, client_ip=note["ip"], max_payload_bytes=limit, lame_duck=lame_duck
    )
