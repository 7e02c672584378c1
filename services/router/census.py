"""How many connections there are: in all, by account. Counts only; who they are is the engine's to know."""

from __future__ import annotations

from collections import Counter

FIRST_CLIENT_ID = 5
"""The first connection from outside normally gets this number (reference: operations 5.1)."""


class Census:
    """Counts connections and hands out client ids, which are never used twice."""

    __slots__ = ("_by_account", "_next", "_open", "_total")

    def __init__(self) -> None:
        self._next = FIRST_CLIENT_ID
        self._open = 0
        self._total = 0
        self._by_account: Counter[str] = Counter()

    @property
    def open(self) -> int:
        """Connections now."""
        return self._open

    @property
    def total(self) -> int:
        """Connections ever."""
        return self._total

    def of_account(self, name: str) -> int:
        """Admitted connections of an account."""
        return self._by_account[name]

    def arrive(self) -> int:
        """A connection came in; returns its client id."""
        cid = self._next
        self._next += 1
        self._open += 1
        self._total += 1
        return cid

    def leave(self) -> None:
        """A connection is gone."""
        self._open -= 1

    def join(self, account: str) -> None:
        """A connection was admitted to an account."""
        self._by_account[account] += 1

    def part(self, account: str) -> None:
        """A connection left an account."""
        self._by_account[account] -= 1
        if not self._by_account[account]:
            del self._by_account[account]
