"""How fast lame duck mode evicts (reference: operations 4.4, step 7)."""

from __future__ import annotations

from typing import Final

PAUSE_MAX_NS: Final = 1_000_000_000
WINDOW_MIN_NS: Final = 1_000_000_000


def eviction_pause_ns(*, clients: int, window_ns: int) -> int:
    """Longest pause between two evictions: the window shared among the clients, at most a second."""
    window_ns = window_ns if window_ns > 0 else WINDOW_MIN_NS
    return min(window_ns // max(clients, 1), PAUSE_MAX_NS)
