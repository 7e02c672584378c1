"""Permissions compiled for the engine, once per distinct set of rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from services.shared.identity.permissions import Permissions

P = TypeVar("P")


class PermitBook(Generic[P]):
    """Remembers the compiled form of each set of permissions that is in use. None stays None: no restriction."""

    __slots__ = ("_compile", "_known")

    def __init__(self, compile_permit: Callable[[Permissions], P]) -> None:
        self._compile = compile_permit
        self._known: dict[Permissions, P] = {}

    def permit(self, permissions: Permissions | None) -> P | None:
        """The compiled form; raises ValueError for a subject that is none."""
        if permissions is None:
            return None
        known: P | None = self._known.get(permissions)
        if known is None:
            known = self._known[permissions] = self._compile(permissions)
        return known

    def forget(self) -> None:
        """Drops everything: the rules of another configuration come."""
        self._known.clear()
