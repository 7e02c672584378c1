"""Subject mappings: functions, weights, and what sees the mapped subject."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server, ServerKind, refused_start

CONFIG = """
mappings {
  "plain": "plain.mapped"
  "swap.*.*": "swapped.$2.$1"
  "swap2.*.*": "swapped2.{{wildcard(2)}}.{{ Wildcard(1) }}"
  "tail.>": "tailed.>"
  "part.*": "part.out.{{partition(10,1)}}"
  "parts.*.*": "parts.out.{{partition(10,1,2)}}"
  "whole.*": "whole.out.{{partition(10)}}"
  "none.*": "none.out.{{partition(0,1)}}"
  "dice.*": "dice.out.{{random(3)}}"
  "sfl.*": "sfl.out.{{splitfromleft(1,3)}}"
  "sfr.*": "sfr.out.{{SplitFromRight(1,3)}}"
  "slfl.*": "slfl.out.{{slicefromleft(1,3)}}"
  "slfr.*": "slfr.out.{{slicefromright(1,3)}}"
  "split.*": "split.out.{{split(1,-)}}"
  "left.*": "left.out.{{left(1,3)}}"
  "right.*": "right.out.{{right(1,3)}}"
  "chain": "chain.one"
  "chain.one": "chain.two"
  "half": [ { destination: "half.there", weight: 50 } ]
  "lost": [ { destination: "lost.there", weight: 50 }, { destination: "lost", weight: 0 } ]
  "split3": [ { destination: "split3.a", weight: "60%" }, { destination: "split3.b", weight: 40 } ]
  "request": "request.mapped"
}
"""
WITH_PERMISSIONS = """
authorization { users: [
  { user: root, password: p }
  { user: limited, password: p, permissions: { publish: ["out.x", "in.shut"] } }
] }
mappings { "in.ok": "out.x", "in.shut": "out.y" }
"""
ROUNDS = 400


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server(CONFIG)


@pytest.fixture
async def watcher(server: Server, login: Dial) -> RawClient:
    """A connection that sees every message."""
    client: RawClient = await login(server)
    await client.subscribe(">")
    return client


async def mapped(watcher: RawClient, subject: str) -> str:
    """Where a message published to `subject` arrives."""
    await watcher.send(f"PUB {subject} 0\r\n\r\n".encode())
    return (await watcher.expect_message()).subject


@pytest.mark.parametrize(
    ("subject", "wanted"),
    [
        ("plain", "plain.mapped"),
        ("plain.other", "plain.other"),
        ("swap.a.b", "swapped.b.a"),
        ("swap2.a.b", "swapped2.b.a"),
        ("tail.a.b.c", "tailed.a.b.c"),
    ],
)
async def test_mapping_replaces_the_subject(watcher: RawClient, subject: str, wanted: str) -> None:
    """Checklist 64."""
    assert await mapped(watcher, subject) == wanted


async def test_mapping_keeps_reply_and_payload(watcher: RawClient) -> None:
    """Checklist 64."""
    await watcher.send(b"PUB plain my.reply 2\r\nhi\r\n")
    await watcher.expect(b"MSG plain.mapped 1 my.reply 2\r\nhi\r\n")


async def test_missing_weight_keeps_the_subject(watcher: RawClient) -> None:
    """Checklist 64."""
    seen = Counter([await mapped(watcher, "half") for _ in range(ROUNDS)])
    assert set(seen) == {"half", "half.there"}
    assert 100 < seen["half"] < 300, seen


async def test_source_named_as_destination_loses_the_rest(server: Server, login: Dial) -> None:
    """Checklist 64."""
    c = await login(server)
    await c.subscribe("lost.>")
    await c.subscribe("lost", sid="2")
    await c.send(b"PUB lost 0\r\n\r\n" * ROUNDS + b"PUB lost.end 0\r\n\r\n")
    subjects = []
    while (subject := (await c.expect_message()).subject) != "lost.end":
        subjects.append(subject)
    assert set(subjects) == {"lost.there"}
    assert 100 < len(subjects) < 300


async def test_weights_split_the_messages(watcher: RawClient) -> None:
    """Checklist 64."""
    seen = Counter([await mapped(watcher, "split3") for _ in range(ROUNDS)])
    assert set(seen) == {"split3.a", "split3.b"}
    assert 160 < seen["split3.a"] < 320, seen


@pytest.mark.parametrize(
    ("subject", "wanted"),
    [("part.foo", "part.out.3"), ("part.bar", "part.out.2"), ("none.foo", "none.out.0")],
)
async def test_partition_is_the_hash_of_its_tokens(watcher: RawClient, subject: str, wanted: str) -> None:
    """Checklist 65."""
    assert await mapped(watcher, subject) == wanted


def fnv1a_32(data: bytes) -> int:
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value


async def test_partition_of_several_tokens_and_of_the_whole_subject(watcher: RawClient) -> None:
    """Checklist 65."""
    for first, second in (("a", "b"), ("foo", "bar"), ("x1", "y2")):
        wanted = fnv1a_32(f"{first}{second}".encode()) % 10
        assert await mapped(watcher, f"parts.{first}.{second}") == f"parts.out.{wanted}"
        wanted = fnv1a_32(f"whole.{first}".encode()) % 10
        assert await mapped(watcher, f"whole.{first}") == f"whole.out.{wanted}"


async def test_random_stays_below_its_bound(watcher: RawClient) -> None:
    """Checklist 65."""
    seen = {await mapped(watcher, "dice.x") for _ in range(100)}
    assert seen == {"dice.out.0", "dice.out.1", "dice.out.2"}


@pytest.mark.parametrize(
    ("subject", "wanted"),
    [
        ("sfl.12345", "sfl.out.123.45"),
        ("sfl.123", "sfl.out.123"),
        ("sfl.12", "sfl.out.12"),
        ("sfr.12345", "sfr.out.12.345"),
        ("sfr.12", "sfr.out.12"),
        ("slfl.1234567890", "slfl.out.123.456.789.0"),
        ("slfl.12", "slfl.out.12"),
        ("slfr.1234567890", "slfr.out.1.234.567.890"),
        ("split.a-b--c", "split.out.a.b.c"),
        ("split.-a-", "split.out.a"),
        ("split.plain", "split.out.plain"),
        ("left.12345", "left.out.123"),
        ("left.12", "left.out.12"),
        ("right.12345", "right.out.345"),
        ("right.12", "right.out.12"),
    ],
)
async def test_split_and_slice_functions(watcher: RawClient, subject: str, wanted: str) -> None:
    """Checklist 66."""
    assert await mapped(watcher, subject) == wanted


async def test_mapping_is_not_chained(watcher: RawClient) -> None:
    """Checklist 67."""
    assert await mapped(watcher, "chain") == "chain.one"
    assert await mapped(watcher, "chain.one") == "chain.two"


async def test_permissions_look_at_the_mapped_subject(shared_server: StartServer, login: Dial) -> None:
    """Checklist 67."""
    server = shared_server(WITH_PERMISSIONS)
    root = await login(server, user="root", **{"pass": "p"})
    await root.subscribe(">")
    c = await login(server, user="limited", **{"pass": "p"})
    await c.publish("in.ok", b"hi")
    await root.expect(b"MSG out.x 1 2\r\nhi\r\n")
    await c.send(b"PUB in.shut 0\r\n\r\n")
    await c.expect_err('Permissions Violation for Publish to "out.y"')
    await root.ping_pong()


async def test_503_names_the_mapped_subject(server: Server, login: Dial) -> None:
    """Checklist 67."""
    c = await login(server, headers=True, no_responders=True)
    await c.subscribe("inbox", sid="5")
    await c.send(b"PUB request inbox 0\r\n\r\n")
    await c.expect(b"HMSG inbox 5 46 46\r\nNATS/1.0 503\r\nNats-Subject: request.mapped\r\n\r\n\r\n")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('"a.*": "b.{{nosuch(1)}}"', "unknown function in {{nosuch(1)}}"),
        ('"a.*": "b.{{wildcard(2)}}"', "wildcard index out of range in {{wildcard(2)}}: [2]"),
        ('"a.*": "b.{{splitfromleft(1)}}"', "not enough arguments passed to the function in {{splitfromleft(1)}}"),
        ('"a.*": "b.{{wildcard(1,2)}}"', "too many arguments passed to the function in {{wildcard(1,2)}}"),
        ('"a.*": "b.{{wildcard(x)}}"', "function argument is invalid or in the wrong format in {{wildcard(x)}}"),
        ("a: [ { dest: b, weight: 60 }, { dest: c, weight: 60 } ]", "total weight needs to be <= 100"),
        ("a: [ { dest: b } ]", "Missing weight for mapping destination"),
    ],
)
def test_impossible_mapping_stops_the_start(server_kind: ServerKind, line: str, text: str) -> None:
    """Checklist 66."""
    code, printed = refused_start(server_kind, config=f"mappings {{ {line} }}")
    assert code == 1
    assert text in printed
