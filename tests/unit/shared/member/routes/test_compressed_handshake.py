"""Handshakes that agree on compression: two machines against each other, with a layer that is played by a letter."""

from __future__ import annotations

import json

import pytest

from services.shared.member.routes.handshake import (
    AcceptedHandshake,
    Compress,
    Credentials,
    DialledHandshake,
    Failed,
    Joined,
)
from services.shared.member.routes.mesh import Mesh
from tests.unit.shared.member.routes.members import member

NOBODY = Credentials()
PACKED = [
    ("accept", "s2_fast", "s2_fast", "s2_fast"),
    ("s2_best", "accept", "s2_best", "s2_best"),
    ("s2_auto", "s2_better", "s2_auto", "s2_better"),
    ("accept", "s2_auto", "s2_fast", "s2_auto"),
]


def take(handshake: DialledHandshake | AcceptedHandshake) -> bytes:
    output, handshake.output = handshake.output, b""
    return output


def said(line: bytes) -> str:
    """The mode in an INFO."""
    assert line.startswith(b"INFO ") and line.endswith(b"\r\n"), line
    mode = json.loads(line[5:])["compression"]
    assert isinstance(mode, str)
    return mode


def machines(dialling: str, accepting: str) -> tuple[DialledHandshake, AcceptedHandshake]:
    return (
        DialledHandshake(Mesh(member("A", compression=dialling)), credentials=NOBODY, gossip_mode=0),
        AcceptedHandshake(Mesh(member("B", compression=accepting)), wanted=NOBODY),
    )


@pytest.mark.parametrize(("dialling", "accepting", "dialler", "acceptor"), PACKED)
def test_both_sides_switch_at_the_same_byte(dialling: str, accepting: str, dialler: str, acceptor: str) -> None:
    one, other = machines(dialling, accepting)
    greeting = take(other)
    assert said(greeting) == accepting
    switch = one.receive(greeting)
    assert isinstance(switch, Compress) and (switch.mode, switch.received, switch.greeting) == (dialler, b"", b"")
    connect, _, info = take(one).partition(b"\r\n")
    assert connect.startswith(b"CONNECT ") and said(info) == dialler
    switched = other.receive(connect + b"\r\n" + info)
    assert isinstance(switched, Compress) and (switched.mode, switched.received) == (acceptor, b"")
    assert take(other) == b"" and said(switched.greeting) == acceptor
    assert one.receive(switched.greeting) is None
    registration, _, ping = take(one).partition(b"\r\n")
    assert said(registration + b"\r\n") == dialler and ping == b"PING\r\n"
    joined = other.receive(registration + b"\r\n" + ping)
    assert isinstance(joined, Joined) and joined.info.server_id == "A" and joined.rest == b"PING\r\n"
    answer = one.receive(b"PONG\r\n")
    assert isinstance(answer, Joined) and answer.info.server_id == "B"


def test_whoever_compresses_at_once_is_kept_for_the_layer() -> None:
    _, other = machines("off", "s2_fast")
    take(other)
    switch = other.receive(b'CONNECT {"cluster":"C"}\r\nINFO {"server_id":"A","compression":"accept"}\r\n\xff\x06\x00')
    assert isinstance(switch, Compress) and switch.received == b"\xff\x06\x00"


def test_nothing_agreed_is_as_before() -> None:
    one, other = machines("accept", "accept")
    assert one.receive(take(other)) is None
    connect, _, rest = take(one).partition(b"\r\n")
    info, _, ping = rest.partition(b"\r\n")
    assert said(info + b"\r\n") == "off" and ping == b"PING\r\n"
    assert isinstance(other.receive(connect + b"\r\n" + info + b"\r\n"), Joined)


def test_a_peer_that_knows_nothing_of_it_is_told_so() -> None:
    one, _ = machines("s2_fast", "off")
    assert one.receive(b'INFO {"server_id":"OLD","cluster":"C"}\r\n') is None
    assert said(take(one).split(b"\r\n")[1] + b"\r\n") == "not supported"


@pytest.mark.parametrize("side", [0, 1])
def test_a_mode_that_is_none_is_refused_with_the_reason(side: int) -> None:
    handshake = machines("accept", "accept")[side]
    handshake.receive(b'CONNECT {"cluster":"C"}\r\n' if side else b"")
    failed = handshake.receive(b'INFO {"server_id":"X","cluster":"C","compression":"zstd"}\r\n')
    assert isinstance(failed, Failed)
    assert failed.rejection.text == 'unsupported route compression mode "zstd"'


def test_a_refusal_reaches_whoever_dials_after_the_switch_as_well() -> None:
    one, other = machines("s2_fast", "s2_fast")
    one.receive(take(other))
    failed = one.receive(b"-ERR 'go away'\r\n")
    assert isinstance(failed, Failed) and failed.text == "Route Error 'go away'"
