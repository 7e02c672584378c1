"""INFO and CONNECT between servers of a cluster, as bytes and back (reference: wire protocol 2.2, 2.3). Pure.

What we do not announce we do not have: lines on behalf of leaf nodes. A peer does without (reference: 2.16).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from services.shared.records.record import record

SERVER_PROTOCOL: Final = 1
"""Accounts in lines and INFO at any time are understood, tracing of messages across servers is not."""

LINE_BYTES_MAX: Final = 64 << 10
"""INFO and CONNECT between servers (reference: 0.2)."""

GOSSIP_DEFAULT: Final = 0
GOSSIP_DISABLED: Final = 1
GOSSIP_OVERRIDE: Final = 2


class MalformedLineError(ValueError):
    """What a peer sent is not what it should be; the text says how."""


@record
class RouteInfo:
    """What a server says of itself. `members` is the whole object, which gossip passes on."""

    server_id: str
    server_name: str = ""
    version: str = ""
    host: str = ""
    port: int = 0
    ip: str = ""
    cluster: str = ""
    cluster_dynamic: bool = False
    auth_required: bool = False
    headers: bool = False
    lame_duck: bool = False
    connect_urls: tuple[str, ...] = ()
    ws_connect_urls: tuple[str, ...] = ()
    compression: str = ""
    pool_size: int = 0
    pool_index: int = 0
    account: str = ""
    account_request: str = ""
    gossip_mode: int = GOSSIP_DEFAULT
    members: Mapping[str, Any]


@record
class RouteConnect:
    """CONNECT of a server."""

    name: str
    cluster: str
    cluster_dynamic: bool
    headers: bool
    user: str
    password: str
    lang: str
    gateway: str


def parse_info(text: bytes) -> RouteInfo:
    """Reads the argument of INFO; raises MalformedLineError."""
    members = _object(text)
    read = _Members(members)
    return RouteInfo(
        server_id=read.text("server_id"),
        server_name=read.text("server_name"),
        version=read.text("version"),
        host=read.text("host"),
        port=read.number("port"),
        ip=read.text("ip"),
        cluster=read.text("cluster"),
        cluster_dynamic=read.flag("cluster_dynamic"),
        auth_required=read.flag("auth_required"),
        headers=read.flag("headers"),
        lame_duck=read.flag("ldm"),
        connect_urls=read.texts("connect_urls"),
        ws_connect_urls=read.texts("ws_connect_urls"),
        compression=read.text("compression"),
        pool_size=read.number("route_pool_size"),
        pool_index=read.number("route_pool_idx"),
        account=read.text("route_account"),
        account_request=read.text("route_acc_add_reqid"),
        gossip_mode=read.number("gossip_mode"),
        members=members,
    )


def parse_connect(text: bytes) -> RouteConnect:
    """Reads the argument of CONNECT; raises MalformedLineError."""
    read = _Members(_object(text))
    return RouteConnect(
        name=read.text("name"),
        cluster=read.text("cluster"),
        cluster_dynamic=read.flag("cluster_dynamic"),
        headers=read.flag("headers"),
        user=read.text("user"),
        password=read.text("pass"),
        lang=read.text("lang"),
        gateway=read.text("gateway"),
    )


def render(verb: str, members: Mapping[str, Any]) -> bytes:
    """A line with an object; members without a value are left out."""
    kept = {name: value for name, value in members.items() if value not in ("", None, False, ()) or name in _ALWAYS}
    return f"{verb} {json.dumps(kept, ensure_ascii=False, separators=(',', ':'))} \r\n".encode("utf-8", "replace")


_ALWAYS: Final = frozenset(("headers", "echo", "verbose", "pedantic", "tls_required"))


class _Members:
    """Reads members of an object, each of which may be missing."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members

    def _member(self, name: str, default: object) -> object:
        value = self._members.get(name)
        return default if value is None else value

    def text(self, name: str) -> str:
        value = self._member(name, "")
        if not isinstance(value, str):
            raise MalformedLineError(f"wanted text for {name!r}")
        return value

    def number(self, name: str) -> int:
        value = self._member(name, 0)
        if not isinstance(value, int) or isinstance(value, bool):
            raise MalformedLineError(f"wanted a number for {name!r}")
        return value

    def flag(self, name: str) -> bool:
        value = self._member(name, False)
        if not isinstance(value, bool):
            raise MalformedLineError(f"wanted true or false for {name!r}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        values = self._member(name, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise MalformedLineError(f"wanted a list of texts for {name!r}")
        return tuple(values)


def _object(text: bytes) -> dict[str, Any]:
    try:
        members = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MalformedLineError(f"no JSON: {error}") from None
    if not isinstance(members, dict):
        raise MalformedLineError("wanted a JSON object")
    return members
