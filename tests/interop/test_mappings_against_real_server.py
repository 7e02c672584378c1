"""The tables in `spec/subjects` are what the real server does: mappings, weights, permissions, seen from a raw client.

The engine and the Python judges are held to the same tables by their unit tests. Where a new release of nats-server
differs, a test here fails and shows the new row.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from tests.conftest import Dial
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server, ServerKind, refused_start, start_server
from tests.kit.subject_tables import cell_items, table_rows

pytestmark = pytest.mark.real

ROUNDS = 400
# Five standard deviations of a share of one half among ROUNDS, in percent.
TOLERANCE = 100 * 5 * (0.25 / ROUNDS) ** 0.5

MAPPINGS = table_rows("mappings", cells=4)
PERMITS = table_rows("permits", cells=5)
DESTINATIONS = table_rows("mapping_destinations", cells=3)
WEIGHTS = table_rows("weights", cells=4)


def _distinct(keys: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """A user name for each key, in order of appearance."""
    return {key: f"user{number}" for number, key in enumerate(dict.fromkeys(keys))}


MAPPING_USERS = _distinct(row[:2] for row in MAPPINGS)
PERMIT_USERS = _distinct(row[:3] for row in PERMITS)


def _account(user: str, mappings: str) -> str:
    return f"  {user} {{ users: [ {{ user: {user}, password: p }} ], mappings {{ {mappings} }} }}\n"


def _words(texts: Iterable[str]) -> str:
    return json.dumps(list(texts), ensure_ascii=False)


def _mapping(source: str, destination: str) -> str:
    return f"{json.dumps(source)}: {json.dumps(destination, ensure_ascii=False)}"


@pytest.fixture(scope="module")
def mapping_server() -> Iterator[Server]:
    accounts = "".join(_account(user, _mapping(*pair)) for pair, user in MAPPING_USERS.items())
    server = start_server(ServerKind.REAL, config=f"accounts {{\n{accounts}}}\n")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def permit_server() -> Iterator[Server]:
    users = ""
    for (direction, allow, deny), user in PERMIT_USERS.items():
        lists = [] if allow == "-" else [f"allow: {_words(cell_items(allow))}"]
        lists += [f"deny: {_words(cell_items(deny))}"] if cell_items(deny) else []
        permissions = f"{direction}: {{ {', '.join(lists)} }}"
        users += f"  {{ user: {user}, password: p, permissions: {{ {permissions} }} }}\n"
    server = start_server(ServerKind.REAL, config=f"authorization {{ users: [\n{users}] }}\n")
    yield server
    server.stop()


async def _items_until_pong(client: RawClient) -> list[bytes]:
    await client.send(b"PING\r\n")
    items = []
    while (item := await client.next_item()) != b"PONG\r\n":
        assert item, "the server closed"
        items.append(item)
    return items


def _subjects(items: Iterable[bytes]) -> list[str]:
    return [item.split(b" ", 2)[1].decode() for item in items if item.startswith(b"MSG ")]


@pytest.mark.parametrize(("source", "destination", "published", "result"), MAPPINGS)
async def test_a_subject_is_mapped_as_the_table_says(
    mapping_server: Server, login: Dial, source: str, destination: str, published: str, result: str
) -> None:
    client = await login(mapping_server, user=MAPPING_USERS[source, destination], **{"pass": "p"})
    await client.send(f"SUB > 1\r\nPUB {published} 0\r\n\r\n".encode())
    visible = all(result.split("."))  # a subject with an empty token matches nothing
    assert _subjects(await _items_until_pong(client)) == ([result] if visible else [])


@pytest.mark.parametrize(("direction", "allow", "deny", "request_", "answer"), PERMITS)
async def test_a_request_is_judged_as_the_table_says(
    permit_server: Server, login: Dial, direction: str, allow: str, deny: str, request_: str, answer: str
) -> None:
    client = await login(permit_server, user=PERMIT_USERS[direction, allow, deny], **{"pass": "p"})
    line = f"PUB {request_} 0\r\n\r\n" if direction == "publish" else f"SUB {request_} 1\r\n"
    await client.send(line.encode())
    refusals = [item for item in await _items_until_pong(client) if item.startswith(b"-ERR 'Permissions Violation")]
    assert len(refusals) == (answer == "no"), refusals


def test_destinations_are_refused_in_the_words_of_the_table() -> None:
    refused = [row for row in DESTINATIONS if row[2]]
    accounts = "".join(
        _account(f"user{number}", _mapping(source, destination))
        for number, (source, destination, _) in enumerate(refused)
    )
    code, log = refused_start(ServerKind.REAL, config=f"accounts {{\n{accounts}}}\n")
    assert code != 0
    seen = [
        line.split("Error adding mapping for ", 1)[1] for line in log.splitlines() if "Error adding mapping" in line
    ]
    wanted = [f'"{source}" to "{destination}" : {fault}' for source, destination, fault in refused]
    assert sorted(seen) == sorted(wanted)


def test_destinations_are_accepted_as_the_table_says() -> None:
    accounts = "".join(
        _account(f"user{number}", _mapping(source, destination))
        for number, (source, destination, fault) in enumerate(DESTINATIONS)
        if not fault
    )
    start_server(ServerKind.REAL, config=f"accounts {{\n{accounts}}}\n").stop()


def _weighted(destinations: str) -> str:
    entries = []
    for item in cell_items(destinations):
        subject, weight, *scope = item.split(" ")
        scoped = f', cluster: "{scope[0]}"' if scope else ""
        entries.append(f'{{ destination: "{subject}", weight: {weight}{scoped} }}')
    return ", ".join(entries)


def _shares(outcome: str) -> dict[str, int]:
    shares = {}
    for item in cell_items(outcome):
        subject, share = item.split(" ")
        shares[_filled(subject)] = int(share)
    return shares


def _filled(pattern: str) -> str:
    return pattern.replace("*", "x").replace(">", "x")


@pytest.mark.parametrize("cluster", ["", "X", "Y"])
async def test_weights_share_out_as_the_table_says(login: Dial, cluster: str) -> None:
    rows = [row for row in WEIGHTS if row[2] == cluster]
    accounts = "".join(
        _account(f"user{number}", f'"{source}": [ {_weighted(destinations)} ]')
        for number, (source, destinations, _, _) in enumerate(rows)
    )
    clustered = f'cluster {{ name: {cluster}, listen: "127.0.0.1:-1" }}\n' if cluster else ""
    server = start_server(ServerKind.REAL, config=f"{clustered}accounts {{\n{accounts}}}\n")
    try:
        for number, (source, _, _, outcome) in enumerate(rows):
            client = await login(server, user=f"user{number}", **{"pass": "p"})
            await client.send(b"SUB > 1\r\n" + f"PUB {_filled(source)} 0\r\n\r\n".encode() * ROUNDS)
            have = Counter(_subjects(await _items_until_pong(client)))
            want = _shares(outcome)
            for subject in have.keys() | want.keys():
                share, wanted = 100 * have[subject] / ROUNDS, want.get(subject, 0)
                tolerance = TOLERANCE if 0 < wanted < 100 else 0
                assert abs(share - wanted) <= tolerance, (source, dict(have), want)
    finally:
        server.stop()
