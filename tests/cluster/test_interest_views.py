"""What monitoring shows of the interest of other servers, on both kinds of servers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.kit.clusters import PAIRS, client_of, pair_name, pair_of_servers, until_heard
from tests.kit.servers import Server, ServerKind

ACCOUNTS = """
accounts { X { users: [{user: x, password: x}] } }
http: "127.0.0.1:-1"
"""
X = {"user": "x", "pass": "x"}


async def routes(server: Server, query: str) -> list[dict[str, Any]]:
    """The routes of a server that carry account X."""
    async with httpx.AsyncClient() as web:
        page = (await web.get(f"http://127.0.0.1:{server.monitor_port}/routez{query}")).json()
    return [row for row in page["routes"] if row["subscriptions"] > 0 and row.get("account") != "$SYS"]


@pytest.mark.parametrize("kinds", PAIRS, ids=pair_name)
async def test_monitoring_lists_what_the_other_server_wants(kinds: tuple[ServerKind, ServerKind]) -> None:
    async with (
        pair_of_servers(kinds, config=ACCOUNTS) as (one, other),
        client_of(one, **X) as a,
        client_of(other, **X) as b,
    ):
        await b.subscribe("news.*", sid="1")
        await b.subscribe("jobs", sid="2", queue="q")
        await b.subscribe("jobs", sid="3", queue="q")
        await until_heard(a, b, "known")
        [plain] = await routes(one, "")
        assert "subscriptions_list" not in plain and "subscriptions_list_detail" not in plain
        [listed] = await routes(one, "?subs=1")
        assert {"news.*", "jobs"} <= set(listed["subscriptions_list"])
        [detailed] = await routes(one, "?subs=detail")
        assert "subscriptions_list" not in detailed
        # nats-server leaves the first word out where the other side does not speak for leafnodes apart.
        rows = [row | {"sid": "R " + row["sid"].removeprefix("R ")} for row in detailed["subscriptions_list_detail"]]
        own = {row["sid"]: row for row in rows if row["sid"].startswith("R X ")}
        own.pop("R X known", None)
        assert set(own) == {"R X news.*", "R X jobs q"}
        assert own["R X news.*"] == {"subject": "news.*", "sid": "R X news.*", "msgs": 0, "cid": detailed["rid"]}
        assert own["R X jobs q"] == {
            "subject": "jobs", "qgroup": "q", "sid": "R X jobs q", "msgs": 0, "cid": detailed["rid"],
        }  # fmt: skip
