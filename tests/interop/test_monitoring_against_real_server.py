"""The monitoring port and the requests behind it answer as the real server does, for the same clients."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.kit.certificates import CertificateAuthority
from tests.kit.eventually import eventually
from tests.kit.json_shape import differences
from tests.kit.monitoring import get
from tests.kit.rawclient import RawClient, open_connection, raw_client
from tests.kit.servers import Server, ServerKind, running_server

pytestmark = pytest.mark.real

CONFIG = """
server_name: same
server_tags: ["az:1", "disk:ssd"]
server_metadata: { rack: r1 }
max_subscriptions: 1000
accounts {
  APP {
    users: [ { user: app, password: app } ]
    mappings: { from: to, "w": [ { destination: w1, weight: 30 }, { destination: w2, weight: 70 } ] }
  }
  OTH { users: [ { user: oth, password: oth }, { nkey: UCNGL4W5QX66CFX6A6DCBVDH5VOHMI7B2UZZU7TXAUQQSI2JPHULCKBR } ] }
  SYS { users: [ { user: sys, password: sys } ] }
}
system_account: SYS
no_auth_user: app
"""

# What only a process of Go has.
RUNTIME = ("go", "git_commit?")

# All subscriptions of a server come in no order.
UNORDERED = ("subscriptions_list[].qgroup?", "subscriptions_list[].max?")

# Keys by which these clients are equal or differ by chance; the unit tests are about the order.
TIED = ("pending", "msgs_to", "msgs_from", "bytes_to", "bytes_from", "last", "idle", "rtt")

PAGES = (
    "/varz",
    "/connz",
    "/connz?subs=1",
    "/connz?subs=detail",
    "/connz?auth=1",
    "/connz?auth=true&subs=DETAIL&acc=APP",
    "/connz?state=closed",
    "/connz?state=closed&subs=1&auth=1&sort=cid",
    "/connz?state=all&auth=1",
    "/connz?state=ANY&sort=start",
    "/connz?cid=1",
    "/connz?user=oth",
    "/connz?user=bad&state=closed&auth=1",
    "/connz?acc=nobody",
    "/connz?acc=nobody&limit=5&offset=2",
    "/connz?offset=1&limit=1",
    "/connz?offset=100",
    "/connz?limit=-1&offset=-7",
    "/connz?limit=0",
    "/connz?mqtt_client=nobody",
    *(f"/connz?sort={key}" for key in (
        "cid", "start", "subs", "pending", "msgs_to", "msgs_from", "bytes_to", "bytes_from", "last", "idle", "uptime", "rtt",
    )),
    "/connz?sort=stop&state=closed",
    "/connz?sort=reason&state=closed",
    "/subsz",
    "/subscriptionsz",
    "/subsz?subs=1",
    "/subsz?subs=1&offset=2&limit=3",
    "/subsz?acc=APP",
    "/subsz?acc=APP&subs=1",
    "/subsz?acc=nobody",
    "/subsz?test=foo.1",
    "/subsz?test=foo.1&subs=1",
    "/accountz",
    "/accountz?acc=APP",
    "/accountz?acc=SYS",
    "/accstatz",
    "/accstatz?unused=1",
    "/routez",
    "/routez?subs=detail",
    "/gatewayz",
    "/gatewayz?accs=1",
    "/leafz",
    "/leafz?subs=1",
    "/jsz",
    "/jsz?accounts=1&streams=true&consumers=T&config=1&raft=1",
    "/healthz",
    "/healthz?details=1",
    "/healthz?js-enabled-only=1",
    "/healthz?js-enabled=1",
    "/healthz?js-server-only=true",
    "/healthz?js-meta-only=1",
    "/healthz?account=NOPE",
    "/healthz?stream=S",
    "/healthz?stream=S&details=1",
    "/healthz?account=A&consumer=C",
    "/healthz?consumer=C",
)  # fmt: skip

TEXTS = (
    "/connz?subs=foo",
    "/connz?auth=Yes",
    "/connz?auth=tRUE",
    "/connz?offset=a",
    "/connz?offset=1.5",
    "/connz?limit=99999999999999999999",
    "/connz?limit=%2B3x",
    "/connz?cid=-1",
    "/connz?cid=99999999999999999999",
    "/connz?cid=+1",
    "/connz?state=foo",
    "/connz?state=1",
    "/connz?sort=foo",
    "/connz?sort=CID",
    "/connz?sort=stop",
    "/connz?sort=reason",
    "/connz?sort=stop&state=all",
    "/connz?subs=x&auth=y",
    "/connz?offset=%22q%22%0a",
    "/subsz?test=foo.*",
    "/subsz?test=.",
    "/subsz?subs=detail",
    "/subsz?limit=x",
    "/accountz?acc=zzz",
    "/accstatz?unused=x",
    "/routez?subs=x",
    "/gatewayz?accs=x",
    "/leafz?subs=detail",
    "/jsz?streams=x",
    "/jsz?offset=x",
    "/healthz?js-enabled-only=foo",
    "/healthz?details=foo",
    "/nope",
    "/expvarz",
    "/debug/pprof/",
    "/varz/",
    "/healthz/x",
    "/VARZ",
)


class Pair:
    """Both servers with the same clients on them."""

    def __init__(self, ours: Server, theirs: Server) -> None:
        self.ours, self.theirs = ours, theirs
        self.clients: dict[str, tuple[RawClient, RawClient]] = {}


@asynccontextmanager
async def pair(config: str = CONFIG) -> AsyncIterator[Pair]:
    """Both servers; the same clients come and go on each, one after the other."""
    async with AsyncExitStack() as stack:
        servers = []
        for kind in (ServerKind.OURS, ServerKind.REAL):
            servers.append(await stack.enter_async_context(running_server(kind, config=config, monitoring=True)))
        both = Pair(*servers)
        for name, options in CLIENTS.items():
            made = []
            for server in servers:
                client = await stack.enter_async_context(raw_client(server))
                made.append(await client.connect(lang="raw", version="1.0", name=name, **options))
            both.clients[name] = (made[0], made[1])
        for at, server in enumerate(servers):
            await _use(server, {name: clients[at] for name, clients in both.clients.items()})
        yield both


CLIENTS: dict[str, dict[str, Any]] = {
    "busy": {"user": "app", "pass": "app", "headers": True},
    "quiet": {"user": "oth", "pass": "oth", "protocol": 1},
    "admin": {"user": "sys", "pass": "sys"},
    "leaver": {},
}


async def _use(server: Server, clients: dict[str, RawClient]) -> None:
    busy, leaver = clients["busy"], clients["leaver"]
    await busy.subscribe("foo.*", sid="1")
    await busy.subscribe("work", sid="2", queue="workers")
    await busy.subscribe("limited", sid="3")
    await busy.send(b"UNSUB 3 5\r\n")
    for _ in range(3):
        await busy.send(b"PUB foo.1 2\r\nhi\r\n")
        await busy.expect_message()
    await clients["quiet"].subscribe(">", sid="all")
    await leaver.subscribe("gone.1", sid="7")
    await leaver.aclose()
    async with raw_client(server) as refused:
        await refused.send_connect(user="bad", name="r", lang="raw", version="2")
        await refused.expect_err_and_close("Authorization Violation")

    async def both_are_closed() -> bool:
        closed = (await get(server, "/connz?state=closed")).json()
        return bool(closed["total"] == 2)

    await eventually(both_are_closed)


async def _json_of(server: Server, path: str) -> Any:
    """A page whose subscriptions are sorted, since the real server lists them in a random order."""
    page = (await get(server, path)).json()
    for row in (page["connections"] or ()) if path.startswith("/connz") else ():
        row.get("subscriptions_list", []).sort()
        row.get("subscriptions_list_detail", []).sort(key=lambda detail: detail["sid"])
    return page


def _expect_none(wrong: list[str]) -> None:
    if wrong:
        pytest.fail("\n".join(wrong))


async def test_every_page_has_the_same_shape() -> None:
    async with pair() as both:
        wrong = []
        for path in PAGES:
            ours, theirs = await get(both.ours, path), await get(both.theirs, path)
            if ours.status != theirs.status:
                wrong.append(f"{path}: wanted status {theirs.status}, got {ours.status}: {ours.text}")
                continue
            for header in ("content-type", "access-control-allow-origin"):
                if ours.headers.get(header) != theirs.headers.get(header):
                    wrong.append(f"{path}: {header} {ours.headers.get(header)} for {theirs.headers.get(header)}")
            pages = await _json_of(both.ours, path), await _json_of(both.theirs, path)
            but = (*RUNTIME, *UNORDERED, "http_req_stats")
            wrong += [f"{path}: {text}" for text in differences(*pages, but=but)]
        _expect_none(wrong)


async def test_every_refusal_has_the_same_words() -> None:
    async with pair() as both:
        wrong = []
        for path in TEXTS:
            ours, theirs = await get(both.ours, path), await get(both.theirs, path)
            for what in ("status", "text"):
                if getattr(ours, what) != getattr(theirs, what):
                    wrong.append(f"{path}: wanted {what} {getattr(theirs, what)!r}, got {getattr(ours, what)!r}")
            types = [page.headers.get("content-type") for page in (ours, theirs)]
            if types[0] != types[1]:
                wrong.append(f"{path}: wanted content type {types[1]}, got {types[0]}")
        _expect_none(wrong)


async def test_connections_are_listed_in_the_same_order_with_the_same_figures() -> None:
    figures = ("name", "lang", "version", "in_msgs", "in_bytes", "out_msgs", "out_bytes", "subscriptions",
               "authorized_user", "account", "name_tag", "reason", "subscriptions_list")  # fmt: skip
    async with pair() as both:
        wrong = []
        for path in PAGES:
            if not path.startswith("/connz"):
                continue
            ours, theirs = await _json_of(both.ours, path), await _json_of(both.theirs, path)
            for name in ("num_connections", "total", "offset", "limit"):
                if ours[name] != theirs[name]:
                    wrong.append(f"{path}: {name} wanted {theirs[name]}, got {ours[name]}")
            rows = [
                [{key: row.get(key) for key in figures} for row in page["connections"] or ()] for page in (ours, theirs)
            ]
            if any(f"sort={key}" in path for key in TIED):
                rows = [sorted(each, key=lambda row: row["name"]) for each in rows]
            if rows[0] != rows[1]:
                wrong.append(f"{path}: wanted {json.dumps(rows[1])}\n   got {json.dumps(rows[0])}")
        _expect_none(wrong)


REQUESTS = (
    ("$SYS.REQ.SERVER.PING", b""),
    ("$SYS.REQ.SERVER.PING.STATSZ", b""),
    ("$SYS.REQ.SERVER.PING.STATSZ", b"{"),
    ("$SYS.REQ.SERVER.PING.IDZ", b""),
    ("$SYS.REQ.SERVER.PING.IDZ", b'{"server_name":"other"}'),
    ("$SYS.REQ.SERVER.PING.VARZ", b""),
    ("$SYS.REQ.SERVER.PING.VARZ", b"{"),
    ("$SYS.REQ.SERVER.PING.VARZ", b"null"),
    ("$SYS.REQ.SERVER.PING.VARZ", b'{"unknown":1}'),
    ("$SYS.REQ.SERVER.PING.VARZ", b'{"server_name":"am","host":"127.0","tags":["AZ:1","disk:SSD"]}'),
    ("$SYS.REQ.SERVER.PING.VARZ", b'{"server_name":"same","exact_match":true}'),
    ("$SYS.REQ.SERVER.PING.VARZ", b'{"server_name":7}'),
    ("$SYS.REQ.SERVER.PING.VARZ", b'{"tags":"az:1"}'),
    ("$SYS.REQ.SERVER.ID.VARZ", b""),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"auth":true,"state":2}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"subscriptions":true,"sort":"cid"}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"subscriptions_detail":true,"subscriptions":true,"acc":"OTH"}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"filter_subject":"foo.1","acc":"APP"}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"filter_subject":"foo.>","acc":"APP"}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"filter_subject":"none","acc":"APP"}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"filter_subject":"foo.1"}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"sort":"zz"}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"sort":"stop"}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"state":7}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"state":"open"}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"limit":"a"}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"limit":1.5}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"cid":-1}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b"[]"),
    ("$SYS.REQ.SERVER.PING.CONNZ", b"7"),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'"text"'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b"xyz"),
    ("$SYS.REQ.SERVER.PING.CONNZ", b" "),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"a" 1}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"a":1 "b":2}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"a":}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b"{} x"),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"a":'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b"{'a':1}"),
    ("$SYS.REQ.SERVER.PING.SUBSZ", b""),
    ("$SYS.REQ.SERVER.PING.SUBSZ", b'{"test":"a.*"}'),
    ("$SYS.REQ.SERVER.PING.SUBSZ", b'{"account":"OTH","subscriptions":true,"test":"a.b"}'),
    ("$SYS.REQ.SERVER.PING.HEALTHZ", b""),
    ("$SYS.REQ.SERVER.PING.HEALTHZ", b'{"stream":"S"}'),
    ("$SYS.REQ.SERVER.PING.HEALTHZ", b'{"stream":"S","details":true}'),
    ("$SYS.REQ.SERVER.PING.ACCOUNTZ", b""),
    ("$SYS.REQ.SERVER.PING.ACCOUNTZ", b'{"account":"APP"}'),
    ("$SYS.REQ.SERVER.PING.ACCOUNTZ", b'{"account":"zz"}'),
    ("$SYS.REQ.SERVER.PING.ROUTEZ", b""),
    ("$SYS.REQ.SERVER.PING.GATEWAYZ", b""),
    ("$SYS.REQ.SERVER.PING.LEAFZ", b""),
    ("$SYS.REQ.SERVER.PING.JSZ", b""),
    ("$SYS.REQ.SERVER.PING.ACCSTATZ", b""),
    ("$SYS.REQ.SERVER.PING.NOPE", b""),
    ("$SYS.REQ.SERVER.PING.RELOAD", b""),
    ("$SYS.REQ.ACCOUNT.PING.STATZ", b""),
    ("$SYS.REQ.ACCOUNT.PING.STATZ", b'{"include_unused":true}'),
    ("$SYS.REQ.ACCOUNT.PING.STATZ", b'{"accounts":["OTH"]}'),
    ("$SYS.REQ.ACCOUNT.APP.STATZ", b""),
    ("$SYS.REQ.ACCOUNT.APP.INFO", b""),
    ("$SYS.REQ.ACCOUNT.zz.INFO", b""),
    ("$SYS.REQ.ACCOUNT.APP.CONNZ", b'{"auth":true}'),
    ("$SYS.REQ.ACCOUNT.PING.CONNZ", b""),
    ("$SYS.REQ.ACCOUNT.APP.SUBSZ", b""),
    ("$SYS.REQ.ACCOUNT.APP.LEAFZ", b""),
    ("$SYS.REQ.ACCOUNT.APP.CONNS", b""),
)


async def _ask(client: RawClient, subject: str, body: bytes, *, reply: str) -> Any:
    """The answer as JSON, or the header of one without a body."""
    await client.send(f"PUB {subject} {reply} {len(body)}\r\n".encode() + body + b"\r\n")
    message = await client.expect_message()
    assert message.subject == reply
    return message.json() if message.payload else message.header.split(b"\r\n")[0].decode()


async def test_every_request_of_the_system_account_has_the_same_shape_and_the_same_errors() -> None:
    but = (
        *(f"{prefix}.{path}" for prefix in ("data", "statsz") for path in (*RUNTIME, *UNORDERED, "http_req_stats")),
        "data.subscriptions_list",
    )  # fmt: skip
    async with pair() as both, AsyncExitStack() as stack:
        wrong = []
        askers = []
        for server in (both.ours, both.theirs):
            client = await stack.enter_async_context(raw_client(server))
            await client.connect(
                user="sys", **{"pass": "sys"}, headers=True, no_responders=True, name="asker", lang="raw", version="1.0"
            )
            await client.subscribe("_INBOX.>", sid="9")
            askers.append(client)
        for at, (subject, body) in enumerate(REQUESTS):
            answers = []
            for client in askers:
                identity = await _ask(client, "$SYS.REQ.SERVER.PING.IDZ", b"", reply=f"_INBOX.id.{at}")
                own = subject.replace("ID.", f"{identity['id']}.") if ".ID." in subject else subject
                answers.append(await _ask(client, own, body, reply=f"_INBOX.{at}"))
            ours, theirs = answers
            wrong += [f"{subject} {body!r}: {text}" for text in differences(ours, theirs, but=but)]
            if isinstance(theirs, dict) and isinstance(ours, dict) and ours.get("error") != theirs.get("error"):
                wrong.append(f"{subject} {body!r}: wanted {theirs.get('error')}, got {ours.get('error')}")
        _expect_none(wrong)


async def test_requests_for_other_servers_are_not_answered() -> None:
    async with pair() as both:
        for server in (both.ours, both.theirs):
            async with raw_client(server) as client:
                await client.connect(user="sys", **{"pass": "sys"}, headers=True, no_responders=True)
                await client.subscribe("_INBOX.>", sid="9")
                for at, body in enumerate((
                    b'{"server_name":"other"}', b'{"host":"127","exact_match":true}', b'{"tags":["az:1","none"]}',
                    b'{"cluster":"C"}', b'{"domain":"D"}',
                )):  # fmt: skip
                    line = f"PUB $SYS.REQ.SERVER.PING.VARZ _INBOX.v{at} {len(body)}\r\n"
                    await client.send(line.encode() + body + b"\r\n")
                # Answers come in order, so the next one is that of the request behind them.
                await _ask(client, "$SYS.REQ.SERVER.PING.IDZ", b"", reply="_INBOX.last")


@pytest.mark.parametrize("first", [False, True], ids=["info_first", "tls_first"])
async def test_secure_connections_are_shown_with_their_certificates(
    authority: CertificateAuthority, first: bool
) -> None:
    served = authority.issue_server()
    known = authority.issue("shown", subject=(("CN", "cli"), ("O", "Org")))
    config = f"""
      tls {{
        cert_file: "{served.cert_file}", key_file: "{served.key_file}", ca_file: "{authority.ca_file}", verify: true
        handshake_first: {str(first).lower()}, timeout: 3
      }}
    """
    async with AsyncExitStack() as stack:
        pages = []
        for kind in (ServerKind.OURS, ServerKind.REAL):
            server = await stack.enter_async_context(running_server(kind, config=config, monitoring=True))
            client = await stack.enter_async_context(
                raw_client(server, tls=authority.client_context(known), tls_first=first)
            )
            await client.connect(name="secure", lang="raw", version="1")
            stream = await open_connection(server)
            await stream.send_all(b"CONNECT {}\r\nPING\r\n" if first else b"\x16\x03\x01\x00\x05hello")
            await stream.aclose()

            async def is_remembered(server: Server = server) -> bool:
                return bool((await _json_of(server, "/connz?state=closed"))["total"] == 1)

            await eventually(is_remembered)
            pages.append(
                [await _json_of(server, path) for path in ("/varz", "/connz?auth=1", "/connz?state=closed&auth=1")]
            )
        ours, theirs = pages
        wrong = [text for one, other in zip(ours, theirs, strict=True) for text in differences(one, other, but=RUNTIME)]
        for figure in ("total_connections", "connections", "tls_cert_not_after", "tls_timeout", "auth_timeout"):
            if ours[0][figure] != theirs[0][figure]:
                wrong.append(f"/varz: {figure} wanted {theirs[0][figure]}, got {ours[0][figure]}")
        for figure in ("tls_version", "tls_peer_certs", "tls_first"):
            row, other = ours[1]["connections"][0], theirs[1]["connections"][0]
            if row.get(figure) != other.get(figure):
                wrong.append(f"/connz: {figure} wanted {other.get(figure)}, got {row.get(figure)}")
        if ours[2]["connections"][0]["reason"] != theirs[2]["connections"][0]["reason"]:
            wrong.append(f"closed: wanted {theirs[2]['connections']}, got {ours[2]['connections']}")
        _expect_none(wrong)


USERS = """
accounts {
  APP {
    users: [
      { user: all, password: p }
      { user: some, password: p, permissions: {
          publish: { allow: ["$SYS.REQ.>", "a"], deny: "b" }, subscribe: ">", allow_responses: { max: 3, expires: "1m" } } }
      { user: quiet, password: p, permissions: { publish: "$SYS.REQ.>", subscribe: { deny: ["x", "y z"] } } }
      { user: reader, password: p, permissions: { subscribe: { deny: "x" } } }
    ]
  }
  SYS { users: [ { user: sys, password: p } ] }
}
system_account: SYS
"""
OWN_REQUESTS = (
    ("$SYS.REQ.USER.INFO", b""),
    ("$SYS.REQ.USER.INFO", b'{"server_name":"other"}'),
    ("$SYS.REQ.USER.INFO", b"{"),
    ("$SYS.REQ.ACCOUNT.PING.CONNZ", b'{"auth":true}'),
    ("$SYS.REQ.ACCOUNT.PING.CONNZ", b'{"acc":"SYS","sort":"zz"}'),
    ("$SYS.REQ.SERVER.PING.CONNZ", b'{"acc":"SYS"}'),
    ("$SYS.REQ.ACCOUNT.PING.STATZ", b""),
    ("$SYS.REQ.SERVER.PING.VARZ", b""),
    ("$SYS.REQ.ACCOUNT.SYS.CONNZ", b""),
)


def _users(page: Any) -> list[str | None]:
    """Whom the connections of an answer belong to, if it is about connections."""
    connections = (page.get("data") or {}).get("connections")
    return [row.get("authorized_user") for row in connections] if isinstance(connections, list) else []


@pytest.mark.parametrize(
    ("config", "logins"),
    [
        (USERS, [{"user": name, "pass": "p"} for name in ("all", "some", "quiet", "reader", "sys")]),
        ("authorization { token: secret }", [{"auth_token": "secret"}]),
        ("", [{}, {"user": "u", "pass": "p"}, {"auth_token": "t"}]),
        ("no_system_account: true", [{}]),
    ],
    ids=["users", "token", "open", "no_system_account"],
)
async def test_accounts_may_ask_about_themselves_only(config: str, logins: list[dict[str, str]]) -> None:
    async with AsyncExitStack() as stack:
        told: list[list[Any]] = []
        for kind in (ServerKind.OURS, ServerKind.REAL):
            server = await stack.enter_async_context(running_server(kind, config=config))
            told.append([])
            for login in logins:
                async with raw_client(server) as client:
                    await client.connect(**login, headers=True, no_responders=True, name="me", lang="raw")
                    await client.subscribe("_INBOX.>", sid="1")
                    for at, (subject, body) in enumerate(OWN_REQUESTS):
                        told[-1].append(await _ask(client, subject, body, reply=f"_INBOX.{at}"))
        but = tuple(f"data.{path}" for path in (*RUNTIME, "http_req_stats"))
        wrong = []
        asked = [(login, *request) for login in logins for request in OWN_REQUESTS]
        for question, ours, theirs in zip(asked, *told, strict=True):
            wrong += [f"{question}: {text}" for text in differences(ours, theirs, but=but)]
            if isinstance(ours, dict) and isinstance(theirs, dict):
                if ours.get("error") != theirs.get("error"):
                    wrong.append(f"{question}: wanted {theirs.get('error')}, got {ours.get('error')}")
                if "USER.INFO" in question[1] and _unordered(ours.get("data")) != _unordered(theirs.get("data")):
                    wrong.append(f"{question}: wanted {theirs.get('data')}, got {ours.get('data')}")
                rows = [_users(page) for page in (ours, theirs)]
                if rows[0] != rows[1]:
                    wrong.append(f"{question}: wanted the users {rows[1]}, got {rows[0]}")
        _expect_none(wrong)


def _unordered(value: Any) -> Any:
    """The value with every list sorted: nats-server lists permissions in the order of a map, which is none."""
    match value:
        case dict():
            return {name: _unordered(member) for name, member in value.items()}
        case list():
            return sorted((_unordered(entry) for entry in value), key=repr)
        case _:
            return value


ORDERS = (
    ("KICK", '{"cid":99999}'), ("KICK", '{"id":1}'), ("KICK", '{"cid":CID}'), ("LDM", '{"cid":99999}'),
    ("LDM", '{"cid":OLD}'),
)  # fmt: skip


async def test_a_connection_is_kicked_or_told_to_move_by_request() -> None:
    async with AsyncExitStack() as stack:
        told = []
        for kind in (ServerKind.OURS, ServerKind.REAL):
            server = await stack.enter_async_context(running_server(kind, config=USERS, monitoring=True))
            asker = await stack.enter_async_context(raw_client(server))
            await asker.connect(user="sys", **{"pass": "p"}, headers=True)
            await asker.subscribe("_INBOX.>", sid="1")
            identity = await _ask(asker, "$SYS.REQ.SERVER.PING.IDZ", b"", reply="_INBOX.id")
            victim, mover, old = [await stack.enter_async_context(raw_client(server)) for _ in range(3)]
            await victim.connect(user="all", **{"pass": "p"})
            await mover.connect(user="all", **{"pass": "p"}, protocol=1)
            await old.connect(user="all", **{"pass": "p"}, protocol=0)
            cids = {"CID": victim.info["client_id"], "OLD": old.info["client_id"]}
            answers = []
            for at, (order, body) in enumerate((*ORDERS, ("LDM", f'{{"cid":{mover.info["client_id"]}}}'))):
                for name, cid in cids.items():
                    body = body.replace(name, str(cid))
                subject = f"$SYS.REQ.SERVER.{identity['id']}.{order}"
                answer = await _ask(asker, subject, body.encode(), reply=f"_INBOX.{at}")
                answers.append({key: value for key, value in answer.items() if key != "server"})
            await victim.expect_closed()
            assert (await mover.expect_info())["ldm"] is True
            told.append(
                (answers, [row["reason"] for row in (await _json_of(server, "/connz?state=closed"))["connections"]])
            )
        assert told[0] == told[1]
