"""Who is in the cluster and how we are connected (reference: wire protocol 2.5, 2.6, 2.12).

Promise: one connection to each other server, for all accounts. `judge` says whether a server may join over a connection,
`join`, `hear` and `leave` follow what happens; they return what is to be done about it. Pure: waiting is in `mesh_loop`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from services.shared.identity.permissions import Permissions, SubjectPermission
from services.shared.member.cluster_face import Face
from services.shared.member.routes.route_info import (
    GOSSIP_DEFAULT,
    GOSSIP_DISABLED,
    GOSSIP_OVERRIDE,
    SERVER_PROTOCOL,
    RouteInfo,
    render,
)
from services.shared.records.record import record, replace
from services.shared.wire.close_reasons import CloseReason
from services.shared.wire.quote import quote

RESERVED_NAME: Final = "_"


@record
class Member:
    """What we say of ourselves to other servers. `host` and `port` are where we can be dialled."""

    server_id: str
    server_name: str
    version: str
    go: str
    host: str
    port: int
    ip: str
    headers: bool
    max_payload_bytes: int
    cluster: str
    cluster_dynamic: bool
    auth_required: bool
    connect_urls: tuple[str, ...]
    ws_connect_urls: tuple[str, ...]
    advertises: bool
    compression: str = "off"
    tls: bool = False
    permissions: Permissions = Permissions()


@record
class Rejection:
    """Why a server may not join over a connection. `text` is sent as `-ERR`; empty closes without a word."""

    reason: CloseReason
    text: str = ""
    self_route: bool = False
    duplicate_of: str = ""


@record
class Peer:
    """A server that we are connected to. `solicited`: we dialled; `explicit`: its URL is configured."""

    cid: int
    info: RouteInfo
    ip: str
    port: int
    solicited: bool
    explicit: bool


@record
class Tell:
    """Send a line over the connection of a peer."""

    cid: int
    line: bytes


@record
class Drop:
    """Close the connection of a peer."""

    cid: int
    reason: CloseReason


@record
class Dial:
    """Another server told of one that we do not know."""

    server_id: str
    url: str
    auth_required: bool
    gossip_mode: int


Action: TypeAlias = Tell | Drop | Dial


class Mesh:
    """The cluster as this server sees it."""

    __slots__ = ("_advertised", "_dialled", "_lame_duck", "_member", "_name_is_final", "_peers")

    def __init__(self, member: Member) -> None:
        self._member = member
        self._name_is_final = not member.cluster_dynamic
        self._peers: dict[str, Peer] = {}
        self._dialled: dict[str, int] = {}
        self._advertised = False
        self._lame_duck = False

    @property
    def name(self) -> str:
        """The name of the cluster, which may be one that was adopted."""
        return self._member.cluster

    @property
    def peers(self) -> tuple[Peer, ...]:
        """The servers that we are connected to."""
        return tuple(self._peers.values())

    def knows(self, server_id: str) -> bool:
        """Whether a server is connected, or we are it."""
        return server_id in self._peers or server_id == self._member.server_id

    def of_connection(self, cid: int) -> Peer | None:
        """The server behind a connection."""
        return next((peer for peer in self._peers.values() if peer.cid == cid), None)

    @property
    def face(self) -> Face:
        """What clients are told."""
        if not self._advertised or not self._member.advertises:
            return Face(name=self._member.cluster, leaving=self._lame_duck)
        present = [peer.info for peer in self._peers.values() if not peer.info.lame_duck]
        return Face(
            name=self._member.cluster,
            urls=tuple(dict.fromkeys(url for info in present for url in info.connect_urls)),
            ws_urls=tuple(dict.fromkeys(url for info in present for url in info.ws_connect_urls)),
            leaving=self._lame_duck,
        )

    # What is said.

    def info(self, *, gossip_mode: int = GOSSIP_DEFAULT, compression: str | None = None) -> bytes:
        """Our INFO; with `compression` what was chosen, else what is configured."""
        members = self._info_members() | {"gossip_mode": gossip_mode or None}
        return render("INFO", members if compression is None else members | {"compression": compression})

    @property
    def compression(self) -> str:
        """The mode that is configured."""
        return self._member.compression

    def connect(self, *, user: str, password: str) -> bytes:
        """Our CONNECT."""
        member = self._member
        return render(
            "CONNECT",
            {
                "echo": True,
                "verbose": False,
                "pedantic": False,
                "user": user,
                "pass": password,
                "tls_required": member.tls,
                "headers": member.headers,
                "name": member.server_id,
                "cluster": member.cluster,
                "cluster_dynamic": member.cluster_dynamic,
            },
        )

    def _info_members(self) -> dict[str, Any]:
        member = self._member
        urls = member.advertises and not self._lame_duck
        return {
            "server_id": member.server_id,
            "server_name": member.server_name,
            "version": member.version,
            "proto": SERVER_PROTOCOL,
            "go": member.go,
            "host": member.host,
            "port": member.port,
            "headers": member.headers,
            "auth_required": member.auth_required,
            "compression": member.compression,
            "max_payload": member.max_payload_bytes,
            "ip": member.ip,
            "cluster": member.cluster,
            "cluster_dynamic": member.cluster_dynamic,
            "connect_urls": member.connect_urls if urls else (),
            "ws_connect_urls": member.ws_connect_urls if urls else (),
            "ldm": self._lame_duck,
            "import": shown_subjects(member.permissions.publish),
            "export": shown_subjects(member.permissions.subscribe),
        } | ({"tls_required": True, "tls_verify": True} if member.tls else {})

    # What is judged.

    def agree(self, cluster: str, *, dynamic: bool, solicited: bool) -> Rejection | None:
        """Compares the name of a peer's cluster with ours, and adopts it where it counts more (reference: 2.6)."""
        own = self._member.cluster
        if cluster == RESERVED_NAME:
            text = f'Rejecting connection, cluster name "{RESERVED_NAME}" is reserved'
            return Rejection(reason=CloseReason.CLUSTER_NAME_CONFLICT, text=text)
        if cluster == own:
            return None
        if cluster and not self._name_is_final and (not dynamic or cluster > own):
            self._member = replace(self._member, cluster=cluster)
            self._name_is_final = not dynamic
            return None
        if cluster and dynamic and solicited:
            return None  # it will adopt ours
        text = f"Rejecting connection, cluster name {quote(cluster)} does not match {quote(own)}"
        return Rejection(reason=CloseReason.CLUSTER_NAME_CONFLICT, text=text)

    def judge(self, info: RouteInfo, *, solicited: bool) -> Rejection | None:
        """Whether the server that sent this INFO may join (reference: 2.5)."""
        if not info.server_id:
            return Rejection(reason=CloseReason.PROTOCOL_VIOLATION)
        if info.server_id == self._member.server_id:
            return Rejection(reason=CloseReason.DUPLICATE_ROUTE, self_route=True)
        if not solicited and info.server_name == self._member.server_name:
            return Rejection(reason=CloseReason.DUPLICATE_SERVER_NAME)
        if info.account:
            account = quote(info.account)
            text = f"Not possible to have a dedicated route for account {account} between those servers"
            return Rejection(reason=CloseReason.PROTOCOL_VIOLATION, text=text)
        if info.server_id in self._peers:
            return Rejection(reason=CloseReason.DUPLICATE_ROUTE, duplicate_of=info.server_id)
        # Both dial at once: what the smaller one dialled stays. A server with a pool decides by itself.
        both = not solicited and not info.pool_size and self._dialled.get(info.server_id, 0) > 0
        if both and self._member.server_id < info.server_id:
            return Rejection(reason=CloseReason.DUPLICATE_ROUTE, duplicate_of=info.server_id)
        return None

    def dialling(self, server_id: str) -> None:
        """A server that we dialled has said who it is; it has not taken us in yet."""
        self._dialled[server_id] = self._dialled.get(server_id, 0) + 1

    def dialled(self, server_id: str) -> None:
        """That is over, one way or the other."""
        left = self._dialled.get(server_id, 0) - 1
        if left > 0:
            self._dialled[server_id] = left
        else:
            self._dialled.pop(server_id, None)

    # What happened.

    def join(self, peer: Peer, *, dial_mode: int = GOSSIP_DEFAULT) -> list[Action]:
        """A server has joined. The others hear of it; those of another cluster, if its name was adopted, have to go.

        `dial_mode` is the mode that came with the gossip which made us dial it.
        """
        actions: list[Action] = [
            Drop(cid=other.cid, reason=CloseReason.CLUSTER_NAME_CONFLICT)
            for other in self._peers.values()
            if other.info.cluster not in ("", self._member.cluster)
        ]
        others = [other for other in self._peers.values() if other.info.cluster in ("", self._member.cluster)]
        # A name that is about to be adopted is still an old one in its INFO.
        self._peers[peer.info.server_id] = replace(peer, info=replace(peer.info, cluster=self._member.cluster))
        self._advertised |= bool(peer.info.connect_urls or peer.info.ws_connect_urls)
        learned = peer.solicited and not peer.explicit
        if peer.info.gossip_mode == GOSSIP_DISABLED or (learned and dial_mode != GOSSIP_OVERRIDE):
            return actions
        return actions + [Tell(cid=other.cid, line=_gossip(peer, _mode_for(peer, other))) for other in others]

    def leave(self, cid: int) -> Peer | None:
        """A connection is gone; returns the server that was behind it."""
        peer = self.of_connection(cid)
        return self._peers.pop(peer.info.server_id) if peer is not None else None

    def hear(self, cid: int, info: RouteInfo) -> list[Action]:
        """INFO over a route that is up: news of the server behind it, or of another one."""
        peer = self.of_connection(cid)
        if peer is None or not info.server_id:
            return []
        if info.server_id == peer.info.server_id:
            self._peers[info.server_id] = replace(peer, info=info)
            self._advertised |= bool(info.connect_urls or info.ws_connect_urls)
            return []
        if self.knows(info.server_id) or info.account or not info.ip:
            return []
        return [
            Dial(
                server_id=info.server_id, url=info.ip, auth_required=info.auth_required, gossip_mode=info.gossip_mode
            )
        ]  # fmt: skip

    def retire(self) -> list[Action]:
        """This server goes into lame duck mode: the others take its addresses from their clients."""
        self._lame_duck = True
        return [Tell(cid=peer.cid, line=self.info()) for peer in self._peers.values()]


def shown_subjects(subjects: SubjectPermission | None) -> dict[str, list[str]] | None:
    """One direction of permissions as INFO and monitoring have it."""
    if subjects is None:
        return None
    lists = {"allow": list(subjects.allow or ()), "deny": list(subjects.deny)}
    return {name: entries for name, entries in lists.items() if entries}


def _mode_for(peer: Peer, recipient: Peer) -> int:
    """The mode of gossip about `peer` (reference: 2.12)."""
    if peer.solicited:
        return GOSSIP_OVERRIDE if peer.explicit else GOSSIP_DEFAULT
    return GOSSIP_OVERRIDE if recipient.explicit else GOSSIP_DISABLED


def _gossip(peer: Peer, mode: int) -> bytes:
    members: Mapping[str, Any] = peer.info.members
    address = f"[{peer.ip}]" if ":" in peer.ip else peer.ip
    own = {"ip": peer.info.ip or f"nats-route://{address}:{peer.info.port}/", "gossip_mode": mode or None}
    return render("INFO", {name: value for name, value in members.items() if name != "nonce"} | own)
