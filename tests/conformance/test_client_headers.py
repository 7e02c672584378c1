"""HPUB and HMSG: header bytes travel untouched, and are cut off for those who cannot read them."""

from __future__ import annotations

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.servers import Server

BLOCK = b"NATS/1.0\r\nX-Mixed-CASE: Value\r\nx-mixed-case:  spaced \r\nRepeated: 1\r\nRepeated: 2\r\n\r\n"


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server()


@pytest.fixture
def headerless_server(shared_server: StartServer) -> Server:
    return shared_server("no_header_support: true")


async def test_header_bytes_and_case_survive_a_round_trip(server: Server, login: Dial) -> None:
    """Checklist 39."""
    c = await login(server, headers=True)
    await c.subscribe("h.trip")
    sizes = b"%d %d" % (len(BLOCK), len(BLOCK) + 4)
    await c.send(b"HPUB h.trip h.reply " + sizes + b"\r\n" + BLOCK + b"body\r\n")
    await c.expect(b"HMSG h.trip 1 h.reply " + sizes + b"\r\n" + BLOCK + b"body\r\n")


async def test_header_block_is_not_looked_into(server: Server, login: Dial) -> None:
    """Checklist 39."""
    c = await login(server, headers=True)
    await c.subscribe("h.garbage")
    await c.send(b"HPUB h.garbage 5 7\r\n\x00\r\n\xff!hi\r\n")
    await c.expect(b"HMSG h.garbage 1 5 7\r\n\x00\r\n\xff!hi\r\n")


async def test_plain_publish_reaches_header_receivers_as_msg(server: Server, login: Dial) -> None:
    """Checklist 39."""
    c = await login(server, headers=True)
    await c.subscribe("h.plain")
    await c.send(b"PUB h.plain 2\r\nhi\r\n")
    await c.expect(b"MSG h.plain 1 2\r\nhi\r\n")


async def test_headers_are_stripped_for_receivers_without_header_support(server: Server, login: Dial) -> None:
    """Checklist 40."""
    sender, receiver = await login(server, headers=True), await login(server, headers=False)
    await receiver.subscribe("h.strip")
    await sender.send(b"HPUB h.strip h.reply 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
    await receiver.expect(b"MSG h.strip 1 h.reply 2\r\nhi\r\n")
    await sender.send(b"HPUB h.strip 12 12\r\nNATS/1.0\r\n\r\n\r\n")
    await receiver.expect(b"MSG h.strip 1 0\r\n\r\n")


async def test_header_size_over_the_total_closes(server: Server, login: Dial) -> None:
    """Checklist 41."""
    c = await login(server, headers=True)
    await c.send(b"HPUB h.over 13 12\r\n")
    await c.expect_closed()


async def test_hpub_without_headers_in_connect_closes(server: Server, login: Dial) -> None:
    """Checklist 41."""
    c = await login(server)
    await c.send(b"HPUB h.off 12 12\r\n")
    await c.expect_closed()


async def test_header_size_zero_arrives_as_msg(server: Server, login: Dial) -> None:
    """Checklist 42."""
    c = await login(server, headers=True)
    await c.subscribe("h.zero")
    await c.send(b"HPUB h.zero 0 2\r\nhi\r\n")
    await c.expect(b"MSG h.zero 1 2\r\nhi\r\n")


async def test_header_size_text_is_forwarded_verbatim(server: Server, login: Dial) -> None:
    """Checklist 43."""
    c = await login(server, headers=True)
    await c.subscribe("h.zeros")
    await c.send(b"HPUB h.zeros 0012 000014\r\nNATS/1.0\r\n\r\nhi\r\n")
    await c.expect(b"HMSG h.zeros 1 0012 000014\r\nNATS/1.0\r\n\r\nhi\r\n")


async def test_server_without_header_support_says_so_and_refuses_hpub(headerless_server: Server, dial: Dial) -> None:
    """Checklist 41."""
    c = await dial(headerless_server)
    assert c.info["headers"] is False
    await c.connect(headers=True)
    await c.send(b"HPUB h.none 12 12\r\n")
    await c.expect_closed()
