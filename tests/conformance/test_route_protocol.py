"""The route protocol as a small server sees it (checklist: [route])."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.clusters import cluster_config
from tests.kit.routepeer import route_peer
from tests.kit.servers import ServerKind, running_server

CONFIG = cluster_config() + "accounts { X { users: [{user: x, password: x}] } }\nno_auth_user: x\n"
IMPORTS = (
    cluster_config()
    + """
accounts {
    E { exports: [{stream: "str.>"}], users: [{user: e, password: e}] }
    I { imports: [{stream: {account: E, subject: "str.>"}, prefix: pre}], users: [{user: i, password: i}] }
}
"""
)
BAD_OPENINGS = {
    "ping": (b"PING\r\n", [b"-ERR 'Authorization Violation'"]),
    "info": (b"INFO {}\r\n", [b"-ERR 'Authorization Violation'"]),
    "client": (b'CONNECT {"lang":"go","cluster":"C"}\r\n', [b"-ERR 'attempted to connect to route port'"]),
    "gateway": (
        b'CONNECT {"gateway":"G"}\r\n',
        [b"-ERR 'Rejecting connection from gateway \"G\" on the Route port'"],
    ),
    "name": (
        b'CONNECT {"cluster":"D"}\r\n',
        [b'-ERR \'Rejecting connection, cluster name "D" does not match "C"\''],
    ),
    "no name": (b"CONNECT {}\r\n", [b'-ERR \'Rejecting connection, cluster name "" does not match "C"\'']),
    "reserved name": (
        b'CONNECT {"cluster":"_"}\r\n',
        [b"-ERR 'Rejecting connection, cluster name \"_\" is reserved'"],
    ),
    "no json": (b"CONNECT x\r\n", []),
    "compression": (
        b'CONNECT {"cluster":"C"}\r\nINFO {"server_id":"RID","cluster":"C","compression":"zstd"}\r\n',
        [b"-ERR 'unsupported route compression mode \"zstd\"'"],
    ),
}


async def test_a_server_introduces_itself_with_its_clients_address(shared_server: StartServer) -> None:
    """Checklist 70."""
    server = shared_server(CONFIG)
    async with route_peer(server) as peer:
        info = peer.info
        assert (info["cluster"], info["headers"], info["host"]) == ("C", True, "127.0.0.1")
        assert info["port"] == server.port("cluster")
        assert info["connect_urls"] == [f"127.0.0.1:{server.client_port}"]
        assert "cluster_dynamic" not in info and "auth_required" not in info


@pytest.mark.parametrize("opening", sorted(BAD_OPENINGS))
async def test_who_does_not_introduce_itself_is_told_and_closed(shared_server: StartServer, opening: str) -> None:
    """Checklist 71, 79."""
    sent, wanted = BAD_OPENINGS[opening]
    async with route_peer(shared_server(CONFIG)) as peer:
        await peer.send(sent)
        assert await peer.closing_words() == wanted


async def test_the_password_of_a_cluster_may_be_a_hash(shared_server: StartServer) -> None:
    more = 'authorization { user: r, password: "$2a$04$7mxFxhQ6QRjAOndtVbbsMeTCi57Zihvd76x/UvFxbbpJjWA94cusO" }'
    server = shared_server(cluster_config(more=more))
    for password, fits in (("secret-of-routes", True), ("wrong", False), ("", False)):
        async with route_peer(server) as peer:
            user = json.dumps({"cluster": "C", "user": "r", "pass": password})
            await peer.send(f"CONNECT {user}\r\n".encode())
            if not fits:
                assert await peer.closing_words() == [b"-ERR 'Authorization Violation'"]
                continue
            await peer.introduce()
            await peer.send(b"PING\r\n")
            while (line := await peer.line()) != b"PONG":
                assert line and not line.startswith(b"-ERR")


async def test_the_shortest_introduction_is_enough(shared_server: StartServer, login: Dial) -> None:
    """Checklist 97, 98."""
    server = shared_server(CONFIG)
    client = await login(server, headers=True)
    async with route_peer(server) as peer:
        await peer.send(b'CONNECT {"cluster":"C"}\r\nINFO {"server_id":"SHORT"}\r\nRS+ X short\r\n')
        await peer.settled()
        await client.send(b"PUB short rep 1\r\nz\r\nHPUB short 12 13\r\nNATS/1.0\r\n\r\nz\r\n")
        assert await peer.message() == (b"RMSG X short rep 1", b"z")
        assert await peer.message() == (b"RMSG X short 1", b"z")


async def test_messages_have_the_form_that_their_receivers_ask_for(shared_server: StartServer, login: Dial) -> None:
    """Checklist 83."""
    server = shared_server(CONFIG)
    client = await login(server, headers=True)
    async with route_peer(server) as peer:
        await peer.join("FORMS")
        await peer.send(b"RS+ X f.plain\r\nRS+ X f.q qb 1\r\nRS+ X f.both\r\nRS+ X f.* qa 3\r\n")
        await peer.settled()
        await client.send(b"PUB f.plain 1\r\na\r\nPUB f.q rr 1\r\nb\r\nHPUB f.plain 12 13\r\nNATS/1.0\r\n\r\nc\r\n")
        assert await peer.message() == (b"RMSG X f.plain | qa 1", b"a")
        line, payload = await peer.message()
        assert sorted(line.split()[5:7]) == [b"qa", b"qb"] and line.startswith(b"RMSG X f.q + rr ") and payload == b"b"
        assert await peer.message() == (b"HMSG X f.plain | qa 12 13", b"NATS/1.0\r\n\r\nc")


async def test_routed_messages_reach_plain_receivers_and_named_groups(shared_server: StartServer, login: Dial) -> None:
    """Checklist 83, 87."""
    server = shared_server(CONFIG)
    client = await login(server, headers=True)
    await client.subscribe("in.a", sid="1")
    await client.subscribe("in.a", sid="2", queue="q")
    await client.ping_pong()
    async with route_peer(server) as peer:
        await peer.join("SENDS")
        await peer.send(b"RMSG X in.a 1\r\n1\r\n")
        await client.expect(b"MSG in.a 1 1\r\n1\r\n")
        await peer.send(b"RMSG X in.a | q 1\r\n2\r\nRMSG X in.a + rep other q 1\r\n3\r\n")
        got = {await client.next_item() for _ in range(4)}
        assert got == {
            b"MSG in.a 1 1\r\n2\r\n",
            b"MSG in.a 2 1\r\n2\r\n",
            b"MSG in.a 1 rep 1\r\n3\r\n",
            b"MSG in.a 2 rep 1\r\n3\r\n",
        }
        await peer.send(b"HMSG X in.a | none 12 13\r\nNATS/1.0\r\n\r\n4\r\n")
        await client.expect(b"HMSG in.a 1 12 13\r\nNATS/1.0\r\n\r\n4\r\n")


async def test_interest_is_told_once_and_groups_with_their_weight(shared_server: StartServer, login: Dial) -> None:
    """Checklist 82."""
    server = shared_server(CONFIG)
    client = await login(server)
    async with route_peer(server) as peer:
        await peer.join("HEARS")
        await client.send(
            b"SUB w 1\r\nSUB w 2\r\nSUB w g 3\r\nSUB w g 4\r\nUNSUB 3\r\nUNSUB 1\r\nUNSUB 2\r\nUNSUB 4\r\n"
        )
        await client.ping_pong()
        lines = [line for line in await peer.settled() if b"w" in line.split()]
        groups = [line for line in lines if b"g" in line.split()]
        assert [line for line in lines if line not in groups] == [b"RS+ X w", b"RS- X w"]
        assert groups == [b"RS+ X w g 1", b"RS+ X w g 2", b"RS+ X w g 1", b"RS- X w g"]


async def test_who_joins_late_hears_all_interest_at_once(shared_server: StartServer, login: Dial) -> None:
    server = shared_server(CONFIG)
    client = await login(server)
    await client.send(b"SUB late.a 1\r\nSUB late.a 2\r\nSUB late.b g 3\r\nSUB late.b g 4\r\n")
    await client.ping_pong()
    async with route_peer(server) as peer:
        await peer.send(b'CONNECT {"cluster":"C"}\r\nINFO {"server_id":"LATE"}\r\n')
        lines = set(await peer.settled())
        assert {b"RS+ X late.a", b"RS+ X late.b g 2"} <= lines


async def test_a_message_crosses_one_route_only(shared_server: StartServer) -> None:
    """Checklist 85, 86."""
    server = shared_server(CONFIG)
    async with route_peer(server) as one, route_peer(server) as other:
        await one.join("ONE")
        await other.join("OTHER")
        await other.send(b"RS+ X hop\r\nRS+ X hop g 1\r\n")
        await other.settled()
        await one.send(b"RMSG X hop 1\r\n1\r\nRMSG X hop | g 1\r\n2\r\n")
        await one.settled()
        assert await other.message() == (b"RMSG X hop | g 1", b"2")


async def test_interest_in_an_unknown_account_is_ignored(shared_server: StartServer) -> None:
    """Checklist 96."""
    async with route_peer(shared_server(CONFIG)) as peer:
        await peer.join("UNKNOWN")
        await peer.send(b"RS+ NOBODY a\r\nRMSG NOBODY a 1\r\nx\r\nRS- NOBODY a\r\nRS- X never\r\n")
        assert not [line for line in await peer.settled() if line.startswith(b"-ERR")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"RS+ X\r\n", []),
        (b"RMSG X a\r\n", []),
        (b"GARBAGE\r\n", [b"-ERR 'Unknown Protocol Operation'"]),
        (b"-ERR 'go away'\r\n", []),
    ],
)
async def test_nonsense_ends_the_route(
    shared_server: StartServer, login: Dial, line: bytes, words: list[bytes]
) -> None:
    server = shared_server(CONFIG)
    client = await login(server)
    async with route_peer(server) as peer:
        await peer.join("NONSENSE")
        await peer.settled()
        await peer.send(line)
        said = [line for line in await peer.closing_words() if line.startswith(b"-ERR")]
        assert said == words
    await client.ping_pong()


async def test_interest_in_a_subject_that_is_none_is_refused(shared_server: StartServer) -> None:
    async with route_peer(shared_server(CONFIG)) as peer:
        await peer.join("INVALID")
        await peer.send(b"RS+ X a..b\r\n")
        assert b"-ERR 'Invalid Subscription'" in await peer.settled()


async def test_a_second_connection_of_a_server_is_closed_in_silence(shared_server: StartServer) -> None:
    """Checklist 80."""
    server = shared_server(CONFIG)
    async with route_peer(server) as first, route_peer(server) as second:
        await first.join("TWICE")
        await second.send(b'CONNECT {"cluster":"C"}\r\nINFO {"server_id":"TWICE","cluster":"C"}\r\n')
        assert [line for line in await second.closing_words() if line.startswith(b"-ERR")] == []
        await first.settled()


async def test_an_import_wants_the_subject_in_both_accounts(shared_server: StartServer, login: Dial) -> None:
    """Checklist 99."""
    server = shared_server(IMPORTS)
    client = await login(server, user="i", **{"pass": "i"})
    async with route_peer(server) as peer:
        await peer.join("IMPORTS")
        await peer.settled()
        await client.subscribe("pre.str.a")
        await client.ping_pong()
        lines = {line for line in await peer.settled() if line.startswith(b"RS+ ")}
        assert lines == {b"RS+ I pre.str.a", b"RS+ E str.a"}
        await client.send(b"UNSUB 1\r\n")
        await client.ping_pong()
        lines = {line for line in await peer.settled() if line.startswith(b"RS- ")}
        assert lines == {b"RS- I pre.str.a", b"RS- E str.a"}


@pytest.mark.parametrize(("name", "dynamic"), [("D", False), ("~", True)])
async def test_a_generated_name_gives_way_and_the_others_have_to_go(
    server_kind: ServerKind, name: str, dynamic: bool
) -> None:
    """Checklist 81."""
    async with (
        running_server(server_kind, config=cluster_config(name="")) as server,
        route_peer(server) as first,
        route_peer(server) as second,
    ):
        own = first.info["cluster"]
        assert first.info["cluster_dynamic"] is True
        await first.join("FIRST", cluster=own, cluster_dynamic=True)
        connect = json.dumps({"name": "SECOND", "cluster": name, "cluster_dynamic": dynamic, "headers": True})
        info = json.dumps({"server_id": "SECOND", "cluster": name, "cluster_dynamic": dynamic})
        await second.send(f"CONNECT {connect}\r\nINFO {info}\r\n".encode())
        assert await second.is_taken_in()
        await first.closing_words()
        async with route_peer(server) as third:
            assert (third.info["cluster"], third.info["cluster_dynamic"]) == (name, True)


async def test_a_smaller_generated_name_does_not_count(server_kind: ServerKind) -> None:
    """Checklist 81."""
    async with running_server(server_kind, config=cluster_config(name="")) as server, route_peer(server) as peer:
        own = peer.info["cluster"]
        await peer.send(b'CONNECT {"name":"SMALL","cluster":"!","cluster_dynamic":true}\r\n')
        said = [line for line in await peer.closing_words() if line.startswith(b"-ERR")]
        wanted = f'-ERR \'Rejecting connection, cluster name "!" does not match "{own}"\''
        assert said == [wanted.encode()]


async def test_the_others_are_told_of_a_server_that_joins(server_kind: ServerKind) -> None:
    """Checklist 92."""
    async with (
        running_server(server_kind, config=CONFIG) as server,
        route_peer(server) as one,
        route_peer(server) as other,
    ):
        await one.join("ONE")
        await one.settled()
        await other.join("OTHER", host="127.0.0.1", port=6222, server_name="other", nonce="secret")
        while not (line := await one.line()).startswith(b"INFO "):
            assert line
        told = json.loads(line[5:])
        assert (told["server_id"], told["ip"]) == ("OTHER", "nats-route://127.0.0.1:6222/")
        assert told["gossip_mode"] == 1 and "nonce" not in told
