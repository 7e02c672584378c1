"""Forking the router before options are known: it imports its modules while this process reads them.

What both need is loaded before the fork, so it is loaded once. On an idle machine with two cores forking ahead takes a
fifth off the time to the first client. Whether it is worth it is decided from the bare words of the command line; a
wrong guess costs a process that ends as soon as this one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from services.shared.runtime.spawn import ForkedRole

ANSWERED_AT_ONCE: Final = frozenset(("v", "version", "h", "help", "help_tls", "t", "sl", "signal"))
"""Flags, and two bare words, with which no node is started."""

LOADED_ONCE: Final = ("json", "services.shared.identity.nkeys", "services.shared.runtime.plan_transfer")
"""What supervisor and router both import, with all that these import; another process more that loads it costs 10 ms."""


def expects_node(arguments: Sequence[str]) -> bool:
    """Whether these flags look as if a node is to be started. Pure."""
    names = {word.lstrip("-").partition("=")[0] for word in arguments}
    return not names & ANSWERED_AT_ONCE


def fork_ahead(*roles: str) -> dict[str, ForkedRole]:
    """Forks these roles of the role table; they wait for their plans."""
    from importlib import import_module

    for module in LOADED_ONCE:
        import_module(module)
    from services.supervisor.role_fork import fork
    from services.supervisor.roles import ROLES

    return {role.name: fork(role) for role in ROLES if role.name in roles}
