"""Who is in the cluster and how we are connected (reference: wire protocol 2.5, 2.6, 2.12).

Promise: `judge` says whether a server may join over a connection, `join`, `hear` and `leave` follow what happens; they
return what is to be done about it. A server is there as long as one of its connections is (`pool`). Pure: waiting is in
`mesh_loop`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from services.shared.identity.permissions import Permissions, SubjectPermission
from services.shared.member.cluster_face import Face
from services.shared.member.routes.pool import FIRST, Place, Pooling, Rejection, missing
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
SINGLE: Final = Pooling()


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
class Peer:
    """A connection to another server. `solicited`: we dialled; `explicit`: its URL is configured."""

    cid: int
    info: RouteInfo
    ip: str
    port: int
    solicited: bool
    explicit: bool
    place: Place = FIRST


@record
class Tell:
    """Send a line over a connection."""

    cid: int
    line: bytes


@record
class Drop:
    """Close a connection."""

    cid: int
    reason: CloseReason


@record
class Dial:
    """Another server told of one that we do not know."""

    server_id: str
    url: str
    auth_required: bool
    gossip_mode: int


@record
class Forget:
    """What the peer wants in an account does not hold any more on this connection; it will be told again on another."""

    cid: int
    account: str


Action: TypeAlias = Tell | Drop | Dial | Forget


class Mesh:
    """The cluster as this server sees it."""

    __slots__ = ("_advertised", "_dialled", "_infos", "_lame_duck", "_member", "_name_is_final", "_peers", "_places",
                 "_pooling")  # fmt: skip

    def __init__(self, member: Member, pooling: Pooling = SINGLE) -> None:
        self._member = member
        self._pooling = pooling
        self._name_is_final = not member.cluster_dynamic
        self._peers: dict[int, Peer] = {}
        self._places: dict[str, dict[Place, int]] = {}
        self._infos: dict[str, RouteInfo] = {}
        self._dialled: set[tuple[str, Place]] = set()
        self._advertised = False
        self._lame_duck = False

    @property
    def name(self) -> str:
        """The name of the cluster, which may be one that was adopted."""
        return self._member.cluster

    @property
    def peers(self) -> tuple[Peer, ...]:
        """All connections to other servers."""
        return tuple(self._peers.values())

    @property
    def servers(self) -> tuple[str, ...]:
        """The servers that we are connected to."""
        return tuple(self._places)

    def knows(self, server_id: str) -> bool:
        """Whether a server is connected, or we are it."""
        return server_id in self._places or server_id == self._member.server_id

    def of_connection(self, cid: int) -> Peer | None:
        """What is known of a connection."""
        return self._peers.get(cid)

    def at(self, server_id: str, place: Place) -> Peer | None:
        """The connection to a server in a place."""
        cid = self._places.get(server_id, {}).get(place)
        return None if cid is None else self._peers[cid]

    def places(self, server_id: str) -> tuple[Place, ...]:
        """The places of the connections to a server that are up."""
        return tuple(self._places.get(server_id, ()))

    def missing(self, server_id: str) -> list[Place]:
        """What is to be dialled now of the connections to a server that is there."""
        up = self._places.get(server_id)
        if up is None:
            return []
        dialled = [place for of, place in self._dialled if of == server_id]
        return missing(self._pooling, self._infos[server_id], up=up, dialled=dialled)

    @property
    def face(self) -> Face:
        """What clients are told."""
        if not self._advertised or not self._member.advertises:
            return Face(name=self._member.cluster, leaving=self._lame_duck)
        present = [info for info in self._infos.values() if not info.lame_duck]
        return Face(
            name=self._member.cluster,
            urls=tuple(dict.fromkeys(url for info in present for url in info.connect_urls)),
            ws_urls=tuple(dict.fromkeys(url for info in present for url in info.ws_connect_urls)),
            leaving=self._lame_duck,
        )

    # What is said.

    def info(
        self, *, gossip_mode: int = GOSSIP_DEFAULT, compression: str | None = None, place: Place | None = None
    ) -> bytes:  # fmt: skip
        """Our INFO; with `compression` what was chosen, else what is configured, with `place` where we choose it."""
        members = self._info_members() | {"gossip_mode": gossip_mode or None} | self._pooling.members(place)
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
        rejection = self._pooling.judge(info, solicited=solicited)
        return rejection if rejection is not None or solicited else self.duplicate(info, self._pooling.place(info))

    def duplicate(self, info: RouteInfo, place: Place) -> Rejection | None:
        """The reason why a server may not have a place: there is a connection already."""
        if self.at(info.server_id, place) is None:
            return None
        return Rejection(reason=CloseReason.DUPLICATE_ROUTE, duplicate_of=info.server_id, place=place)

    def carried(self, info: RouteInfo, place: Place) -> Place | None:
        """Of which accounts a connection tells: those of its place, or None for all."""
        return place if self._pooling.size_with(info) else None

    def asked_place(self, info: RouteInfo) -> Place:
        """The place that a server asks for who dialled us."""
        return self._pooling.place(info)

    # Two that dial each other at once.

    def claim(self, info: RouteInfo, *, wanted: Place | None) -> Place | Rejection:
        """The place of a connection that we dialled, which is ours to fill until `release`.

        Without `wanted` it is the first to a server that is not there yet.
        """
        place = wanted or FIRST
        dialled = (info.server_id, place) in self._dialled
        if dialled or self.at(info.server_id, place) is not None or (wanted is None and self.knows(info.server_id)):
            return Rejection(reason=CloseReason.DUPLICATE_ROUTE, duplicate_of=info.server_id, place=place)
        self._dialled.add((info.server_id, place))
        return place

    def release(self, server_id: str, place: Place) -> None:
        """Our dial for a place is over, one way or the other."""
        self._dialled.discard((server_id, place))

    def has_to_wait(self, server_id: str, place: Place) -> bool:
        """Whether a server who dialled us has to wait until our own dial for that place is over.

        Of two that do the same the one with the smaller id lets the other wait: what it dialled stays, unless the other
        refuses it, as a real server does that has registered its own connection already.
        """
        return (server_id, place) in self._dialled and self._member.server_id < server_id

    # What happened.

    def join(self, peer: Peer, *, dial_mode: int = GOSSIP_DEFAULT) -> list[Action]:
        """A connection is up. The others hear of a new server; those of another cluster have to go, if its name was adopted.

        `dial_mode` is the mode that came with the gossip which made us dial it.
        """
        info, others = peer.info, [other for other in self._places if other != peer.info.server_id]
        strangers = {other for other in others if self._infos[other].cluster not in ("", self._member.cluster)}
        actions: list[Action] = [
            Drop(cid=cid, reason=CloseReason.CLUSTER_NAME_CONFLICT)
            for other in strangers
            for cid in self._places[other].values()
        ]
        places = self._places.setdefault(info.server_id, {})
        is_news = bool(peer.place.account) or all(place.account for place in places)
        places[peer.place] = peer.cid
        self._peers[peer.cid] = peer
        # A name that is about to be adopted is still an old one in its INFO.
        self._infos[info.server_id] = replace(info, cluster=self._member.cluster)
        self._advertised |= bool(info.connect_urls or info.ws_connect_urls)
        learned = peer.solicited and not peer.explicit
        if not is_news or info.gossip_mode == GOSSIP_DISABLED or (learned and dial_mode != GOSSIP_OVERRIDE):
            return actions
        recipients = [self._for_gossip(other, peer.place.account) for other in others if other not in strangers]
        return actions + [Tell(cid=to.cid, line=gossip(peer, to)) for to in recipients if to is not None]

    def _for_gossip(self, server_id: str, account: str) -> Peer | None:
        """Over which connection a server is told of others: of one for an account only if it has such, too."""
        places = self._places[server_id]
        if account and not self._pooling.size_with(self._infos[server_id]):
            return None
        own = places.get(Place(account=account)) if account else None
        return self._peers[_speaking(places) if own is None else own]

    def solicit(self, server_id: str, *, explicit: bool) -> None:
        """It is us who dials a server again when it is gone, whoever dialled first."""
        for cid in self._places.get(server_id, {}).values():
            peer = self._peers[cid]
            self._peers[cid] = replace(peer, solicited=True, explicit=peer.explicit or explicit)

    def leave(self, cid: int) -> Peer | None:
        """A connection is gone; returns what it was."""
        peer = self._peers.pop(cid, None)
        if peer is not None:
            places = self._places[peer.info.server_id]
            del places[peer.place]
            if not places:
                del self._places[peer.info.server_id], self._infos[peer.info.server_id]
        return peer

    def hear(self, cid: int, info: RouteInfo) -> list[Action]:
        """INFO over a route that is up: news of the server behind it, or of another one."""
        peer = self.of_connection(cid)
        if peer is None:
            return []
        if info.account_request:
            return self._hand_over(peer, info)
        if not info.server_id:
            return []
        if info.server_id == peer.info.server_id:
            self._infos[info.server_id] = info
            self._advertised |= bool(info.connect_urls or info.ws_connect_urls)
            return []
        # Connections for one account are dialled with the others, once a server is there.
        if self.knows(info.server_id) or info.account or not info.ip:
            return []
        return [
            Dial(
                server_id=info.server_id, url=info.ip, auth_required=info.auth_required, gossip_mode=info.gossip_mode
            )
        ]  # fmt: skip

    def _hand_over(self, peer: Peer, info: RouteInfo) -> list[Action]:
        """A reload gives an account a connection of its own: the peer will tell over that one, and waits for our word."""
        if not info.account:
            return []
        pooled = [cid for place, cid in self._places[peer.info.server_id].items() if not place.account]
        answer = {name: value for name, value in info.members.items() if name != "route_account"}
        forget: list[Action] = [Forget(cid=cid, account=info.account) for cid in pooled]
        return [*forget, Tell(cid=peer.cid, line=render("INFO", answer))]

    def retire(self) -> list[Action]:
        """This server goes into lame duck mode: the others take its addresses from their clients."""
        self._lame_duck = True
        return self._tell_everybody()

    def follow(self, member: Member, pooling: Pooling) -> list[Action]:
        """A reload changed what we are: the others hear of it. The name of the cluster stays the one that was agreed.

        With another size of the pool all connections are made anew (reference: 2.7).
        """
        before, size_before = self.info(), self._pooling.size
        self._member = replace(member, cluster=self._member.cluster, cluster_dynamic=self._member.cluster_dynamic)
        self._pooling = pooling
        resized, unpinned = pooling.size != size_before, self._unpinned()
        drops: list[Action] = [
            Drop(cid=peer.cid, reason=CloseReason.ROUTE_REMOVED)
            for peer in self._peers.values()
            if resized or peer in unpinned
        ]
        return drops + (self._tell_everybody() if self.info() != before and not resized else [])

    def _unpinned(self) -> list[Peer]:
        """Connections for accounts that are to have none of their own."""
        pinned = ("", *self._pooling.pinned)
        return [peer for peer in self._peers.values() if peer.place.account not in pinned]

    def _tell_everybody(self) -> list[Action]:
        return [Tell(cid=_speaking(places), line=self.info()) for places in self._places.values()]


def _speaking(places: Mapping[Place, int]) -> int:
    """Over which connection a server hears of other things than accounts: one of the pool, where a real server listens."""
    return places[min(places, key=lambda place: (place.account, place.slot))]


def gossip(peer: Peer, to: Peer) -> bytes:
    """What one server is told of another (reference: 2.12)."""
    members: Mapping[str, Any] = peer.info.members
    address = f"[{peer.ip}]" if ":" in peer.ip else peer.ip
    own = {
        "ip": peer.info.ip or f"nats-route://{address}:{peer.info.port}/",
        "gossip_mode": _mode_for(peer, to) or None,
        "route_account": peer.place.account,
    }
    return render("INFO", {name: value for name, value in members.items() if name not in _NOT_TOLD} | own)


_NOT_TOLD: Final = ("nonce", "route_pool_idx")


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
