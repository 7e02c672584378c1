"""What the log shows of protocol lines, and which options decide about it (reference: operations 5.5)."""

from __future__ import annotations

import re
import signal

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.eventually import eventually
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server, ServerKind, running_server

BLOCK = b"NATS/1.0\r\nA: b\r\n\r\n"
TWO_ACCOUNTS = """
accounts {
  SYS { users: [ { user: s, password: p } ] }
  A { users: [ { user: a, password: p } ] }
}
system_account: SYS
"""


async def lines_of(server: Server, client: RawClient) -> list[str]:
    """The trace lines of a connection, once it has said its last word."""
    await client.send(b"SUB last.word 99\r\n")
    cid = client.info["client_id"]
    pattern = re.compile(rf"\[TRC\] [^ ]+ - cid:{cid} (?:- \"[^\"]*\" )?- (.*)")

    def found() -> list[str]:
        lines = pattern.findall(server.log_text())
        return lines if "<<- [SUB last.word 99]" in lines else []

    return await eventually(found, what="the trace of the last word")


async def tell(client: RawClient, subject: str) -> None:
    """A plain message, one with headers and an empty one, delivered to the sender itself."""
    await client.subscribe(subject)
    size = f"{len(BLOCK)} {len(BLOCK) + 7}".encode()
    await client.send(b"PUB %b 6\r\nh\xc3\xa9l\xff\x01\r\n" % subject.encode())
    await client.send(b"HPUB %b %b\r\n%bpayload\r\n" % (subject.encode(), size, BLOCK))
    await client.send(b"PUB %b re 0\r\n\r\n" % subject.encode())


@pytest.mark.parametrize(
    ("config", "plain", "headers"),
    [
        ("trace: true", r'["hél\xff\x01"]', r'["NATS/1.0\r\nA: b\r\n\r\npayload"]'),
        ("trace: true, max_traced_msg_len: 3", r'["hé..."]', '["NAT..."]'),
        ("trace: true, max_traced_msg_len: 6", r'["hél\xff\x01"]', '["NATS/1..."]'),
        ("trace: true, max_traced_msg_len: -1", r'["hél\xff\x01"]', r'["NATS/1.0\r\nA: b\r\n\r\npayload"]'),
        ("trace_headers: true", "", r'["NATS/1.0\r\nA: b"]'),
        ("trace_headers: true, max_traced_msg_len: 4", "", '["NATS..."]'),
    ],
)
async def test_payloads_are_shown_as_the_options_say(
    shared_server: StartServer, login: Dial, config: str, plain: str, headers: str
) -> None:
    server = shared_server(config)
    client = await login(server, headers=True)
    await tell(client, "told")
    lines = await lines_of(server, client)
    wanted = [
        "<<- [PUB told 6]",
        *([f"<<- MSG_PAYLOAD: {plain}"] if plain else []),
        "->> [MSG told 1 6]",
        *([f"->> MSG_PAYLOAD: {plain}"] if plain else []),
        "<<- [HPUB told 18 25]",
        f"<<- MSG_PAYLOAD: {headers}",
        "->> [HMSG told 1 18 25]",
        f"->> MSG_PAYLOAD: {headers}",
        "<<- [PUB told re 0]",
        "->> [MSG told 1 re 0]",
    ]
    assert [line for line in lines if "told" in line or "PAYLOAD" in line][1:] == wanted


async def test_receiver_without_headers_is_shown_what_it_gets(shared_server: StartServer, login: Dial) -> None:
    server = shared_server("trace: true")
    old, sender = await login(server), await login(server, headers=True)
    await old.subscribe("stripped")
    await sender.send(b"HPUB stripped 18 25\r\n" + BLOCK + b"payload\r\n")
    await old.expect_message()
    lines = [line for line in await lines_of(server, old) if "last.word" not in line]
    assert lines[-2:] == [
        "->> [MSG stripped 1 7]",
        '->> MSG_PAYLOAD: ["payload"]',
    ]


async def test_answers_are_shown_and_infos_are_not(shared_server: StartServer, login: Dial) -> None:
    server = shared_server("trace: true")
    client = await login(server, verbose=True, protocol=1)
    await client.send(b"SUB x 1\r\nPUB $NRG.x 0\r\n\r\n+OK\r\n")
    lines = await lines_of(server, client)
    after = [line for line in lines if "CONNECT" not in line]
    assert after[0] == "->> [OK]"
    assert '->> [-ERR Permissions Violation for Publish to "$NRG.x"]' in after
    assert not [line for line in after if "INFO" in line or "+OK" in line]


@pytest.mark.parametrize("flag", ["-V", "-VV"])
async def test_users_of_the_system_account_are_traced_like_others(
    shared_server: StartServer, login: Dial, flag: str
) -> None:
    server = shared_server(TWO_ACCOUNTS, args=[flag])
    client = await login(server, user="s", **{"pass": "p"})
    await client.subscribe("own")
    assert "<<- [SUB own 1]" in await lines_of(server, client)


async def ask_identity(server: Server, login: Dial) -> None:
    client = await login(server, user="s", **{"pass": "p"})
    await client.subscribe("answers")
    await client.send(b"PUB $SYS.REQ.SERVER.PING.IDZ answers 0\r\n\r\n")
    await client.expect_message()


async def test_the_server_itself_is_traced_only_verbosely(shared_server: StartServer, login: Dial) -> None:
    quiet, verbose = (shared_server(TWO_ACCOUNTS, args=[flag, "--max_traced_msg_len", "8"]) for flag in ("-V", "-VV"))
    for server in (quiet, verbose):
        await ask_identity(server, login)
    pattern = (
        r'\[TRC\] SYSTEM - <<- \[PUB answers  \d+\]\n.*\[TRC\] SYSTEM - <<- MSG_PAYLOAD: \["{\\"name\\":\.\.\."\]\n'
    )
    await eventually(lambda: re.search(pattern, verbose.log_text()), what="the trace of the answer")
    assert re.search(r"\[TRC\] SYSTEM - <<- \[SUB \$SYS\.REQ\.SERVER\.PING\.IDZ  \d+\]\n", verbose.log_text())
    assert "SYSTEM - <<-" not in quiet.log_text()


async def test_reload_changes_what_is_traced(server_kind: ServerKind, login: Dial) -> None:
    config = "trace: true, max_traced_msg_len: {bytes}"
    async with running_server(server_kind, config=config.format(bytes=2)) as server:
        client = await login(server)
        await client.publish("reloaded", b"before")
        server.write_config(config.format(bytes=3))
        server.signal(signal.SIGHUP)

        async def publish_until_cut() -> bool:
            await client.publish("reloaded", b"after")
            return '<<- MSG_PAYLOAD: ["aft..."]' in server.log_text()

        await eventually(publish_until_cut, what="a payload that is cut the new way")
        told = "[INF] Reloaded: max_traced_msg_len = 3\n"  # nats-server says so a moment after it is so
        await eventually(lambda: told in server.log_text(), what="the line about the reload")
        assert '<<- MSG_PAYLOAD: ["be..."]' in server.log_text()


async def test_refused_subscriptions_are_named_with_their_sid(shared_server: StartServer, login: Dial) -> None:
    deny = "permissions: { subscribe: { deny: [secret.>] } }"
    server = shared_server(f"authorization {{ users: [ {{ user: u, password: p, {deny} }} ] }}", args=["-DV"])
    client = await login(server, user="u", **{"pass": "p"})
    await client.send(b"SUB secret.a 17\r\nSUB secret.b workers x-1\r\n")
    for line in (
        'Subscription Violation - Subject "secret.a", SID 17',
        'Subscription Violation - Subject "secret.b", Queue: "workers", SID x-1',
    ):
        await eventually(lambda line=line: f'"$G/user:u" - {line}\n' in server.log_text(), what=line)  # type: ignore[misc]


async def test_the_end_of_a_subscription_is_shown(shared_server: StartServer, login: Dial) -> None:
    server = shared_server("trace: true")
    client = await login(server)
    await client.send(b"SUB ended.a 1\r\nUNSUB 1\r\nUNSUB 1\r\n")
    await client.send(b"SUB ended.b 2\r\nUNSUB 2 2\r\nPUB ended.b 0\r\n\r\nPUB ended.b 0\r\n\r\n")
    await client.send(b"SUB ended.c 3\r\nPUB ended.c 0\r\n\r\nUNSUB 3 1\r\nPUB ended.c 0\r\n\r\n")
    lines = await lines_of(server, client)
    assert lines[lines.index("<<- [SUB ended.a 1]") : -1] == [
        "<<- [SUB ended.a 1]",
        "<<- [UNSUB 1]",
        "<-> [DELSUB 1]",
        "<<- [UNSUB 1]",
        "<<- [SUB ended.b 2]",
        "<<- [UNSUB 2 2]",
        "<<- [PUB ended.b 0]",
        "->> [MSG ended.b 2 0]",
        "<<- [PUB ended.b 0]",
        "->> [MSG ended.b 2 0]",
        "<-> [DELSUB 2]",
        "<<- [SUB ended.c 3]",
        "<<- [PUB ended.c 0]",
        "->> [MSG ended.c 3 0]",
        "<<- [UNSUB 3 1]",
        "<-> [DELSUB 3]",
        "<<- [PUB ended.c 0]",
    ]


@pytest.mark.parametrize("ending", ["close", "second connect"])
async def test_all_subscriptions_of_a_connection_end_with_it(
    shared_server: StartServer, login: Dial, ending: str
) -> None:
    server = shared_server(TWO_ACCOUNTS, args=["-DV"])
    client = await login(server, user="a", **{"pass": "p"})
    await client.send(b"SUB all.a 1\r\nSUB all.b queue 2\r\n")
    await client.ping_pong()
    if ending == "close":
        await client.aclose()
    else:
        await client.connect(user="s", **{"pass": "p"})
    about = f'cid:{client.info["client_id"]} - "A/user:a" - '
    for sid in (1, 2):
        pattern = rf'cid:{client.info["client_id"]} - "[^"]*" - <-> \[DELSUB {sid}\]\n'
        await eventually(lambda pattern=pattern: re.search(pattern, server.log_text()), what=pattern)  # type: ignore[misc]
    connects = [line for line in server.log_text().splitlines() if f"{about}<<- [CONNECT" in line]
    assert len(connects) == (ending == "second connect")


async def test_a_maximum_that_is_reached_is_told_before_the_last_message(
    shared_server: StartServer, login: Dial
) -> None:
    server = shared_server("", args=["-DV"])
    client, sender = await login(server), await login(server)
    await client.send(b"SUB most 5\r\nUNSUB 5 1\r\n")
    await client.ping_pong()
    await sender.publish("most", b"")
    await client.expect_message()
    log = await eventually(lambda: server.log_text() if "[DELSUB 5]" in server.log_text() else "", what="the end")
    about = f" - cid:{client.info['client_id']} - "
    told = [line.partition(about)[2] for line in log.splitlines() if about in line]
    assert told[-3:] == [
        "Auto-unsubscribe limit of 1 reached for sid '5'",
        "->> [MSG most 5 0]",
        "<-> [DELSUB 5]",
    ]


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("{}", "{}"),
        ('{ "verbose" : false,\t"name":"caf\\u00e9" , "num":1.50,"name":"last"}  ', None),
        ('{"pass" : "p","user":"root"}', '{"pass" : "[REDACTED]","user":"root"}'),
        ('{"x":{"pass":"deep","a":[1,2]},"user":"pass"}', '{"x":{"pass":"[REDACTED]","a":[1,2]},"user":"pass"}'),
        ('{"auth_token":"t","jwt":"j.w.t"}', '{"auth_token":"[REDACTED]","jwt":"j.w.t"}'),
        ('{"nkey":"U" , "sig":"s", "proxy_sig":"p"}',
         '{"nkey":"[REDACTED]" , "sig":"[REDACTED]", "proxy_sig":"[REDACTED]"}'),
        ('{"pass":"","passphrase":"z","mypass":"y"}',
         '{"pass":"[REDACTED]","passphrase":"[REDACTED]","mypass":"[REDACTED]"}'),
        ('{"pass":12}', '{"pass":[REDACTED]}'),
        ('{"pass":null,"user":"a"}', '{"pass":[REDACTED],"user":"a"}'),
        ("nonsense", "nonsense"),
    ],
)  # fmt: skip
async def test_connect_is_shown_as_the_client_wrote_it(
    shared_server: StartServer, dial: Dial, sent: str, shown: str | None
) -> None:
    server = shared_server("trace: true")
    client = await dial(server)
    await client.send(f"CONNECT {sent}\r\n".encode())
    line = f"cid:{client.info['client_id']} - <<- [CONNECT {sent if shown is None else shown}]\n"
    await eventually(lambda: line in server.log_text(), what=line)
