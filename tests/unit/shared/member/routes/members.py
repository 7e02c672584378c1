"""Servers for the tests of routes."""

from __future__ import annotations

from services.shared.member.routes.mesh import Member, Mesh, Peer
from services.shared.member.routes.pool import FIRST, Place, Pooling
from services.shared.member.routes.route_info import RouteInfo, parse_info


def member(
    server_id: str, *, cluster: str = "C", dynamic: bool = False, urls: tuple[str, ...] = (), compression: str = "off"
) -> Member:
    """A server with this id."""
    return Member(
        server_id=server_id,
        server_name=server_id.lower(),
        version="2.15.1",
        go="",
        host="127.0.0.1",
        port=6222,
        ip="",
        headers=True,
        max_payload_bytes=1 << 20,
        cluster=cluster,
        cluster_dynamic=dynamic,
        auth_required=False,
        connect_urls=urls or (f"{server_id.lower()}:4222",),
        ws_connect_urls=(),
        advertises=True,
        compression=compression,
    )


def info_of(mesh: Mesh) -> RouteInfo:
    """The INFO of a mesh, as its peer reads it."""
    return parse_info(mesh.info().removeprefix(b"INFO "))


def peer(
    server_id: str, *, cid: int, solicited: bool = False, explicit: bool = False, pool_size: int = 0,
    place: Place = FIRST,
) -> Peer:  # fmt: skip
    """A server that joined over a connection."""
    info = info_of(Mesh(member(server_id), Pooling(size=pool_size)))
    return Peer(
        cid=cid, info=info, ip=f"10.0.0.{cid}", port=50_000, solicited=solicited, explicit=explicit, place=place
    )
