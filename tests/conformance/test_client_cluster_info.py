"""Asynchronous INFO: clients learn the addresses of servers that join and forget those that leave."""

from __future__ import annotations

from tests.conftest import Dial
from tests.kit.servers import Server, ServerKind, running_server

SEED = 'cluster { name: conformance, listen: "127.0.0.1:-1" }'


def joining(seed: Server) -> str:
    return f"""
    cluster {{ name: conformance, listen: "127.0.0.1:-1", routes: ["nats://127.0.0.1:{seed.port("cluster")}"] }}
    """


async def test_info_lists_the_url_of_a_joined_peer_until_it_leaves(server_kind: ServerKind, dial: Dial) -> None:
    """Checklist 61."""
    async with running_server(server_kind, config=SEED) as seed:
        own = f"127.0.0.1:{seed.client_port}"
        c, old = await dial(seed), await dial(seed)
        assert "connect_urls" not in c.info
        await c.connect(protocol=1)
        await old.connect(protocol=0)
        async with running_server(ServerKind.REAL, config=joining(seed)) as peer:
            other = f"127.0.0.1:{peer.client_port}"
            info = await c.expect_info(cluster="conformance")
            assert info["connect_urls"][0] == own
            assert set(info["connect_urls"]) == {own, other}
            assert "ldm" not in info and "connect_info" not in info
        info = await c.expect_info()
        assert info.get("connect_urls", []) == [own]
        await old.ping_pong()
