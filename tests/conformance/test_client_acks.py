"""verbose and pedantic: which operations are acknowledged, and which publish subjects are complained about."""

from __future__ import annotations

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.servers import Server


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server()


async def test_verbose_acks_every_accepted_operation(server: Server, dial: Dial) -> None:
    """Checklist 24."""
    c = await dial(server)
    await c.send(b'CONNECT {"verbose":true,"pedantic":false,"headers":true}\r\n')
    await c.expect(b"+OK\r\n")
    await c.send(b"SUB acks 1\r\n")
    await c.expect(b"+OK\r\n")
    await c.send(b"PUB acks 2\r\nhi\r\n")
    await c.expect(b"+OK\r\nMSG acks 1 2\r\nhi\r\n")
    await c.send(b"HPUB acks 12 12\r\nNATS/1.0\r\n\r\n\r\n")
    await c.expect(b"+OK\r\nHMSG acks 1 12 12\r\nNATS/1.0\r\n\r\n\r\n")
    await c.send(b"UNSUB 1\r\nUNSUB nobody\r\nUNSUB nobody 5\r\n")
    await c.expect(b"+OK\r\n+OK\r\n+OK\r\n")
    await c.send(b"PING\r\nPONG\r\nPING\r\n")
    await c.expect(b"PONG\r\nPONG\r\n")


async def test_verbose_does_not_ack_refused_operations(server: Server, dial: Dial) -> None:
    """Checklist 24."""
    c = await dial(server)
    await c.connect(verbose=True)
    await c.send(b"SUB a..b 1\r\nPUB $NRG.x 0\r\n\r\nSUB x _sys_ 2\r\nPUB ok.subject 0\r\n\r\n")
    await c.expect_err("Invalid Subject")
    await c.expect_err('Permissions Violation for Publish to "$NRG.x"')
    await c.expect_err('Permissions Violation for Subscription to "x" using queue "_sys_"')
    await c.expect(b"+OK\r\n")


async def test_verbose_acks_a_duplicate_sid(server: Server, dial: Dial) -> None:
    """Checklist 24."""
    c = await dial(server)
    await c.connect(verbose=True)
    await c.send(b"SUB first 1\r\nSUB second 1\r\n")
    await c.expect(b"+OK\r\n+OK\r\n")


@pytest.mark.parametrize("subject", ["a..b", ".a", "a.", "a.*", "a.>", "*", ">"])
async def test_pedantic_complains_about_a_bad_publish_subject_and_goes_on(
    server: Server, login: Dial, subject: str
) -> None:
    """Checklist 25."""
    c = await login(server, pedantic=True)
    await c.send(f"PUB {subject} 0\r\n\r\n".encode())
    await c.expect_err("Invalid Publish Subject")
    await c.ping_pong()


async def test_pedantic_still_processes_the_message(server: Server, login: Dial) -> None:
    """Checklist 25."""
    c = await login(server, pedantic=True, headers=True)
    await c.subscribe("pedantic.>")
    await c.send(b"PUB pedantic.* 2\r\nhi\r\nHPUB pedantic.* 12 12\r\nNATS/1.0\r\n\r\n\r\n")
    await c.expect_err("Invalid Publish Subject")
    await c.expect(b"MSG pedantic.* 1 2\r\nhi\r\n")
    await c.expect_err("Invalid Publish Subject")
    await c.expect(b"HMSG pedantic.* 1 12 12\r\nNATS/1.0\r\n\r\n\r\n")


@pytest.mark.parametrize("subject", ["a..b", "a.*", "a.>", "a."])
async def test_without_pedantic_no_publish_subject_is_complained_about(
    server: Server, login: Dial, subject: str
) -> None:
    """Checklist 25."""
    c = await login(server)
    await c.send(f"PUB {subject} 0\r\n\r\n".encode())
    await c.ping_pong()
