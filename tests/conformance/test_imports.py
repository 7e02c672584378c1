"""What crosses between accounts beyond the checklist: groups, chains, rights, answers that want answers, reloads.

The plain cases are in `test_accounts`. Both servers behave alike here.
"""

from __future__ import annotations

import signal

import pytest
import trio

from tests.conftest import Dial, StartServer
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server, ServerKind, running_server

RELOAD_S = 10.0

CHAIN = """
accounts {
  E {
    users: [ { user: e, password: p } ]
    exports: [ { stream: "s.>" }, { service: "one" }, { service: "two" }, { service: "plain" } ]
    mappings: { "plain": "plain.mapped" }
  }
  F { users: [ { user: f, password: p } ], exports: [ { service: "one" } ] }
  I {
    users: [
      { user: i, password: p }
      { user: few, password: p, permissions: { publish: "local.one", subscribe: { deny: "l.secret" } } }
    ]
    exports: [ { service: "middle" }, { stream: "l.>" } ]
    imports: [
      { stream: { account: E, subject: "s.>" }, to: "l.>" }
      { service: { account: E, subject: "one" }, to: "local.one" }
      { service: { account: E, subject: "two" }, to: "local.two" }
      { service: { account: E, subject: "one" }, to: "middle" }
      { service: { account: E, subject: "plain" } }
      { service: { account: E, subject: "one" }, to: "both" }
      { service: { account: F, subject: "one" }, to: "both" }
      { service: { account: E, subject: "one" }, to: "any.>" }
    ]
  }
  C {
    users: [ { user: c, password: p } ]
    imports: [ { service: { account: I, subject: "middle" }, to: "far" }, { stream: { account: I, subject: "l.>" } } ]
  }
}
"""


async def enter(login: Dial, server: Server, name: str) -> RawClient:
    client: RawClient = await login(server, user=name, headers=True, no_responders=True, **{"pass": "p"})
    return client


async def ask(client: RawClient, subject: str) -> None:
    await client.subscribe("in", sid="in")
    await client.send(f"PUB {subject} in 0\r\n\r\n".encode())


@pytest.fixture
async def exporter(shared_server: StartServer, login: Dial) -> RawClient:
    return await enter(login, shared_server(CHAIN), "e")


@pytest.fixture
async def importer(shared_server: StartServer, login: Dial) -> RawClient:
    return await enter(login, shared_server(CHAIN), "i")


async def test_a_queue_group_has_members_on_both_sides_of_a_stream_import(
    exporter: RawClient, importer: RawClient, shared_server: StartServer, login: Dial
) -> None:
    other = await enter(login, shared_server(CHAIN), "e")
    await importer.subscribe("l.work", queue="q")
    await other.subscribe("s.work", queue="q")
    count = 200
    await exporter.send(b"PUB s.work 0\r\n\r\n" * count)
    await exporter.ping_pong()
    shares = []
    for client in (importer, other):
        await client.send(b"PING\r\n")
        share = 0
        while (item := await client.next_item()) != b"PONG\r\n":
            share += item.startswith(b"MSG ")
        shares.append(share)
    assert sum(shares) == count
    assert min(shares) > 0


async def test_streams_cross_one_border_only(
    exporter: RawClient, importer: RawClient, shared_server: StartServer, login: Dial
) -> None:
    far = await enter(login, shared_server(CHAIN), "c")
    await importer.subscribe("l.x")
    await far.subscribe("l.x")
    await exporter.publish("s.x")
    await importer.expect(b"MSG l.x 1 0\r\n\r\n")
    await far.ping_pong()
    await importer.send(b"PUB l.x 0\r\n\r\n")
    await importer.expect(b"MSG l.x 1 0\r\n\r\n")
    await far.expect(b"MSG l.x 1 0\r\n\r\n")


async def test_requests_pass_through_the_account_in_between(
    exporter: RawClient, shared_server: StartServer, login: Dial
) -> None:
    far = await enter(login, shared_server(CHAIN), "c")
    await exporter.subscribe("one")
    await ask(far, "far")
    message = await exporter.expect_message()
    assert b'"acc":"C","svc":"I"' in message.header
    await exporter.publish(message.reply, b"ok")
    await far.expect(b"MSG in in 2\r\nok\r\n")


async def test_a_far_request_that_nobody_hears_names_its_own_subject(shared_server: StartServer, login: Dial) -> None:
    far = await enter(login, shared_server(CHAIN), "c")
    await ask(far, "far")
    await far.expect(b"HMSG in in 35 35\r\nNATS/1.0 503\r\nNats-Subject: far\r\n\r\n\r\n")


async def test_a_request_goes_to_every_account_that_it_is_imported_from(
    exporter: RawClient, importer: RawClient, shared_server: StartServer, login: Dial
) -> None:
    other = await enter(login, shared_server(CHAIN), "f")
    await exporter.subscribe("one")
    await other.subscribe("one")
    await ask(importer, "both")
    for responder in (exporter, other):
        message = await responder.expect_message()
        await responder.publish(message.reply, b"ok")
        await importer.expect(b"MSG in in 2\r\nok\r\n")


async def test_a_literal_service_takes_requests_on_any_local_subject(exporter: RawClient, importer: RawClient) -> None:
    await exporter.subscribe("one")
    await ask(importer, "any.thing.at.all")
    assert (await exporter.expect_message()).subject == "one"


async def test_mappings_of_the_exporter_apply_to_requests(exporter: RawClient, importer: RawClient) -> None:
    await exporter.subscribe("plain.mapped")
    await ask(importer, "plain")
    assert (await exporter.expect_message()).subject == "plain.mapped"


async def test_a_request_without_reply_crosses_too(exporter: RawClient, importer: RawClient) -> None:
    await exporter.subscribe("two")
    await importer.publish("local.two", b"x")
    message = await exporter.expect_message()
    assert (message.reply, message.payload) == ("", b"x")
    assert b"Nats-Request-Info: {" in message.header


async def test_local_subscribers_hear_a_request_as_it_is(exporter: RawClient, importer: RawClient) -> None:
    await exporter.subscribe("one")
    await importer.subscribe("local.one")
    await ask(importer, "local.one")
    await importer.expect(b"MSG local.one 1 in 0\r\n\r\n")
    await exporter.expect_message()


async def test_an_answer_may_want_an_answer(exporter: RawClient, importer: RawClient) -> None:
    await exporter.subscribe("one")
    await exporter.subscribe("more", sid="more")
    await ask(importer, "local.one")
    await exporter.publish((await exporter.expect_message()).reply, b"ok", reply="more")
    answer = await importer.expect_message()
    assert answer.reply.startswith("_R_.")
    await importer.publish(answer.reply, b"thanks")
    await exporter.expect(b"MSG more more 6\r\nthanks\r\n")


async def test_nobody_is_told_that_an_answer_comes_too_late(exporter: RawClient, importer: RawClient) -> None:
    await exporter.subscribe("one")
    await exporter.subscribe("more", sid="more")
    await ask(importer, "local.one")
    reply = (await exporter.expect_message()).reply
    await exporter.publish(reply, b"1")
    await exporter.publish(reply, b"2", reply="more")
    await exporter.ping_pong()
    await importer.expect(b"MSG in in 1\r\n1\r\n")
    await importer.ping_pong()


async def test_rights_are_about_the_client_s_own_subjects(
    exporter: RawClient, shared_server: StartServer, login: Dial
) -> None:
    few = await enter(login, shared_server(CHAIN), "few")
    await exporter.subscribe("*")
    await ask(few, "local.one")
    assert (await exporter.expect_message()).subject == "one"
    await few.send(b"PUB local.two in 0\r\n\r\n")
    await few.expect_err('Permissions Violation for Publish to "local.two"')
    await few.subscribe("l.*", sid="l")
    await few.ping_pong()
    await exporter.publish("s.secret")
    await exporter.publish("s.open")
    await few.expect(b"MSG l.open l 0\r\n\r\n")


BEFORE = """
accounts {
  E { users: [ { user: e, password: p } ], exports: [ { stream: "s.>" }, { service: "one" }, { service: "two" } ] }
  I { users: [ { user: i, password: p } ], imports: [ %s ] }
}
"""
OLD = '{ stream: { account: E, subject: "s.>" } }, { service: { account: E, subject: "one" }, to: "x" }'
NEW = """
  { stream: { account: E, subject: "s.a" }, to: "b" }
  { service: { account: E, subject: "two" }, to: "x", share: true }
"""


async def test_a_reload_swaps_imports_under_living_connections(server_kind: ServerKind, login: Dial) -> None:
    async with running_server(server_kind, config=BEFORE % OLD) as server:
        e, i = await enter(login, server, "e"), await enter(login, server, "i")
        await e.subscribe("*")
        await i.subscribe(">")
        await i.ping_pong()
        await e.publish("s.a")
        await e.publish("s.b")
        await i.expect(b"MSG s.a 1 0\r\n\r\nMSG s.b 1 0\r\n\r\n")
        server.write_config(BEFORE % NEW)
        server.signal(signal.SIGHUP)
        with trio.fail_after(RELOAD_S):
            await e.publish("s.a")
            while await i.next_item() != b"MSG b 1 0\r\n\r\n":
                await e.publish("s.a")
        await e.publish("s.b")
        await i.ping_pong()
        await i.send(b"PUB x in 0\r\n\r\n")
        message = await e.expect_message()
        assert message.subject == "two"
        assert b'"user":"i"' in message.header
