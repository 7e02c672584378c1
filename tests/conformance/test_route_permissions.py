"""What may go between servers: `cluster { permissions { import, export } }` (reference: wire protocol 2.14)."""

from __future__ import annotations

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.clusters import cluster_config
from tests.kit.monitoring import get
from tests.kit.routepeer import RoutePeer, route_peer

ACCOUNTS = "accounts { X { users: [{user: x, password: x}] } }\nno_auth_user: x\n"
WANTED = ("in.a", "in.>", "in.*", "in.secret", ">", "other", "*.a")
TOLD = {
    'import: "in.>"': {"in.a", "in.>", "in.*", "in.secret"},
    'import: ["in.a", "oth*"]': {"in.a"},
    'import: { deny: "in.secret" }': {"in.a", "in.>", "in.*", ">", "other", "*.a"},
    'import: { allow: ["in.*", ">"], deny: ["*.a", "other"] }': {"in.>", "in.*", "in.secret", ">"},
    'export: "in.a"': set(WANTED),
}
HEARD = {
    # What a peer wants, and which of these subjects it is sent.
    'export: "out.>"': (("out.a", "out.>", "out.*", ">", "x", "*.a"), {"out.a", "out.secret", "out.b.c"}),
    'export: ["out.a"]': (("out.a", "out.>", ">"), {"out.a"}),
    'export: { deny: "out.secret" }': (("out.>", "out.secret", "x"), {"out.a", "out.b.c", "x"}),
    'export: { deny: "out.>" }': ((">", "out.a"), {"x"}),
    'import: "out.a"': ((">",), {"out.a", "out.secret", "out.b.c", "x"}),
}
PUBLISHED = ("out.a", "out.secret", "out.b.c", "x")


def config(permissions: str) -> str:
    return cluster_config(more=f"permissions {{ {permissions} }}") + ACCOUNTS


async def interest(peer: RoutePeer) -> set[str]:
    """What the peer was told so far of the subjects above."""
    lines = [line.decode().split() for line in await peer.settled()]
    return {words[2] for words in lines if words[:2] == ["RS+", "X"]} & set(WANTED)


@pytest.mark.parametrize("permissions", sorted(TOLD))
async def test_only_what_may_be_imported_is_asked_for(
    shared_server: StartServer, login: Dial, permissions: str
) -> None:
    server = shared_server(config(permissions))
    client = await login(server)
    async with route_peer(server) as early:
        await early.introduced()
        for sid, subject in enumerate(WANTED):
            await client.subscribe(subject, sid=str(sid))
        await client.ping_pong()
        assert await interest(early) == TOLD[permissions], "as it comes"
    async with route_peer(server) as late:
        await late.send(b'CONNECT {"cluster":"C"}\r\n')
        await late.introduce()
        assert await interest(late) == TOLD[permissions], "all at once"


@pytest.mark.parametrize("permissions", sorted(HEARD))
async def test_only_what_may_be_exported_is_sent(shared_server: StartServer, login: Dial, permissions: str) -> None:
    wanted, heard = HEARD[permissions]
    server = shared_server(config(permissions))
    client = await login(server)
    async with route_peer(server) as peer:
        await peer.introduced()
        await peer.send(b"".join(b"RS+ X %s\r\n" % subject.encode() for subject in wanted) + b"RS+ X x q 1\r\n")
        await peer.settled()
        for subject in PUBLISHED:
            await client.publish(subject, b"m")
        await client.ping_pong()
        lines = [line.decode().split() for line in await peer.settled()]
        assert {words[2] for words in lines if words[:2] == ["RMSG", "X"]} == heard


async def test_what_a_peer_sends_is_not_held_against_permissions(shared_server: StartServer, login: Dial) -> None:
    server = shared_server(config('import: "in.>"'))
    client = await login(server)
    await client.subscribe("other")
    await client.ping_pong()
    async with route_peer(server) as peer:
        await peer.introduced()
        await peer.send(b"RMSG X other 1\r\nm\r\n")
        await client.expect(b"MSG other 1 1\r\nm\r\n")


async def test_permissions_are_told_to_peers_and_shown(shared_server: StartServer) -> None:
    told = {"import": {"allow": ["in.>"]}, "export": {"allow": ["out.*"], "deny": ["out.secret"]}}
    permissions = 'import: "in.>", export { allow: ["out.*"], deny: "out.secret" }'
    server = shared_server(config(permissions), monitoring=True)
    async with route_peer(server) as peer:
        assert {name: peer.info[name] for name in told} == told
        await peer.introduced(export={"allow": ["a"]})
        page = (await get(server, "/routez")).json()
        assert {name: page[name] for name in told} == told
        assert page["routes"][0]["export"] == {"allow": ["a"]} and "import" not in page["routes"][0]
