"""How a node ends: in which order its roles are asked, how long each may take, when it is killed. Pure.

Promise: every role is asked to stop, stage by stage (those of a lower stage are gone before the next are asked), and
none outlives its grace. Hurrying skips straight to the kill. Time is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.shared.records.record import record
from services.supervisor.roles import RoleSpec


@record
class Ask:
    """Ask this role to stop; it has until the deadline."""

    role: str
    grace_ns: int


@record
class Kill:
    """This role had its time."""

    role: str


class Shutdown:
    """The state of a shutdown under way: call `step` whenever a role is gone or a deadline has passed."""

    __slots__ = ("_deadlines", "_hurry", "_killed", "_specs")

    def __init__(self, specs: Mapping[str, RoleSpec]) -> None:
        self._specs = specs
        self._deadlines: dict[str, int] = {}
        self._killed: set[str] = set()
        self._hurry = False

    def hurry(self) -> None:
        """Grant no more time to anyone."""
        self._hurry = True

    def step(self, running: frozenset[str], *, now_ns: int) -> list[Ask | Kill]:
        """What to do now, given the roles that still run. Every role is asked and killed at most once."""
        if not running:
            return []
        actions: list[Ask | Kill] = []
        stage = min(self._specs[role].stop_stage for role in running)
        for role in sorted(running):
            spec = self._specs[role]
            if role not in self._deadlines and not self._hurry and spec.stop_stage == stage:
                self._deadlines[role] = now_ns + spec.stop_grace_ns
                actions.append(Ask(role=role, grace_ns=spec.stop_grace_ns))
            overdue = self._deadlines.get(role)
            if role not in self._killed and (self._hurry or (overdue is not None and now_ns >= overdue)):
                self._killed.add(role)
                actions.append(Kill(role=role))
        return actions

    def next_deadline_ns(self, running: frozenset[str]) -> int | None:
        """When `step` has something to do even if nobody ends before."""
        return min(
            (at for role, at in self._deadlines.items() if role in running and role not in self._killed), default=None
        )
