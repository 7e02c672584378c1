"""The 503 answer: who gets it when a request reaches nobody, and who does not."""

from __future__ import annotations

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server()


@pytest.fixture
async def requestor(server: Server, login: Dial) -> RawClient:
    client: RawClient = await login(server, headers=True, no_responders=True)
    return client


def status_503(*, reply: str, sid: str, subject: str) -> bytes:
    size = 32 + len(subject)
    return f"HMSG {reply} {sid} {size} {size}\r\nNATS/1.0 503\r\nNats-Subject: {subject}\r\n\r\n\r\n".encode()


async def test_request_without_responders_is_answered_with_503(requestor: RawClient) -> None:
    """Checklist 44."""
    await requestor.subscribe("nr.inbox", sid="77")
    await requestor.send(b"PUB nr.nobody nr.inbox 5\r\nhello\r\n")
    await requestor.expect(status_503(reply="nr.inbox", sid="77", subject="nr.nobody"))
    await requestor.send(b"HPUB nr.no nr.inbox 12 12\r\nNATS/1.0\r\n\r\n\r\n")
    await requestor.expect(status_503(reply="nr.inbox", sid="77", subject="nr.no"))


async def test_wildcard_inbox_qualifies_for_503(requestor: RawClient) -> None:
    """Checklist 44."""
    await requestor.subscribe("nr.box.*", sid="w")
    await requestor.send(b"PUB nr.nobody nr.box.one 0\r\n\r\n")
    await requestor.expect(status_503(reply="nr.box.one", sid="w", subject="nr.nobody"))


async def test_503_does_not_count_for_an_armed_unsub(requestor: RawClient) -> None:
    """Checklist 44."""
    await requestor.send(
        b"SUB nr.once 1\r\nUNSUB 1 1\r\nPUB nr.nobody nr.once 0\r\n\r\n" + b"PUB nr.once 0\r\n\r\n" * 2
    )
    await requestor.expect(status_503(reply="nr.once", sid="1", subject="nr.nobody"))
    await requestor.expect(b"MSG nr.once 1 0\r\n\r\n")
    await requestor.ping_pong()


@pytest.mark.parametrize(
    "setup",
    [b"", b"SUB nr.q.inbox q 1\r\n", b"SUB nr.other 1\r\n"],
    ids=["no inbox", "queue inbox", "another inbox"],
)
async def test_no_503_without_an_own_plain_subscription_on_the_reply(requestor: RawClient, setup: bytes) -> None:
    """Checklist 45."""
    await requestor.send(setup + b"PUB nr.nobody nr.q.inbox 0\r\n\r\n")
    await requestor.ping_pong()


async def test_no_503_when_only_another_connection_has_the_inbox(
    requestor: RawClient, server: Server, login: Dial
) -> None:
    """Checklist 45."""
    other = await login(server, headers=True, no_responders=True)
    await other.subscribe("nr.foreign")
    await requestor.publish("nr.nobody", reply="nr.foreign")
    await other.ping_pong()


async def test_no_503_when_somebody_received_the_request(requestor: RawClient, server: Server, login: Dial) -> None:
    """Checklist 45."""
    responder = await login(server)
    await responder.subscribe("nr.service", queue="q")
    await requestor.subscribe("nr.inbox.served")
    await requestor.publish("nr.service", reply="nr.inbox.served")
    await responder.expect(b"MSG nr.service 1 nr.inbox.served 0\r\n\r\n")


async def test_no_503_without_a_reply_subject(requestor: RawClient) -> None:
    """Checklist 45."""
    await requestor.subscribe("nr.noreply.inbox")
    await requestor.publish("nr.nobody")


async def test_no_503_unless_connect_asked_for_it(server: Server, login: Dial) -> None:
    """Checklist 45."""
    c = await login(server, headers=True)
    await c.subscribe("nr.unasked")
    await c.publish("nr.nobody", reply="nr.unasked")


async def test_own_subscription_alone_does_not_count_without_echo(server: Server, login: Dial) -> None:
    """Checklist 46."""
    c = await login(server, headers=True, no_responders=True, echo=False)
    await c.send(b"SUB nr.self 1\r\nSUB nr.self.inbox 2\r\nPUB nr.self nr.self.inbox 0\r\n\r\n")
    await c.expect(status_503(reply="nr.self.inbox", sid="2", subject="nr.self"))
    await c.ping_pong()
