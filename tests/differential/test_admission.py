"""The same CONNECT, judged by us and by the real nats-server: same text to the peer, same user, same account.

The servers run on free ports of 127.0.0.1 and end with the module.
"""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

from services.router.admission.decision import ConnectionFacts, decide_admission, decide_without_connect
from services.router.admission.directory import ConnectionType, Listener, compile_directory
from services.router.admission.errors import MalformedHello
from services.router.admission.hello import parse_hello
from services.router.admission.verdict import Admitted, CheckPassword, Refused
from services.shared.config.options import AccountOptions, AuthorizationOptions, Options, UserOptions
from services.shared.identity import nkeys
from services.shared.identity.nkeys import KeyKind
from services.shared.identity.passwords import matches_bcrypt

SEED = nkeys.generate(KeyKind.USER, entropy=bytes(range(32)))
NKEY = nkeys.public_key(SEED)
HASH = "$2a$04$BhCc0hDYR1DFXcLSnHAM9efhPEdwJfhbNyejm2pBzrEPNbYnA5hJ6"  # of "pw"
DEADLINE_S = 10.0

pytestmark = pytest.mark.real


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One configuration, as the file and as the options it stands for, without `no_auth_user` of a hashed user.

    (There the reference compares the hash with itself and refuses everybody.)
    """

    name: str
    text: str
    options: Options


def _users(*users: UserOptions, **options: Any) -> Options:
    return Options(authorization=AuthorizationOptions(users=users), **options)


ALICE, BOB = UserOptions(user="a", password="p"), UserOptions(user="b", password="p", connection_types=("MQTT",))
CASES = (
    Case(name="open", text="", options=Options()),
    Case(
        name="single user",
        text="authorization {user: a, password: p}",
        options=Options(authorization=AuthorizationOptions(user="a", password="p")),
    ),
    Case(
        name="hashed single user",
        text=f'authorization {{user: a, password: "{HASH}"}}',
        options=Options(authorization=AuthorizationOptions(user="a", password=HASH)),
    ),
    Case(
        name="token",
        text="authorization {token: p}",
        options=Options(authorization=AuthorizationOptions(token="p")),
    ),
    Case(
        name="users and an nkey",
        text=(
            f"authorization {{users: [{{user: a, password: p}}, {{user: b, password: p, connection_types: [MQTT]}}, "
            f'{{nkey: {NKEY}}}, {{user: h, password: "{HASH}"}}, {{user: n}}]}}'
        ),
        options=_users(ALICE, BOB, UserOptions(nkey=NKEY), UserOptions(user="h", password=HASH), UserOptions(user="n")),
    ),
    Case(
        name="no_auth_user",
        text="no_auth_user: a\nauthorization {users: [{user: a, password: p}, {user: n}]}",
        options=_users(ALICE, UserOptions(user="n"), no_auth_user="a"),
    ),
    Case(
        name="no_auth_user by nkey",
        text=f"no_auth_user: {NKEY}\nauthorization {{users: [{{nkey: {NKEY}}}, {{user: n}}]}}",
        options=_users(UserOptions(nkey=NKEY), UserOptions(user="n"), no_auth_user=NKEY),
    ),
    Case(
        name="accounts",
        text="accounts {A {users: [{user: a, password: p}]}, B {users: [{user: n}]}}",
        options=Options(
            accounts=(
                AccountOptions(name="A", users=(ALICE,)),
                AccountOptions(name="B", users=(UserOptions(user="n"),)),
            )
        ),
    ),
    Case(
        name="required proxy",
        text="authorization {proxy_required: true, users: [{user: a, password: p, proxy_required: true}, {user: n}]}",
        options=Options(
            authorization=AuthorizationOptions(
                proxy_required=True,
                users=(UserOptions(user="a", password="p", proxy_required=True), UserOptions(user="n")),
            )
        ),
    ),
)
CONNECTS = (
    None,
    "{}",
    "null",
    '{"user":"a","pass":"p"}',
    '{"USER":"a","Pass":"p"}',
    '{"user":"a","pass":"x"}',
    '{"user":"a","pass":"pw"}',
    '{"user":"a"}',
    '{"user":"b","pass":"p"}',
    '{"user":"h","pass":"pw"}',
    '{"user":"h","pass":"p"}',
    '{"user":"n"}',
    '{"user":"n","pass":"x"}',
    '{"user":"p"}',
    '{"pass":"p"}',
    '{"auth_token":"p"}',
    '{"auth_token":"x","user":"n"}',
    '{"nkey":"%(nkey)s","sig":"%(sig)s"}',
    '{"nkey":"%(nkey)s"}',
    '{"nkey":"%(nkey)s","sig":"AAAA","user":"a","pass":"p"}',
    '{"nkey":"UX","user":"a","pass":"p"}',
    '{"user":"a","pass":"p","protocol":2}',
    '{"user":"a","pass":"p","no_responders":true}',
    '{"user":"a","pass":"p","no_responders":true,"headers":true}',
    '{"user":"a","pass":"p","account":"X"}',
    '{"user":"a","pass":"p","new_account":true}',
    '{"user":"a","pass":"p","protocol":"1"}',
    '{"user":1}',
    "[]",
    "{",
)


@contextmanager
def running(text: str, directory: Path) -> Iterator[tuple[int, str]]:
    """A nats-server with this configuration: its client port and the address of its monitor."""
    (directory / "nats.conf").write_text(text)
    program = Path(sys.executable).parent / "nats-server"
    arguments = ["-c", "nats.conf", "-a", "127.0.0.1", "-p", "-1", "-m", "-1", "--ports_file_dir", str(directory)]
    with open(directory / "log", "w") as log:
        process = subprocess.Popen([program, *arguments], cwd=directory, stdout=log, stderr=log)
    try:
        ports = json.loads(_wait_text(directory, process))
        yield int(ports["nats"][0].rpartition(":")[2]), ports["monitoring"][0]
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


def _wait_text(directory: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline and process.poll() is None:
        for path in directory.glob("*.ports"):
            if text := path.read_text():
                return text
        time.sleep(0.01)
    raise AssertionError((directory / "log").read_text())


def theirs(port: int, monitor: str, connect: str | None) -> tuple[str, str, str, str]:
    """What nats-server makes of it: text of its -ERR, close reason, user and account."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as link:
        stream = link.makefile("rb")
        info = json.loads(stream.readline()[5:])
        signature = nkeys.sign(SEED, info.get("nonce", "").encode())
        if connect is not None:
            line = _filled(connect, signature)
            link.sendall(b"CONNECT " + line + b"\r\n")
        link.sendall(b"PING\r\n")
        answer = _line(stream)
        while answer == b"+OK\r\n":
            answer = _line(stream)
        if answer == b"PONG\r\n":
            found = _connection(monitor, cid=info["client_id"], state="open")
            return "", "", found.get("authorized_user", ""), found.get("account", "$G")
    found = _connection(monitor, cid=info["client_id"], state="closed")
    return answer.decode()[6:-3] if answer else "", found["reason"], found.get("authorized_user", ""), ""


def _line(stream: IO[bytes]) -> bytes:
    """The next line; a server that refuses may end with a reset, which here is just an end."""
    try:
        return stream.readline()
    except ConnectionResetError:
        return b""


def _connection(monitor: str, *, cid: int, state: str) -> dict[str, Any]:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{monitor}/connz?auth=1&state={state}&limit=9999") as answer:
            for connection in json.load(answer)["connections"]:
                if connection["cid"] == cid:
                    return dict(connection)
    raise AssertionError(f"connection {cid} is not {state}")


def _filled(connect: str, signature: bytes) -> bytes:
    sig = base64.urlsafe_b64encode(signature).rstrip(b"=").decode()
    return connect.replace("%(nkey)s", NKEY).replace("%(sig)s", sig).encode()


def ours(options: Options, connect: str | None) -> tuple[str, str, str, str]:
    """What we make of it, in the same form."""
    directory = compile_directory(options, synthetic_secret="a1B2c3D4")
    nonce = b"sJhy2Ohtc3T10-0" if directory.nonce_required else b""
    facts = ConnectionFacts(
        listener=Listener.CLIENT, connection_type=ConnectionType.STANDARD, nonce=nonce, remote_ip="127.0.0.1"
    )
    if connect is None:
        verdict = decide_without_connect(facts=facts, directory=directory)
    else:
        try:
            hello = parse_hello(_filled(connect, nkeys.sign(SEED, nonce)))
        except MalformedHello:
            return "", "Protocol Violation", "", ""
        verdict = decide_admission(hello=hello, facts=facts, directory=directory)
    match verdict:
        case CheckPassword(hash=stored, password=given, then=then, otherwise=otherwise):
            final: Admitted | Refused = then if matches_bcrypt(stored=stored, given=given) else otherwise
        case _:
            final = verdict
    if isinstance(final, Admitted):
        return "", "", final.identity.user_id, final.account.name
    return final.err_text or "", final.close_reason.text, final.identity.user_id, ""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_both_servers_judge_alike(case: Case, tmp_path: Path) -> None:
    with running(case.text, tmp_path) as (port, monitor):
        differing = {}
        for connect in CONNECTS:
            expected, found = theirs(port, monitor, connect), ours(case.options, connect)
            malformed = found[1] == "Protocol Violation"  # who it claimed to be is not read from a CONNECT that is none
            if expected != found and not (malformed and expected[:2] == found[:2]):
                differing[connect] = (expected, found)
    assert differing == {}
