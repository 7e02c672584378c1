"""Accounts: isolation, limits, and what crosses between them by imports and exports.

Numbers are those of the security checklist (reference: security, section 11).
"""

from __future__ import annotations

import json

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server, ServerKind, refused_start

ISOLATED = """
accounts {
  A { users: [ { user: a, password: p }, { user: a2, password: p } ], mappings { "src": "dst" } }
  B { users: [ { user: b, password: p } ] }
  FEW { users: [ { user: few, password: p } ], limits { max_connections: 1 } }
  SMALL { users: [ { user: small, password: p } ], limits { max_subscriptions: 2, max_payload: 100 } }
}
"""
CROSSING = """
accounts {
  EXP {
    users: [ { user: exp, password: p } ]
    exports: [
      { stream: "pub.>" }
      { stream: "private.>", accounts: [IMP] }
      { stream: "own.*.>", account_token_position: 2 }
      { service: "svc.one" }
      { service: "svc.many", response_type: stream }
      { service: "w.*.*" }
      { service: "svc.shared" }
    ]
  }
  IMP {
    users: [ { user: imp, password: p, permissions: {} } ]
    imports: [
      { stream: { account: EXP, subject: "pub.a.>" }, prefix: "from.exp" }
      { stream: { account: EXP, subject: "pub.b.*.*" }, to: "lb.$2.$1" }
      { stream: { account: EXP, subject: "pub.same" } }
      { stream: { account: EXP, subject: "private.x" } }
      { stream: { account: EXP, subject: "own.IMP.>" } }
      { service: { account: EXP, subject: "svc.one" }, to: "local.one" }
      { service: { account: EXP, subject: "svc.many" } }
      { service: { account: EXP, subject: "w.*.*" }, to: "lw.$2.$1" }
      { service: { account: EXP, subject: "svc.shared" }, share: true }
    ]
  }
}
"""


async def enter(login: Dial, server: Server, name: str) -> RawClient:
    client: RawClient = await login(server, user=name, headers=True, no_responders=True, **{"pass": "p"})
    return client


async def test_messages_do_not_cross_accounts(shared_server: StartServer, login: Dial) -> None:
    """Security checklist 113."""
    server = shared_server(ISOLATED)
    a, a2, b = [await enter(login, server, name) for name in ("a", "a2", "b")]
    await a2.subscribe(">")
    await b.subscribe(">")
    await a.publish("isolated", b"hi")
    await a2.expect(b"MSG isolated 1 2\r\nhi\r\n")
    await b.ping_pong()
    await b.send(b"PUB isolated 0\r\n\r\n")
    await b.expect(b"MSG isolated 1 0\r\n\r\n")
    await a2.ping_pong()


async def test_queue_groups_do_not_cross_accounts(shared_server: StartServer, login: Dial) -> None:
    """Security checklist 113."""
    server = shared_server(ISOLATED)
    a, b = await enter(login, server, "a"), await enter(login, server, "b")
    await a.subscribe("jobs", queue="q")
    await b.subscribe("jobs", queue="q")
    await a.send(b"PUB jobs 0\r\n\r\n" * 20)
    await a.expect(b"MSG jobs 1 0\r\n\r\n" * 20)
    await b.ping_pong()


async def test_responder_in_another_account_is_no_responder(shared_server: StartServer, login: Dial) -> None:
    """Security checklist 113."""
    server = shared_server(ISOLATED)
    a, b = await enter(login, server, "a"), await enter(login, server, "b")
    await b.subscribe("service")
    await a.subscribe("inbox")
    await a.send(b"PUB service inbox 0\r\n\r\n")
    await a.expect(b"HMSG inbox 1 39 39\r\nNATS/1.0 503\r\nNats-Subject: service\r\n\r\n\r\n")


async def test_mappings_belong_to_their_account(shared_server: StartServer, login: Dial) -> None:
    """Security checklist 113."""
    server = shared_server(ISOLATED)
    a, b = await enter(login, server, "a"), await enter(login, server, "b")
    for client, subject in ((a, b"dst"), (b, b"src")):
        await client.subscribe("*")
        await client.send(b"PUB src 0\r\n\r\n")
        await client.expect(b"MSG " + subject + b" 1 0\r\n\r\n")


async def test_account_connection_limit_refuses_with_its_own_text(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 177."""
    server = shared_server(ISOLATED)
    first, second = await dial(server), await dial(server)
    await first.connect(user="few", **{"pass": "p"})
    await second.send_connect(user="few", **{"pass": "p"})
    await second.expect_err_and_close("maximum account active connections exceeded")
    await first.ping_pong()


async def test_account_subscription_limit_keeps_the_connection(shared_server: StartServer, login: Dial) -> None:
    """Security checklist 177."""
    c = await enter(login, shared_server(ISOLATED), "small")
    await c.send(b"SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n")
    await c.expect_err("maximum subscriptions exceeded")
    await c.ping_pong()


async def test_account_payload_limit_is_announced_and_closes(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 177."""
    c = await dial(shared_server(ISOLATED))
    assert c.info["max_payload"] == 1048576
    await c.connect(user="small", protocol=1, **{"pass": "p"})
    assert c.info["max_payload"] == 100
    await c.publish("fits", b"x" * 100)
    await c.send(b"PUB too.big 101\r\n")
    await c.expect_err_and_close("Maximum Payload Violation")


@pytest.fixture
async def exporter(shared_server: StartServer, login: Dial) -> RawClient:
    return await enter(login, shared_server(CROSSING), "exp")


@pytest.fixture
async def importer(shared_server: StartServer, login: Dial) -> RawClient:
    return await enter(login, shared_server(CROSSING), "imp")


@pytest.mark.parametrize(
    ("published", "delivered"),
    [
        ("pub.a.x", "from.exp.pub.a.x"),
        ("pub.b.1.2", "lb.2.1"),
        ("pub.same", "pub.same"),
        ("private.x", "private.x"),
        ("own.IMP.thing", "own.IMP.thing"),
    ],
)
async def test_stream_import_delivers_under_its_local_subject(
    exporter: RawClient, importer: RawClient, published: str, delivered: str
) -> None:
    """Security checklist 114, 115, 116, 117."""
    await importer.subscribe(delivered)
    await importer.subscribe(delivered.rpartition(".")[0] + ".*", sid="2")
    await exporter.send(f"HPUB {published} a.reply 12 14\r\nNATS/1.0\r\n\r\nhi\r\n".encode())
    got = sorted([await importer.next_item(), await importer.next_item()])
    wanted = [f"HMSG {delivered} {sid} a.reply 12 14\r\nNATS/1.0\r\n\r\nhi\r\n".encode() for sid in (1, 2)]
    assert got == wanted


@pytest.mark.parametrize("published", ["pub.c", "private.y", "own.OTHER.thing", "unexported"])
async def test_what_is_not_imported_stays_away(exporter: RawClient, importer: RawClient, published: str) -> None:
    """Security checklist 114, 116, 117."""
    await importer.subscribe(">")
    await exporter.publish(published)
    await importer.ping_pong()


async def test_stream_import_is_one_way(exporter: RawClient, importer: RawClient) -> None:
    """Security checklist 114."""
    await exporter.subscribe(">")
    await importer.publish("from.exp.pub.a.x")
    await importer.publish("pub.same")
    await exporter.ping_pong()


async def request(importer: RawClient, subject: str, payload: bytes = b"") -> None:
    """Sends a request from the importer; the answer comes on sid `in`."""
    await importer.subscribe("my.inbox", sid="in")
    await importer.send(f"PUB {subject} my.inbox {len(payload)}\r\n".encode() + payload + b"\r\n")


def request_info(header: bytes) -> dict[str, object]:
    """What Nats-Request-Info says; it must be there exactly once."""
    lines = [line for line in header.split(b"\r\n") if line.startswith(b"Nats-Request-Info:")]
    assert len(lines) == 1, header
    info: dict[str, object] = json.loads(lines[0].partition(b":")[2])
    return info


async def test_service_request_crosses_with_a_rewritten_reply(exporter: RawClient, importer: RawClient) -> None:
    """Security checklist 118, 119."""
    await exporter.subscribe("svc.one")
    await request(importer, "local.one", b"question")
    message = await exporter.expect_message()
    assert (message.subject, message.payload) == ("svc.one", b"question")
    assert message.reply.startswith("_R_.")
    info = request_info(message.header)
    assert info["acc"] == "IMP"
    assert set(info) <= {"acc", "rtt"}
    await exporter.publish(message.reply, b"answer")
    await importer.expect(b"MSG my.inbox in 6\r\nanswer\r\n")


async def test_shared_request_names_the_client(exporter: RawClient, importer: RawClient) -> None:
    """Security checklist 119."""
    await exporter.subscribe("svc.shared")
    await request(importer, "svc.shared")
    info = request_info((await exporter.expect_message()).header)
    assert (info["acc"], info["user"], info["id"]) == ("IMP", "imp", importer.info["client_id"])
    assert info["host"] == "127.0.0.1"


async def test_request_info_of_the_client_is_overwritten(exporter: RawClient, importer: RawClient) -> None:
    """Security checklist 120."""
    await exporter.subscribe("svc.one")
    header = b'NATS/1.0\r\nNats-Request-Info: {"acc":"FORGED"}\r\nKeep: this\r\n\r\n'
    await importer.send(b"HPUB local.one my.inbox %d %d\r\n%b\r\n" % (len(header), len(header), header))
    message = await exporter.expect_message()
    assert request_info(message.header)["acc"] == "IMP"
    assert b"Keep: this" in message.header


async def test_single_response_is_delivered_once(exporter: RawClient, importer: RawClient) -> None:
    """Security checklist 121."""
    await exporter.subscribe("svc.one")
    await request(importer, "local.one")
    reply = (await exporter.expect_message()).reply
    await exporter.publish(reply, b"1")
    await exporter.publish(reply, b"2")
    await importer.expect(b"MSG my.inbox in 1\r\n1\r\n")
    await importer.ping_pong()


async def test_streamed_response_goes_on_until_an_empty_message(exporter: RawClient, importer: RawClient) -> None:
    """Security checklist 122."""
    await exporter.subscribe("svc.many")
    await request(importer, "svc.many")
    reply = (await exporter.expect_message()).reply
    for payload in (b"1", b"2", b"3", b"", b"4"):
        await exporter.publish(reply, payload)
    await importer.expect(b"".join(b"MSG my.inbox in 1\r\n%d\r\n" % number for number in (1, 2, 3)))
    await importer.expect(b"MSG my.inbox in 0\r\n\r\n")
    await importer.ping_pong()


async def test_service_without_exporter_is_answered_with_503(importer: RawClient) -> None:
    """Security checklist 123."""
    await request(importer, "local.one")
    await importer.expect(b"HMSG my.inbox in 41 41\r\nNATS/1.0 503\r\nNats-Subject: local.one\r\n\r\n\r\n")


async def test_service_import_reorders_wildcards(exporter: RawClient, importer: RawClient) -> None:
    """Security checklist 124."""
    await exporter.subscribe("w.*.*")
    await request(importer, "lw.aa.bb")
    message = await exporter.expect_message()
    assert message.subject == "w.bb.aa"
    await exporter.publish(message.reply, b"ok")
    await importer.expect(b"MSG my.inbox in 2\r\nok\r\n")


@pytest.mark.parametrize("reply", ["_R_.a.b", "$JS.ACK.a", "_GR_.a.b.c"])
async def test_reserved_reply_prefixes_are_refused_in_any_account(importer: RawClient, reply: str) -> None:
    """Security checklist 132."""
    await importer.send(f"PUB local.one {reply} 0\r\n\r\n".encode())
    await importer.expect_err(f'Permissions Violation for Publish with Reply of "{reply}"')
    await importer.ping_pong()


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ("""accounts { A { exports: [ {service: a} ], imports: [ {service: {account: B, subject: b}, to: a} ] }
             B { exports: [ {service: b} ], imports: [ {service: {account: A, subject: a}, to: b} ] } }""",
         "import forms a cycle"),
        ("accounts { A { exports: [ {service: a, accounts: [C]} ] }, C {}\n"
         "B { imports: [ {service: {account: A, subject: a}} ] } }", "service import not authorized"),
        ("accounts { A { exports: [ {stream: a, accounts: [C]} ] }, C {}\n"
         "B { imports: [ {stream: {account: A, subject: a}} ] } }", "stream import not authorized"),
        ('accounts { B { imports: [ {stream: {account: QQ, subject: a}} ] } }',
         '"QQ" account not defined for stream import'),
        ("accounts { A { zzz: 1 } }", 'unknown field "zzz"'),
    ],
    ids=["cycle", "service not authorized", "stream not authorized", "unknown account", "unknown"],
)  # fmt: skip
def test_impossible_imports_stop_the_start(server_kind: ServerKind, config: str, text: str) -> None:
    """Security checklist 125, 126."""
    code, printed = refused_start(server_kind, config=config)
    assert code == 1
    assert text in printed
