"""INFO, CONNECT and the first PING: how a client connection begins, and how it begins again."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.servers import Server

TWO_ACCOUNTS = """
accounts {
  A { users: [ { user: a, password: pa } ] }
  B { users: [ { user: b, password: pb } ] }
}
"""


@pytest.fixture
def open_server(shared_server: StartServer) -> Server:
    return shared_server()


@pytest.fixture
def password_server(shared_server: StartServer) -> Server:
    return shared_server(TWO_ACCOUNTS)


@pytest.fixture
def impatient_server(shared_server: StartServer) -> Server:
    return shared_server("authorization { user: u, password: p, timeout: 0.5 }")


async def test_first_bytes_are_an_info_with_the_server_facts(open_server: Server, dial: Dial) -> None:
    """Checklist 1."""
    c = await dial(open_server)
    assert c.info_line.startswith(b"INFO {")
    assert c.info_line.endswith(b"\r\n")
    assert c.info["proto"] == 1
    assert c.info["headers"] is True
    assert c.info["max_payload"] == 1048576
    assert c.info["client_id"] > 0
    assert c.info["api_lvl"] >= 1
    assert c.info["client_ip"] == "127.0.0.1"
    assert c.info["host"] == "127.0.0.1"
    assert c.info["port"] == open_server.client_port
    assert c.info["version"] == "2.15.1"
    assert c.info["go"]
    assert c.info["server_name"] == c.info["server_id"]
    assert len(c.info["server_id"]) == 56 and c.info["server_id"].startswith("N")
    assert len(c.info["xkey"]) == 56 and c.info["xkey"].startswith("X")


async def test_info_of_an_open_standalone_server_says_nothing_optional(open_server: Server, dial: Dial) -> None:
    """Checklist 1."""
    c = await dial(open_server)
    absent = {"auth_required", "tls_required", "tls_verify", "tls_available", "nonce", "cluster", "connect_urls"}
    absent |= {"ldm", "connect_info", "remote_account", "acc_is_sys", "jetstream", "domain", "ip"}
    assert absent.isdisjoint(c.info), c.info


async def test_client_ids_differ_and_grow(open_server: Server, dial: Dial) -> None:
    """Checklist 1."""
    first, second = await dial(open_server), await dial(open_server)
    assert second.info["client_id"] > first.info["client_id"]
    assert second.info["server_id"] == first.info["server_id"]


async def test_first_ping_is_answered_by_pong_then_a_connect_info(open_server: Server, dial: Dial) -> None:
    """Checklist 2."""
    c = await dial(open_server)
    await c.send(b'CONNECT {"verbose":false,"protocol":1}\r\nPING\r\n')
    await c.expect(b"PONG\r\n")
    info = await c.expect_info(connect_info=True, remote_account="$G", client_ip="127.0.0.1")
    assert "acc_is_sys" not in info


async def test_protocol_zero_gets_no_second_info(open_server: Server, dial: Dial) -> None:
    """Checklist 3."""
    c = await dial(open_server)
    await c.send(b'CONNECT {"verbose":false}\r\nPING\r\n')
    await c.expect(b"PONG\r\n")
    await c.ping_pong()


async def test_later_pings_yield_only_pong(open_server: Server, dial: Dial) -> None:
    """Checklist 4."""
    c = await dial(open_server)
    await c.connect(protocol=1)
    await c.send(b"PING\r\nPING\r\n")
    await c.expect(b"PONG\r\nPONG\r\n")
    await c.ping_pong()


async def test_without_connect_an_open_server_serves_verbosely(open_server: Server, dial: Dial) -> None:
    """Checklist 5."""
    c = await dial(open_server)
    await c.send(b"SUB no.connect 1\r\nPUB no.connect 2\r\nhi\r\n")
    await c.expect(b"+OK\r\n+OK\r\nMSG no.connect 1 2\r\nhi\r\n")
    await c.send(b"PING\r\n")
    await c.expect(b"PONG\r\n")


async def test_empty_connect_is_verbose_and_pedantic(open_server: Server, dial: Dial) -> None:
    """Checklist 6."""
    c = await dial(open_server)
    await c.send(b"CONNECT {}\r\n")
    await c.expect(b"+OK\r\n")
    await c.send(b"PUB bad..subject 0\r\n\r\n")
    await c.expect(b"-ERR 'Invalid Publish Subject'\r\n+OK\r\n")
    await c.ping_pong()


async def test_unknown_connect_members_are_ignored(open_server: Server, dial: Dial) -> None:
    """Checklist 6."""
    c = await dial(open_server)
    await c.connect(lang="raw", version="0", name="n", nobody={"knows": ["this"]}, tls_required=False)


@pytest.mark.parametrize("text", ["{", "hello", '{"verbose":"yes"}', "[1]", '{"user":1}'])
async def test_invalid_connect_json_closes_without_an_error(open_server: Server, dial: Dial, text: str) -> None:
    """Checklist 16."""
    c = await dial(open_server)
    await c.send(f"CONNECT {text}\r\n".encode())
    await c.expect_closed()


@pytest.mark.parametrize("protocol", [2, -1])
async def test_unknown_client_protocol_is_refused(open_server: Server, dial: Dial, protocol: int) -> None:
    """Checklist 17."""
    c = await dial(open_server)
    await c.send_connect(verbose=False, protocol=protocol)
    await c.expect_err_and_close("invalid client protocol")


@pytest.mark.parametrize("options", [{"headers": False}, {}])
async def test_no_responders_needs_headers(open_server: Server, dial: Dial, options: dict[str, bool]) -> None:
    """Checklist 18."""
    c = await dial(open_server)
    await c.send_connect(verbose=False, no_responders=True, **options)
    await c.expect_err_and_close("no responders requires headers support")


@pytest.mark.parametrize("options", [{"account": "A"}, {"new_account": True}])
async def test_choosing_an_account_in_connect_is_refused(open_server: Server, dial: Dial, options: dict) -> None:
    """Checklist 19."""
    c = await dial(open_server)
    await c.send_connect(verbose=False, **options)
    await c.expect_err_and_close("Authorization Violation")


@pytest.mark.parametrize("verb", [b"PING\r\n", b"SUB a 1\r\n", b"PUB a 0\r\n\r\n", b"+OK\r\n", b"UNSUB 1\r\n"])
async def test_first_verb_must_be_connect_when_auth_is_required(
    password_server: Server, dial: Dial, verb: bytes
) -> None:
    """Checklist 20."""
    c = await dial(password_server)
    assert c.info["auth_required"] is True
    await c.send(verb)
    await c.expect_err_and_close("Authorization Violation")


async def test_silent_client_is_closed_at_the_auth_timeout(impatient_server: Server, dial: Dial) -> None:
    """Checklist 21."""
    c = await dial(impatient_server)
    await c.expect_err_and_close("Authentication Timeout")


async def test_half_a_connect_does_not_stop_the_auth_timeout(impatient_server: Server, dial: Dial) -> None:
    """Checklist 21."""
    c = await dial(impatient_server)
    await c.send(b'CONNECT {"user":"u",')
    await c.expect_err_and_close("Authentication Timeout")


async def test_open_server_waits_for_connect_without_a_timeout(open_server: Server, dial: Dial) -> None:
    """Checklist 21."""
    c = await dial(open_server)
    assert await c.receive_raw(within_s=0.6) == b""
    await c.send(b"PING\r\n")
    await c.expect(b"PONG\r\n")


async def test_second_connect_drops_subscriptions(open_server: Server, dial: Dial) -> None:
    """Checklist 22."""
    c = await dial(open_server)
    await c.connect()
    await c.subscribe("second.connect")
    await c.send_connect(verbose=False)
    await c.publish("second.connect", b"gone")
    await c.subscribe("second.connect", sid="2")
    await c.send(b"PUB second.connect 3\r\nnew\r\n")
    await c.expect(b"MSG second.connect 2 3\r\nnew\r\n")


async def test_second_connect_keeps_the_members_it_does_not_name(open_server: Server, dial: Dial) -> None:
    """Checklist 22."""
    c = await dial(open_server)
    await c.send(b'CONNECT {"verbose":true,"pedantic":false,"echo":false}\r\n')
    await c.expect(b"+OK\r\n")
    await c.send(b"CONNECT {}\r\nSUB merged 1\r\nPUB merged 0\r\n\r\nPING\r\n")
    await c.expect(b"+OK\r\n+OK\r\n+OK\r\nPONG\r\n")


async def test_second_connect_rebinds_the_account(password_server: Server, dial: Dial, login: Dial) -> None:
    """Checklist 22."""
    other = await login(password_server, user="b", **{"pass": "pb"})
    await other.subscribe("rebind")
    c = await dial(password_server)
    await c.connect(user="a", **{"pass": "pa"})
    await c.subscribe("rebind")
    await c.send_connect(user="b", **{"pass": "pb"})
    await c.publish("rebind", b"now in B")
    await other.expect(b"MSG rebind 1 8\r\nnow in B\r\n")


async def test_second_connect_with_bad_credentials_closes(password_server: Server, dial: Dial) -> None:
    """Checklist 23."""
    c = await dial(password_server)
    await c.connect(user="a", **{"pass": "pa"})
    await c.send_connect(user="b", **{"pass": "wrong"})
    await c.expect_err_and_close("Authorization Violation")


async def test_connect_and_traffic_may_come_in_one_write(password_server: Server, dial: Dial) -> None:
    """Checklist 2."""
    c = await dial(password_server)
    connect = json.dumps({"verbose": False, "user": "a", "pass": "pa", "protocol": 1}).encode()
    await c.send(b"CONNECT " + connect + b"\r\nSUB one.write 7\r\nPUB one.write 2\r\nhi\r\nPING\r\n")
    await c.expect(b"MSG one.write 7 2\r\nhi\r\nPONG\r\n")
    await c.expect_info(connect_info=True, remote_account="A", auth_required=True)
