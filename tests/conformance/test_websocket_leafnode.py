"""The /leafnode path of the websocket listener: the leafnode handshake inside frames."""

from __future__ import annotations

import pytest

from tests.conftest import Dial
from tests.kit.servers import ServerKind, running_server

CONFIG = """
server_name: hub
leafnodes { listen: "127.0.0.1:-1" }
websocket { listen: "127.0.0.1:-1", no_tls: true }
"""


@pytest.mark.parametrize("path", ["/leafnode", "/some/prefix/leafnode"])
async def test_leafnode_path_runs_the_leafnode_handshake_in_frames(
    server_kind: ServerKind, dial_websocket: Dial, path: str
) -> None:
    """Checklist 143."""
    async with running_server(server_kind, config=CONFIG) as server:
        leaf = await dial_websocket(server, path=path)
        assert leaf.info["info_on_connect"] is True
        assert leaf.info["leafnode_urls"]
        await leaf.send(b'CONNECT {"name":"raw-leaf","version":"2.15.1","headers":true}\r\n')
        await leaf.expect_info(connect_info=True, remote_account="$G")
        await leaf.send(b"LS+ leaf.subject\r\nPING\r\n")
        while (item := await leaf.next_item()) != b"PONG\r\n":
            assert item.startswith(b"LS+ "), item
        client = await dial_websocket(server)
        await client.connect()
        await client.publish("leaf.subject", b"hi")
        await leaf.expect(b"LMSG leaf.subject 2\r\nhi\r\n")
