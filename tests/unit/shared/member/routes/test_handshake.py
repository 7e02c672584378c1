"""Two handshake machines against each other, and against peers that do not behave."""

from __future__ import annotations

import json

import pytest

from services.shared.member.routes.handshake import (
    AcceptedHandshake,
    CheckPassword,
    Credentials,
    DialledHandshake,
    Failed,
    Joined,
    Step,
)
from services.shared.member.routes.mesh import Mesh
from services.shared.member.routes.pool import FIRST, Place, Pooling
from services.shared.wire.close_reasons import CloseReason
from tests.unit.shared.member.routes.members import member

NOBODY = Credentials()


def dialled(mesh: Mesh, *, user: str = "", password: str = "") -> DialledHandshake:
    return DialledHandshake(mesh, credentials=Credentials(user=user, password=password), gossip_mode=0)


def accepted(mesh: Mesh, wanted: Credentials = NOBODY) -> AcceptedHandshake:
    return AcceptedHandshake(mesh, wanted=wanted)


def take(handshake: DialledHandshake | AcceptedHandshake) -> bytes:
    output, handshake.output = handshake.output, b""
    return output


def failure(outcome: Step) -> Failed:
    assert isinstance(outcome, Failed)
    return outcome


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_two_servers_join_however_the_bytes_are_cut(step: int) -> None:
    one, other = dialled(Mesh(member("A"))), accepted(Mesh(member("B")))
    outcome: Step = None
    greeting = take(other)
    for at in range(0, len(greeting), step):
        assert one.receive(greeting[at : at + step]) is None
    sent = take(one)
    assert sent.startswith(b"CONNECT {") and sent.endswith(b"PING\r\n")
    for at in range(0, len(sent), step):
        outcome = other.receive(sent[at : at + step])
        if outcome is not None:
            break
    assert isinstance(outcome, Joined) and outcome.info.server_id == "A" and outcome.headers
    answer = one.receive(b"RS+ $G news\r\nPONG\r\n")
    assert isinstance(answer, Joined) and answer.rest == b"RS+ $G news\r\nPONG\r\n"


def test_whoever_dials_keeps_half_a_line_for_the_carrier() -> None:
    one = dialled(Mesh(member("A")))
    one.receive(Mesh(member("B")).info())
    outcome = one.receive(b"RS+ $G a.rather.long.sub")
    assert isinstance(outcome, Joined) and outcome.rest == b"RS+ $G a.rather.long.sub"


def test_a_refusal_of_the_peer_ends_the_handshake() -> None:
    one = dialled(Mesh(member("A")))
    one.receive(Mesh(member("B")).info())
    assert one.receive(b"-ERR 'Authori") is None
    assert failure(one.receive(b"zation Violation'\r\n")).text == "Route Error 'Authorization Violation'"


def test_a_smaller_server_gets_through_with_two_lines() -> None:
    """Reference 2.16."""
    outcome = accepted(Mesh(member("A"))).receive(b'CONNECT {"cluster":"C"}\r\nINFO {"server_id":"RID"}\r\nRS+ X s\r\n')
    assert isinstance(outcome, Joined)
    assert (outcome.info.server_id, outcome.headers, outcome.rest) == ("RID", False, b"RS+ X s\r\n")


@pytest.mark.parametrize(
    ("opening", "reason", "text"),
    [
        (b"PING\r\n", CloseReason.AUTHENTICATION_FAILURE, "Authorization Violation"),
        (b"INFO {}\r\n", CloseReason.AUTHENTICATION_FAILURE, "Authorization Violation"),
        (b"CONNECT x\r\n", CloseReason.PROTOCOL_VIOLATION, ""),
        (b"CONNECT []\r\n", CloseReason.PROTOCOL_VIOLATION, ""),
        (b'CONNECT {"lang":"go"}\r\n', CloseReason.INCORRECT_PORT, "attempted to connect to route port"),
        (
            b'CONNECT {"gateway":"G"}\r\n',
            CloseReason.WRONG_GATEWAY,
            'Rejecting connection from gateway "G" on the Route port',
        ),
        (
            b'CONNECT {"cluster":"D"}\r\n',
            CloseReason.CLUSTER_NAME_CONFLICT,
            'Rejecting connection, cluster name "D" does not match "C"',
        ),
        (
            b"CONNECT {}\r\n",
            CloseReason.CLUSTER_NAME_CONFLICT,
            'Rejecting connection, cluster name "" does not match "C"',
        ),
        (
            b'CONNECT {"cluster":"_"}\r\n',
            CloseReason.CLUSTER_NAME_CONFLICT,
            'Rejecting connection, cluster name "_" is reserved',
        ),
        (b'CONNECT {"cluster":"C"}\r\nRS+ a b\r\n', CloseReason.PROTOCOL_VIOLATION, ""),
        (b'CONNECT {"cluster":"C"}\r\nINFO {"server_id":5}\r\n', CloseReason.PROTOCOL_VIOLATION, ""),
        (b'CONNECT {"cluster":"C"}\r\nINFO {}\r\n', CloseReason.PROTOCOL_VIOLATION, ""),
        (b"x" * 70_000, CloseReason.MAXIMUM_CONTROL_LINE_EXCEEDED, "maximum control line exceeded"),
    ],
)
def test_who_does_not_introduce_itself_is_refused(opening: bytes, reason: CloseReason, text: str) -> None:
    rejection = failure(accepted(Mesh(member("A"))).receive(opening)).rejection
    assert (rejection.reason, rejection.text) == (reason, text)


HASHED = Credentials(user="r", password="$2a$04$somewhat")


def test_a_password_is_compared_with_a_hash_elsewhere() -> None:
    for matches in (True, False):
        handshake = accepted(Mesh(member("A")), HASHED)
        check = handshake.receive(
            b'CONNECT {"cluster":"C","user":"r","pass":"s"}\r\nINFO {"server_id":"B","cluster":"C"}\r\nPING\r\n'
        )
        assert isinstance(check, CheckPassword) and (check.hash, check.given) == (HASHED.password, "s")
        assert "somewhat" not in repr(check)
        outcome = handshake.checked(matches)
        if matches:
            assert isinstance(outcome, Joined) and outcome.rest == b"PING\r\n"
        else:
            assert isinstance(outcome, Failed) and outcome.rejection.text == "Authorization Violation"


def test_a_hash_is_no_password_and_an_unknown_user_costs_nothing() -> None:
    for user, password in (("x", "s"), ("", "")):
        connect = json.dumps({"cluster": "C", "user": user, "pass": password})
        refused = accepted(Mesh(member("A")), HASHED).receive(f"CONNECT {connect}\r\n".encode())
        assert isinstance(refused, Failed) and refused.rejection.text == "Authorization Violation"


@pytest.mark.parametrize("vouched", [True, False])
def test_certificates_decide_instead_of_passwords(vouched: bool) -> None:
    wanted = Credentials(user="r", password="s")
    handshake = AcceptedHandshake(Mesh(member("A")), wanted=wanted, vouched=vouched)
    connect = {"cluster": "C"} if vouched else {"cluster": "C", "user": "r", "pass": "s"}
    outcome = handshake.receive(f"CONNECT {json.dumps(connect)}\r\n".encode())
    assert isinstance(outcome, Failed) != vouched


def test_credentials_are_compared_and_sent_as_given() -> None:
    wanted = Credentials(user="r", password="s")
    for given, joins in (("s", True), ("t", False)):
        one, other = dialled(Mesh(member("A")), user="r", password=given), accepted(Mesh(member("B")), wanted)
        one.receive(take(other))
        outcome = other.receive(take(one))
        assert isinstance(outcome, Joined) is joins


def test_a_connection_for_an_account_is_refused_where_there_is_no_pool() -> None:
    """Reference 2.5."""
    pooling = Pooling(accounts=frozenset({"$SYS"}))
    members = json.loads(Mesh(member("B")).info()[5:]) | {"route_account": "$SYS", "route_pool_size": 3}
    other = accepted(Mesh(member("A"), pooling))
    outcome = other.receive(b'CONNECT {"cluster":"C"}\r\nINFO ' + json.dumps(members).encode() + b"\r\n")
    wanted = 'Not possible to have a dedicated route for account "$SYS" between those servers'
    assert failure(outcome).rejection.text == wanted


def test_whoever_dials_names_the_place_and_whoever_is_dialled_takes_it_in_there() -> None:
    pooling = Pooling(size=3, pinned=("$SYS",), accounts=frozenset({"$SYS"}))
    ours, theirs = Mesh(member("A"), pooling), Mesh(member("B"), pooling)
    for place in (FIRST, Place(slot=2), Place(account="$SYS")):
        one = DialledHandshake(ours, credentials=Credentials(), gossip_mode=0, wanted=("B", place))
        other = AcceptedHandshake(theirs, wanted=Credentials())
        one.receive(take(other))
        outcome = other.receive(take(one))
        assert isinstance(outcome, Joined) and outcome.place == place
        joined = one.receive(b"PONG\r\n")
        assert isinstance(joined, Joined) and joined.place == place
        one.release()


def test_a_place_is_dialled_once_at_a_time_and_only_at_the_server_that_it_is_for() -> None:
    ours = Mesh(member("A"), Pooling(size=3))
    greeting = Mesh(member("B"), Pooling(size=3)).info()

    def dial(wanted: tuple[str, Place] | None) -> DialledHandshake:
        return DialledHandshake(ours, credentials=Credentials(), gossip_mode=0, wanted=wanted)

    first, again, other = dial(None), dial(None), dial(("D", FIRST))
    assert first.receive(greeting) is None
    assert failure(again.receive(greeting)).rejection.duplicate_of == "B"
    again.release()
    assert failure(dial(("B", FIRST)).receive(greeting)).rejection.duplicate_of == "B"
    first.release()
    assert dial(("B", FIRST)).receive(greeting) is None
    assert failure(other.receive(greeting)).text.startswith("another server is there now")
