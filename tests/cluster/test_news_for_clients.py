"""What clients are told of the cluster, whenever they come."""

from __future__ import annotations

import pytest

from tests.kit.clusters import PAIRS, client_of, cluster_config, pair_name, until_heard
from tests.kit.rawclient import raw_client
from tests.kit.servers import ServerKind, running_server

Kinds = tuple[ServerKind, ServerKind]
pairs = pytest.mark.parametrize("kinds", PAIRS, ids=pair_name)
USER = "authorization { user: u, password: p }\n"


@pytest.mark.parametrize("config", ["", USER], ids=["open", "credentials"])
@pairs
async def test_a_client_that_is_still_coming_in_hears_of_a_server_that_joins(kinds: Kinds, config: str) -> None:
    """It has its first INFO already, and has not said CONNECT: the one with its first PONG tells it."""
    who = {"user": "u", "pass": "p"} if config else {}
    async with running_server(kinds[0], config=cluster_config() + config) as seed, raw_client(seed) as slow:
        alone = slow.info.get("connect_urls", [])
        joining = cluster_config(routes=(seed.port("cluster"),)) + config
        async with (
            running_server(kinds[1], config=joining) as joiner,
            client_of(seed, **who) as a,
            client_of(joiner, **who) as b,
        ):
            await until_heard(a, b, "joined")
            await slow.send_connect(verbose=False, protocol=1, **who)
            await slow.ping_pong()
            info = await slow.expect_info()
            assert info["connect_urls"] == [
                f"127.0.0.1:{seed.client_port}",
                f"127.0.0.1:{joiner.client_port}",
            ], f"at first: {alone}"
