"""Numbers for accounts: the engine's names for them.

A number belongs to a name for the life of the process, so a connection's number stays true over reloads.
"""

from __future__ import annotations


class AccountNumbers:
    """Hands out a number for each account name, counting from 0."""

    __slots__ = ("_names", "_numbers")

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []

    def number(self, name: str) -> int:
        """The number of an account; a new one at first sight."""
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self._names)
            self._names.append(name)
        return number

    def name(self, number: int) -> str:
        """The name behind a number that was handed out."""
        return self._names[number]

    def names(self) -> tuple[str, ...]:
        """All names, by number."""
        return tuple(self._names)
