"""Registration, cluster name and gossip, without any connection."""

from __future__ import annotations

import json

import pytest

from services.shared.member.cluster_face import Face
from services.shared.member.routes.mesh import Action, Dial, Drop, Forget, Mesh, Tell
from services.shared.member.routes.pool import FIRST, Place, Pooling
from services.shared.member.routes.route_info import parse_info
from services.shared.records.record import replace
from services.shared.wire.close_reasons import CloseReason
from tests.unit.shared.member.routes.members import info_of, member, peer

POOLING = Pooling(size=3, pinned=("P", "$SYS"), accounts=frozenset({"P", "$SYS", "X"}))


def tells_of(actions: list[Action]) -> list[Tell]:
    """What other servers are told."""
    assert all(isinstance(action, Tell) for action in actions)
    return [action for action in actions if isinstance(action, Tell)]


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


def test_of_two_that_dial_each_other_at_once_the_one_with_the_smaller_id_lets_the_other_wait() -> None:
    smaller, larger = Mesh(member("A")), Mesh(member("B"))
    assert smaller.claim(info_of(larger), wanted=None) == FIRST
    assert larger.claim(info_of(smaller), wanted=None) == FIRST
    assert smaller.has_to_wait("B", FIRST) and not larger.has_to_wait("A", FIRST)
    assert not smaller.has_to_wait("B", Place(slot=1))
    smaller.release("B", FIRST)
    assert not smaller.has_to_wait("B", FIRST)


def test_a_server_is_there_as_long_as_one_of_its_connections_is() -> None:
    mesh = Mesh(member("A"), POOLING)
    mesh.join(peer("B", cid=1, pool_size=3))
    mesh.join(peer("B", cid=2, pool_size=3, place=Place(slot=2)))
    mesh.join(peer("B", cid=3, pool_size=3, place=Place(account="P")))
    assert mesh.places("B") == (FIRST, Place(slot=2), Place(account="P"))
    assert mesh.missing("B") == [Place(slot=1), Place(account="$SYS")]
    assert len(mesh.peers) == 3 and mesh.servers == ("B",)
    for cid in (1, 3):
        assert mesh.leave(cid) is not None
    assert mesh.knows("B") and mesh.face.urls == ("b:4222",)
    mesh.leave(2)
    assert not mesh.knows("B") and mesh.face.urls == () and mesh.missing("B") == []


def test_a_server_is_told_of_once_and_once_for_each_account_with_a_connection_of_its_own() -> None:
    mesh = Mesh(member("A"), POOLING)
    mesh.join(peer("B", cid=1, pool_size=3))
    mesh.join(peer("B", cid=2, pool_size=3, place=Place(account="P")))
    mesh.join(peer("C", cid=3))
    joined = [
        mesh.join(peer("D", cid=4, pool_size=3, place=Place(account="P"))),
        mesh.join(peer("D", cid=5, pool_size=3)),
        mesh.join(peer("D", cid=6, pool_size=3, place=Place(slot=1))),
    ]
    told = [[(tell.cid, json.loads(tell.line[5:]).get("route_account")) for tell in tells_of(one)] for one in joined]
    # A server without a pool has no connections for one account.
    assert told == [[(2, "P")], [(1, None), (3, None)], []]


def test_a_reload_is_told_to_every_server_once_and_only_if_it_changes_anything() -> None:
    mesh = Mesh(member("A"), POOLING)
    for cid, place in enumerate((Place(account="$SYS"), Place(slot=1), FIRST)):
        mesh.join(peer("B", cid=cid, pool_size=3, place=place))
    assert mesh.follow(member("A"), POOLING) == []
    [tell] = tells_of(mesh.follow(member("A", urls=("elsewhere:4222",)), POOLING))
    assert tell.cid == 2 and json.loads(tell.line[5:])["connect_urls"] == ["elsewhere:4222"]


def test_another_size_of_the_pool_makes_all_connections_anew() -> None:
    mesh = Mesh(member("A"), POOLING)
    for cid, place in enumerate((FIRST, Place(slot=1), Place(account="P"))):
        mesh.join(peer("B", cid=cid, pool_size=3, place=place))
    removed = CloseReason.ROUTE_REMOVED
    without_p = replace(POOLING, pinned=("$SYS",))
    assert mesh.follow(member("A"), without_p) == [Drop(cid=2, reason=removed)]
    assert mesh.follow(member("A"), replace(POOLING, size=4)) == [Drop(cid=cid, reason=removed) for cid in range(3)]


def test_an_account_that_gets_a_connection_of_its_own_is_handed_over() -> None:
    """Reference 2.7."""
    mesh = Mesh(member("A"), POOLING)
    for cid, place in enumerate((FIRST, Place(slot=1), Place(account="P"))):
        mesh.join(peer("B", cid=cid, pool_size=3, place=place))
    asked = parse_info(b'{"server_id":"","route_pool_size":3,"route_account":"X","route_acc_add_reqid":"one"}')
    *forgotten, told = mesh.hear(1, asked)
    assert forgotten == [Forget(cid=0, account="X"), Forget(cid=1, account="X")]
    assert isinstance(told, Tell) and told.cid == 1
    assert json.loads(told.line[5:]) == {"route_pool_size": 3, "route_acc_add_reqid": "one"}


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
