"""Who may connect: passwords, tokens, bcrypt, nkeys, no_auth_user, connection types and timeouts.

Numbers are those of the security checklist (reference: security, section 11).
"""

from __future__ import annotations

import base64
import json
import re
import struct
from typing import Any

import nkeys
import pytest
import trio

from tests.conftest import Dial, StartServer
from tests.kit.eventually import eventually
from tests.kit.identities import UserKey, raw_url
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server, ServerKind, refused_start

KEY, OTHER_KEY, PROXY_KEY = UserKey(), UserKey(), UserKey()
HASH_2A = "$2a$04$UAhiQr8lEzkKKeEFkvo84.xJb/dzeeEWP.ToJ1gStLa2sMlNyBRL6"  # of "hashed"
HASH_2B = "$2b$04$EQk83LvWMPR5ayadwxLiGeEZdfO2qes/W3FXuCyVbZ7hMML/8szgG"  # of "hashed"
TOKEN_HASH = "$2a$04$CS2gsaPPWmZDP6lDI3vWkuiFYzm55Q2V448EveLzy7pqZp2YKD7vS"  # of "token"

USERS = f"""
authorization {{ users: [
  {{ user: plain, password: secret }}
  {{ username: two_a, pass: "{HASH_2A}" }}
  {{ user: two_b, password: "{HASH_2B}" }}
  {{ user: only_ws, password: p, allowed_connection_types: [WEBSOCKET] }}
  {{ user: no_password }}
] }}
"""
SINGLE = "authorization { user: single, password: s3cret }"
TOKEN = 'authorization { token: "t0ken" }'
HASHED_TOKEN = f'authorization {{ token: "{TOKEN_HASH}" }}'
NKEY = f"authorization {{ users: [ {{ nkey: {KEY.public} }}, {{ user: u, password: p }} ] }}"
ACCOUNTS = f"""
accounts {{
  A {{ users: [ {{ user: a, password: pa }} ] }}
  B {{ users: [ {{ user: b, password: pb }}, {{ nkey: {KEY.public} }} ] }}
  SYS {{ users: [ {{ user: admin, password: ps }} ] }}
}}
system_account: SYS
no_auth_user: a
"""


def user(name: str, password: str) -> dict[str, str]:
    """The CONNECT members of a password login."""
    return {"user": name, "pass": password}


async def accepted(server: Server, dial: Dial, **options: Any) -> RawClient:
    """The connection must be accepted with these CONNECT members."""
    client: RawClient = await dial(server)
    return await client.connect(protocol=1, **options)


async def refused(server: Server, dial: Dial, **options: Any) -> None:
    """The connection must be refused with these CONNECT members."""
    client: RawClient = await dial(server)
    await client.send_connect(verbose=False, **options)
    await client.expect_err_and_close("Authorization Violation")


async def test_no_nonce_when_only_passwords_are_configured(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 1, 6, 8."""
    c = await dial(shared_server(USERS))
    assert "nonce" not in c.info
    assert c.info["auth_required"] is True
    assert re.fullmatch("N[A-Z2-7]{55}", c.info["server_id"])
    assert re.fullmatch("X[A-Z2-7]{55}", c.info["xkey"])


async def test_every_connection_gets_its_own_nonce_when_nkeys_are_configured(
    shared_server: StartServer, dial: Dial
) -> None:
    """Security checklist 2, 5."""
    nonces = {(await dial(shared_server(NKEY))).info["nonce"] for _ in range(5)}
    assert len(nonces) == 5
    assert all(re.fullmatch("[A-Za-z0-9_-]{15}", nonce) for nonce in nonces)


async def test_nonce_is_sent_when_a_proxy_is_trusted(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 4."""
    c = await dial(shared_server(f"proxies {{ trusted: [ {{ key: {PROXY_KEY.public} }} ] }}"))
    assert len(c.info["nonce"]) == 15
    assert "auth_required" not in c.info


async def test_no_auth_user_hides_auth_required_and_serves_without_connect(
    shared_server: StartServer, dial: Dial
) -> None:
    """Security checklist 7, 13."""
    c = await dial(shared_server(ACCOUNTS))
    assert "auth_required" not in c.info
    await c.send(b"PING\r\nSUB early 1\r\n")
    await c.expect(b"PONG\r\n+OK\r\n")
    later = await accepted(shared_server(ACCOUNTS), dial)
    assert later.info["remote_account"] == "A"
    assert later.info["auth_required"] is True
    await later.publish("early", b"same account")
    await c.expect(b"MSG early 1 12\r\nsame account\r\n")


async def test_connect_info_names_the_bound_account(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 9, 10."""
    server = shared_server(ACCOUNTS)
    b = await accepted(server, dial, **user("b", "pb"))
    assert (b.info["connect_info"], b.info["remote_account"]) == (True, "B")
    assert "acc_is_sys" not in b.info
    admin = await accepted(server, dial, **user("admin", "ps"))
    assert (admin.info["remote_account"], admin.info["acc_is_sys"]) == ("SYS", True)


async def test_first_operation_must_be_connect(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 12."""
    c = await dial(shared_server(USERS))
    await c.send(b"PING\r\n")
    await c.expect_err_and_close("Authorization Violation")


async def test_auth_timeout_is_configurable(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 14, 15."""
    c = await dial(shared_server("authorization { user: u, password: p, timeout: 1 }"))
    began = trio.current_time()
    await c.expect_err_and_close("Authentication Timeout")
    assert trio.current_time() - began > 0.8


async def test_choosing_an_account_is_refused(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 16."""
    await refused(shared_server(ACCOUNTS), dial, **user("a", "pa"), account="A")


async def test_second_connect_moves_to_another_account(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 17."""
    server = shared_server(ACCOUNTS)
    in_b = await accepted(server, dial, **user("b", "pb"))
    await in_b.subscribe("moved")
    c = await accepted(server, dial, **user("a", "pa"))
    await c.subscribe("moved")
    await c.send_connect(**user("b", "pb"))
    await c.publish("moved")
    await in_b.expect(b"MSG moved 1 0\r\n\r\n")


@pytest.mark.parametrize(
    "options",
    [user("plain", "secret"), user("two_a", "hashed"), user("two_b", "hashed"), user("no_password", "")],
    ids=lambda options: options["user"],
)
async def test_correct_password_is_accepted(shared_server: StartServer, dial: Dial, options: dict[str, str]) -> None:
    """Security checklist 18, 19."""
    await accepted(shared_server(USERS), dial, **options)


@pytest.mark.parametrize(
    "options",
    [
        user("plain", "wrong"), user("plain", ""), user("plain", "secret "), user("two_a", "wrong"),
        user("two_a", HASH_2A), user("two_b", "wrong"), user("nobody", "secret"), user("no_password", "x"),
        user("", "secret"), {}, {"auth_token": "secret"}, {"user": "plain"},
    ],
    ids=str,
)  # fmt: skip
async def test_wrong_password_is_refused(shared_server: StartServer, dial: Dial, options: dict[str, str]) -> None:
    """Security checklist 18, 19."""
    await refused(shared_server(USERS), dial, **options)


async def test_single_user_is_accepted_and_others_refused(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 18."""
    server = shared_server(SINGLE)
    await accepted(server, dial, **user("single", "s3cret"))
    await refused(server, dial, **user("single", "wrong"))
    await refused(server, dial, **user("other", "s3cret"))
    await refused(server, dial, auth_token="s3cret")
    await refused(server, dial)


async def test_token_is_accepted_as_token_only(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 20."""
    server = shared_server(TOKEN)
    await accepted(server, dial, auth_token="t0ken")
    await refused(server, dial, auth_token="wrong")
    await refused(server, dial, user="t0ken")
    await refused(server, dial, **{"pass": "t0ken"})
    await refused(server, dial)


async def test_hashed_token_is_accepted(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 21."""
    server = shared_server(HASHED_TOKEN)
    await accepted(server, dial, auth_token="token")
    await refused(server, dial, auth_token="wrong")
    await refused(server, dial, auth_token=TOKEN_HASH)


async def nkey_options(server: Server, dial: Dial, encode: Any) -> tuple[RawClient, dict[str, str]]:
    """A fresh connection and the CONNECT members that answer its nonce, signature encoded by `encode`.

    The signature is one whose text differs between the two alphabets of base64.
    """
    while True:
        client: RawClient = await dial(server)
        signature = KEY.sign(client.info["nonce"])
        if base64.urlsafe_b64encode(signature) != base64.standard_b64encode(signature):
            return client, {"nkey": KEY.public, "sig": encode(signature)}


@pytest.mark.parametrize(
    "encode", [raw_url, lambda sig: base64.standard_b64encode(sig).decode()], ids=["raw url", "padded standard"]
)
async def test_signed_nonce_is_accepted(shared_server: StartServer, dial: Dial, encode: Any) -> None:
    """Security checklist 22, 23."""
    client, options = await nkey_options(shared_server(NKEY), dial, encode)
    await client.connect(**options)


@pytest.mark.parametrize(
    "encode",
    [
        lambda sig: base64.urlsafe_b64encode(sig).decode(),
        lambda sig: base64.standard_b64encode(sig).decode().rstrip("="),
        lambda sig: raw_url(sig[:-1] + bytes([sig[-1] ^ 1])),
        lambda sig: "",
        lambda sig: "!not base64!",
        lambda sig: raw_url(sig[:32]),
    ],
    ids=["padded url", "unpadded standard", "forged", "empty", "garbage", "short"],
)
async def test_badly_signed_nonce_is_refused(shared_server: StartServer, dial: Dial, encode: Any) -> None:
    """Security checklist 24, 25."""
    client, options = await nkey_options(shared_server(NKEY), dial, encode)
    if options["sig"] == base64.urlsafe_b64encode(KEY.sign(client.info["nonce"])).decode().rstrip("="):
        pytest.fail("the two alphabets must differ for this check")
    await client.send_connect(**options)
    await client.expect_err_and_close("Authorization Violation")


async def test_signature_of_another_connections_nonce_is_refused(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 22."""
    _, options = await nkey_options(shared_server(NKEY), dial, raw_url)
    await refused(shared_server(NKEY), dial, **options)


async def test_unknown_nkey_is_refused_even_with_a_good_password(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 26."""
    server = shared_server(NKEY)
    await accepted(server, dial, **user("u", "p"))
    client = await dial(server)
    await client.send_connect(**OTHER_KEY.credentials(client.info["nonce"]), **user("u", "p"))
    await client.expect_err_and_close("Authorization Violation")


@pytest.mark.parametrize(
    "options", [user("a", "wrong"), user("nobody", "x"), {"auth_token": "x"}, {"pass": "x"}], ids=str
)
async def test_wrong_credentials_do_not_fall_back_to_no_auth_user(
    shared_server: StartServer, dial: Dial, options: dict[str, str]
) -> None:
    """Security checklist 27."""
    await refused(shared_server(ACCOUNTS), dial, **options)


async def test_nkey_may_be_the_no_auth_user(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 13."""
    server = shared_server(f"accounts {{ K {{ users: [ {{ nkey: {KEY.public} }} ] }} }}\nno_auth_user: {KEY.public}")
    c = await accepted(server, dial)
    assert c.info["remote_account"] == "K"


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ("authorization { users: [ { user: a, password: p } ] }\nno_auth_user: ghost",
         'no_auth_user: "ghost" not present as user or nkey in authorization block or account configuration'),
        ("no_auth_user: ghost", 'no_auth_user: "ghost" present, but users/nkeys are not defined'),
        ("accounts { A { users: [ {user: x, password: p} ] }, B { users: [ {user: x, password: p} ] } }",
         'Duplicate user "x" detected'),
        (f"authorization {{ users: [ {{ nkey: {KEY.public} }}, {{ nkey: {KEY.public} }} ] }}", "Duplicate nkey"),
        ("authorization { token: t, users: [ { user: a, password: p } ] }", "Can not have a token and a users array"),
        ("authorization { token: t, user: a, password: p }", "Cannot have a user/pass and token"),
        ("authorization { user: a, password: p, users: [ { user: b, password: p } ] }",
         "Can not have a single user/pass and a users array"),
        ("authorization { users: [ { nkey: UABC } ] }", "Not a valid public nkey for a user"),
        (f"authorization {{ users: [ {{ nkey: {KEY.public}, user: a, password: p }} ] }}",
         "Nkey users do not take usernames or passwords"),
        ("authorization { users: [ { password: p } ] }", "User entry requires a user"),
        ("accounts { $G { users: [ {user: x, password: p} ] } }", '"$G" is a Reserved Account'),
        ("authorization { users: [ { user: a, password: p, allowed_connection_types: [FOO] } ] }",
         'invalid connection types ["FOO"]'),
    ],
    ids=lambda value: value[:30],
)  # fmt: skip
def test_contradicting_configuration_stops_the_start(server_kind: ServerKind, config: str, text: str) -> None:
    """Security checklist 28, 31."""
    code, printed = refused_start(server_kind, config=config)
    assert code == 1
    assert text in printed


async def test_users_of_the_system_account_alone_leave_others_anonymous(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 29."""
    server = shared_server("accounts { $SYS { users: [ { user: admin, password: p } ] } }")
    anonymous = await accepted(server, dial)
    assert anonymous.info["remote_account"] == "$G"
    admin = await accepted(server, dial, **user("admin", "p"))
    assert (admin.info["remote_account"], admin.info["acc_is_sys"]) == ("$SYS", True)
    await refused(server, dial, **user("admin", "wrong"))


async def test_connection_type_that_is_not_allowed_is_refused(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 30."""
    await refused(shared_server(USERS), dial, **user("only_ws", "p"))


async def test_failed_login_is_logged_without_secrets(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 32."""
    server = shared_server(USERS, args=["-DV"])
    await refused(server, dial, **user("plain", "guessed-password"), auth_token="guessed-token")
    await eventually(lambda: 'authentication error - User "plain"' in server.log_text(), what="the log line")
    assert "guessed" not in server.log_text()
    token_server = shared_server(TOKEN, args=["-DV"])
    await refused(token_server, dial, auth_token="guessed-token")
    await eventually(lambda: "authentication error" in token_server.log_text(), what="the log line")
    assert "guessed" not in token_server.log_text()


def proxy_signature(nonce: str) -> str:
    return raw_url(PROXY_KEY.sign(nonce))


PROXIED = f"""
authorization {{ users: [ {{ user: free, password: p }}, {{ user: behind, password: p, proxy_required: true }} ] }}
proxies {{ trusted: [ {{ key: {PROXY_KEY.public} }} ] }}
"""


async def test_proxy_signature_opens_the_door_that_requires_it(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 50, 52."""
    server = shared_server(PROXIED)
    c = await dial(server)
    await c.connect(**user("behind", "p"), proxy_sig=proxy_signature(c.info["nonce"]))
    await refused(server, dial, **user("behind", "p"))
    await accepted(server, dial, **user("free", "p"))


async def test_untrusted_proxy_signature_is_refused(shared_server: StartServer, dial: Dial) -> None:
    """Security checklist 51."""
    c = await dial(shared_server(PROXIED))
    await c.send_connect(**user("free", "p"), proxy_sig=raw_url(OTHER_KEY.sign(c.info["nonce"])))
    await c.expect_err_and_close("Authorization Violation")


def test_the_kit_makes_valid_user_keys() -> None:
    """The identities these tests rely on are well formed."""
    assert re.fullmatch("U[A-Z2-7]{55}", KEY.public)
    assert nkeys.from_seed(KEY.seed.encode()).public_key.decode() == KEY.public


@pytest.mark.parametrize("ending", ["half", "close", "reset"])
@pytest.mark.parametrize(("name", "password"), [("plain", "secret"), ("two_a", "hashed")])
async def test_what_came_with_connect_is_delivered_though_the_client_has_left(
    shared_server: StartServer, dial: Dial, name: str, password: str, ending: str
) -> None:
    """A decision that takes a while is not overtaken by the end of the stream."""
    server = shared_server(USERS)
    listener = await accepted(server, dial, **user("plain", "secret"))
    await listener.subscribe(f"parting.{name}.{ending}")
    for number in range(20):
        c = await dial(server)
        stream = c.stream
        assert isinstance(stream, trio.SocketStream)
        connect = json.dumps({"verbose": False, **user(name, password)})
        await c.send(f"CONNECT {connect}\r\nPUB parting.{name}.{ending} 2\r\n{number:02}\r\n".encode())
        if ending == "reset":
            stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
        if ending == "half":
            await stream.send_eof()
        else:
            await stream.aclose()
        if ending != "reset":  # which may overtake what was not read yet
            await listener.expect(f"MSG parting.{name}.{ending} 1 2\r\n{number:02}\r\n".encode())
    await listener.send(b"PING\r\n")
    while (item := await listener.next_item()) != b"PONG\r\n":
        assert item.startswith(b"MSG parting.")
