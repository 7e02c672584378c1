"""Registration, cluster name and gossip, without any connection."""

from __future__ import annotations

import json

import pytest

from services.shared.member.cluster_face import Face
from services.shared.member.routes.mesh import Dial, Drop, Mesh, Tell
from services.shared.member.routes.route_info import parse_info
from services.shared.records.record import replace
from services.shared.wire.close_reasons import CloseReason
from tests.unit.shared.member.routes.members import info_of, member, peer


def test_clients_hear_of_other_servers_while_they_are_there() -> None:
    mesh = Mesh(member("A"))
    assert mesh.face == Face(name="C")
    mesh.join(peer("B", cid=1))
    mesh.join(peer("D", cid=2))
    assert mesh.face.urls == ("b:4222", "d:4222")
    assert mesh.leave(1) is not None and mesh.leave(1) is None
    assert mesh.face.urls == ("d:4222",)
    mesh.leave(2)
    assert mesh.face.urls == ()


def test_clients_hear_of_nobody_without_advertising() -> None:
    mesh = Mesh(replace(member("A"), advertises=False))
    mesh.join(peer("B", cid=1))
    assert mesh.face == Face(name="C")
    assert b"connect_urls" not in mesh.info()


def test_a_server_in_lame_duck_mode_is_not_told_of() -> None:
    mesh, leaving = Mesh(member("A")), Mesh(member("B"))
    mesh.join(peer("B", cid=1))
    leaving.join(peer("A", cid=9))
    [told] = leaving.retire()
    assert isinstance(told, Tell) and told.cid == 9
    mesh.hear(1, parse_info(told.line.removeprefix(b"INFO ")))
    assert mesh.face.urls == () and leaving.face.leaving


def test_a_second_connection_and_a_route_to_oneself_are_refused_in_silence() -> None:
    mesh = Mesh(member("A"))
    mesh.join(peer("B", cid=1))
    twice = mesh.judge(info_of(Mesh(member("B"))), solicited=False)
    assert twice is not None and (twice.reason, twice.text) == (CloseReason.DUPLICATE_ROUTE, "")
    assert twice.duplicate_of == "B"
    oneself = mesh.judge(info_of(mesh), solicited=True)
    assert oneself is not None and oneself.self_route and not oneself.text


def test_when_both_dial_the_connection_of_the_smaller_id_stays() -> None:
    smaller, larger = Mesh(member("A")), Mesh(member("B"))
    smaller.dialling("B")
    larger.dialling("A")
    assert smaller.judge(info_of(larger), solicited=False) is not None
    assert larger.judge(info_of(smaller), solicited=False) is None
    smaller.dialled("B")
    assert smaller.judge(info_of(larger), solicited=False) is None
    # A server with a pool of connections decides by itself.
    smaller.dialling("B")
    assert smaller.judge(replace(info_of(larger), pool_size=3), solicited=False) is None


@pytest.mark.parametrize(
    ("own", "dynamic", "theirs", "they_dynamic", "solicited", "name", "agreed"),
    [
        ("C", False, "C", False, False, "C", True),
        ("C", False, "D", False, False, "C", False),
        ("C", False, "D", True, False, "C", False),
        ("C", False, "D", True, True, "C", True),
        ("x", True, "D", False, False, "D", True),
        ("x", True, "y", True, False, "y", True),
        ("x", True, "a", True, False, "x", False),
        ("x", True, "a", True, True, "x", True),
        ("x", True, "", False, False, "x", False),
        ("x", True, "_", False, False, "x", False),
    ],
)
def test_a_generated_name_gives_way(
    own: str, dynamic: bool, theirs: str, they_dynamic: bool, solicited: bool, name: str, agreed: bool
) -> None:
    """Reference 2.6."""
    mesh = Mesh(member("A", cluster=own, dynamic=dynamic))
    assert (mesh.agree(theirs, dynamic=they_dynamic, solicited=solicited) is None) is agreed
    assert mesh.name == name


def test_a_name_is_adopted_once_and_the_others_have_to_go() -> None:
    mesh = Mesh(member("A", cluster="a", dynamic=True))
    mesh.join(peer("B", cid=1))
    assert mesh.agree("D", dynamic=False, solicited=True) is None
    assert mesh.agree("E", dynamic=False, solicited=True) is not None
    assert mesh.join(peer("F", cid=2, solicited=True)) == [Drop(cid=1, reason=CloseReason.CLUSTER_NAME_CONFLICT)]
    assert json.loads(mesh.info()[5:])["cluster_dynamic"] is True


def test_the_others_are_told_of_a_newcomer() -> None:
    mesh = Mesh(member("A"))
    assert mesh.join(peer("B", cid=1)) == []
    [told] = mesh.join(peer("D", cid=2))
    assert isinstance(told, Tell) and told.cid == 1
    members = json.loads(told.line[5:])
    assert (members["server_id"], members["ip"], members["gossip_mode"]) == ("D", "nats-route://10.0.0.2:6222/", 1)
    assert "nonce" not in members


def test_gossip_is_not_passed_on_by_who_learned_of_it() -> None:
    mesh = Mesh(member("A"))
    mesh.join(peer("B", cid=1))
    assert mesh.join(peer("D", cid=2, solicited=True)) == []
    assert len(mesh.join(peer("E", cid=3, solicited=True), dial_mode=2)) == 2
    quiet = peer("F", cid=4)
    assert mesh.join(replace(quiet, info=replace(quiet.info, gossip_mode=1))) == []


def test_an_unknown_server_is_dialled_and_a_known_one_is_not() -> None:
    mesh = Mesh(member("A"))
    mesh.join(peer("B", cid=1))
    mesh.join(peer("D", cid=2))
    news = replace(info_of(Mesh(member("E"))), ip="nats-route://10.0.0.9:6222/", gossip_mode=2)
    assert mesh.hear(1, news) == [
        Dial(server_id="E", url="nats-route://10.0.0.9:6222/", auth_required=False, gossip_mode=2)
    ]
    for known in ("A", "D"):
        assert mesh.hear(1, replace(news, server_id=known)) == []
    assert mesh.hear(1, replace(news, account="$SYS")) == []
    assert mesh.hear(77, news) == []
