"""How many admitted connections each account has. Counts only; who they are is the engine's to know."""

from __future__ import annotations

from collections import Counter


class Census:
    """Counts admitted connections by account."""

    __slots__ = ("_by_account",)

    def __init__(self) -> None:
        self._by_account: Counter[str] = Counter()

    def of_account(self, name: str) -> int:
        """Admitted connections of an account."""
        return self._by_account[name]

    def join(self, account: str) -> None:
        """A connection was admitted to an account."""
        self._by_account[account] += 1

    def part(self, account: str) -> None:
        """A connection left an account."""
        self._by_account[account] -= 1
        if not self._by_account[account]:
            del self._by_account[account]
