"""What a service of another account may know about who asks, where an import shares it (reference: security 5.5). Pure.

The engine puts the account and the round trip time between the three parts.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from services.router.admission.directory import Listener
from services.router.newcomers import Newcomer
from services.shared.wire.json_text import compact
from services.shared.wire.times import rfc3339

ClientInfo: TypeAlias = tuple[bytes, bytes, bytes]


def client_info(newcomer: Newcomer, *, user: str, server_name: str) -> ClientInfo:
    """Members before the account, after it, and after the round trip time."""
    hello = newcomer.hello
    first = {"start": rfc3339(newcomer.started_ns), "host": newcomer.ip, "id": newcomer.cid}
    named = {"user": user, "name": hello.name, "lang": hello.lang, "ver": hello.version}
    client_type = "websocket" if newcomer.listener is Listener.WEBSOCKET else "nats"
    last = {"server": server_name, "kind": "Client", "client_type": client_type}
    return _members(first) + b",", _after(named), _after(last)


def _members(members: dict[str, Any]) -> bytes:
    return compact(members)[1:-1]


def _after(members: dict[str, Any]) -> bytes:
    """The members that say something, each with a comma before it."""
    given = {name: value for name, value in members.items() if value}
    return b"," + _members(given) if given else b""
