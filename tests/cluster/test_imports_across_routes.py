"""What accounts import from each other, with the two on different servers (checklist 99)."""

from __future__ import annotations

import json

import pytest

from tests.kit.clusters import PAIRS, client_of, pair_name, pair_of_servers, until_heard
from tests.kit.eventually import eventually
from tests.kit.rawclient import RawClient
from tests.kit.servers import ServerKind

Kinds = tuple[ServerKind, ServerKind]
pairs = pytest.mark.parametrize("kinds", PAIRS, ids=pair_name)
ACCOUNTS = """
accounts {
    E { users: [{user: e, password: e}], exports: [{stream: "str.>"}, {service: "svc.*"}] }
    I {
        users: [{user: i, password: i}]
        imports: [
            {stream: {account: E, subject: "str.>"}, prefix: "pre"}
            {service: {account: E, subject: "svc.*"}, to: "ask.*"}
        ]
    }
}
"""
EXPORTER, IMPORTER = {"user": "e", "pass": "e"}, {"user": "i", "pass": "i"}


async def until_imported(speaker: RawClient, listener: RawClient, subject: str) -> None:
    """Publishes until the listener, who imports the subject, hears it."""

    async def heard() -> bool:
        await speaker.publish(subject, b"?")
        try:
            await listener.expect_message(within_s=0.05)
        except AssertionError:
            return False
        return True

    await eventually(heard, within_s=15)
    while True:
        try:
            await listener.expect_message(within_s=0.3)
        except AssertionError:
            return


@pairs
async def test_an_imported_stream_comes_from_the_other_server(kinds: Kinds) -> None:
    async with (
        pair_of_servers(kinds, config=ACCOUNTS) as (one, other),
        client_of(one, **EXPORTER) as e,
        client_of(other, **IMPORTER) as i,
        client_of(other, **EXPORTER) as e2,
    ):
        await until_heard(e, e2, "joined")
        await i.subscribe("pre.str.warm", sid="9")
        await i.ping_pong()
        await until_imported(e, i, "str.warm")
        await i.subscribe("pre.str.a", sid="1")
        await i.subscribe("pre.str.b.>", sid="2")
        await i.subscribe("pre.str.q", sid="3", queue="g")
        await i.subscribe("other.>", sid="4")
        await i.ping_pong()
        await until_imported(e, i, "str.warm")
        for subject in ("str.a", "str.b.c", "str.q", "str.z"):
            await e.publish(subject, b"x")
        await e.publish("str.warm", b"end")
        await i.expect(b"MSG pre.str.a 1 1\r\nx\r\nMSG pre.str.b.c 2 1\r\nx\r\nMSG pre.str.q 3 1\r\nx\r\n")
        await i.expect(b"MSG pre.str.warm 9 3\r\nend\r\n")
        await i.send(b"UNSUB 1\r\nUNSUB 2\r\nUNSUB 3\r\n")
        await i.ping_pong()
        await e.publish("str.a", b"x")
        await e.publish("str.warm", b"end")
        await i.expect(b"MSG pre.str.warm 9 3\r\nend\r\n")


@pairs
async def test_an_imported_service_is_answered_by_the_other_server(kinds: Kinds) -> None:
    async with (
        pair_of_servers(kinds, config=ACCOUNTS) as (one, other),
        client_of(one, **IMPORTER) as i,
        client_of(one, **EXPORTER) as e,
        client_of(other, headers=True, **EXPORTER) as service,
    ):
        await until_heard(e, service, "joined")
        await until_heard(service, e, "joined")
        await service.subscribe("svc.x", sid="1", queue="workers")
        await service.ping_pong()
        await until_heard(service, e, "ready")
        await i.subscribe("_INBOX.one", sid="7")
        for number in range(3):
            await i.publish("ask.x", b"%d" % number, reply="_INBOX.one")
            question = await service.expect_message()
            assert (question.subject, question.payload) == ("svc.x", b"%d" % number)
            assert question.reply.startswith("_R_.") and b"Nats-Request-Info" in question.header
            await service.publish(question.reply, b"answer %d" % number)
            await i.expect(b"MSG _INBOX.one 7 8\r\nanswer %d\r\n" % number)


TIMED = ACCOUNTS.replace('{service: "svc.*"}]', '{service: "svc.*", latency: lat.out}]')


@pytest.mark.parametrize("kinds", [pair for pair in PAIRS if pair[0] is ServerKind.OURS], ids=pair_name)
async def test_an_answer_from_the_other_server_is_timed_once(kinds: Kinds) -> None:
    """Security checklist 129. Who answered is only known to its own server."""
    async with (
        pair_of_servers(kinds, config=TIMED) as (one, other),
        client_of(one, **IMPORTER) as i,
        client_of(one, **EXPORTER) as e,
        client_of(other, headers=True, **EXPORTER) as service,
    ):
        await until_heard(e, service, "joined")
        await until_heard(service, e, "joined")
        await service.subscribe("svc.x", sid="1")
        await service.ping_pong()
        await until_heard(service, e, "ready")
        await e.subscribe("lat.out", sid="3")
        await e.ping_pong()
        await i.subscribe("_INBOX.one", sid="7")
        await i.publish("ask.x", b"x", reply="_INBOX.one")
        question = await service.expect_message()
        await service.publish(question.reply, b"answer")
        await i.expect_message()
        found = json.loads((await e.expect_message()).payload)
        assert (found["status"], found["requestor"]["acc"]) == (200, "I")
        assert "responder" not in found
        assert found["total"] == found["requestor"]["rtt"] + found["service"]
        await e.ping_pong()
