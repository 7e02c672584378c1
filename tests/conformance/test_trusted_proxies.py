"""Trusted proxies: who may stand before clients, what is shown of it, and what a reload does (reference: security 1.11)."""

from __future__ import annotations

import base64
import signal
from typing import Any

import pytest

from tests.conftest import Dial, StartServer
from tests.kit import monitoring
from tests.kit.eventually import eventually
from tests.kit.identities import UserKey, raw_url
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server, ServerKind, running_server

PROXY, SECOND, STRANGER, NKEY = UserKey(), UserKey(), UserKey(), UserKey()


def trusting(*keys: UserKey) -> str:
    return f"proxies {{ trusted: [ {', '.join(f'{{ key: {key.public} }}' for key in keys)} ] }}\n"


USERS = f"""authorization {{ users: [
  {{ user: free, password: p }}
  {{ user: behind, password: p, proxy_required: true }}
  {{ nkey: {NKEY.public}, proxy_required: true }}
] }}
"""


async def through(server: Server, dial: Dial, proxy: UserKey | None, **options: Any) -> RawClient:
    """A connection that has sent CONNECT with what `proxy` has signed."""
    client: RawClient = await dial(server)
    if proxy is not None:
        options["proxy_sig"] = raw_url(proxy.sign(client.info["nonce"]))
    await client.send_connect(**{"verbose": False} | options)
    await client.send(b"PING\r\n")
    return client


def as_user(name: str, password: str = "p") -> dict[str, str]:
    return {"user": name, "pass": password}


async def row(server: Server, client: RawClient) -> dict[str, Any]:
    """What monitoring shows of a connection, open or closed."""
    cid = client.info["client_id"]

    async def found() -> dict[str, Any] | None:
        rows = (await monitoring.get(server, f"/connz?cid={cid}&state=any&auth=1")).json()["connections"]
        return rows[0] if rows else None

    shown: dict[str, Any] = await eventually(found, what=f"connection {cid} in connz")
    return shown


async def closed_row(server: Server, client: RawClient) -> dict[str, Any]:
    """What monitoring shows of a connection that has ended."""

    async def found() -> dict[str, Any] | None:
        shown = await row(server, client)
        return shown if "reason" in shown else None

    shown: dict[str, Any] = await eventually(found, what="a closed connection")
    return shown


async def test_monitoring_names_the_proxy_of_a_connection(shared_server: StartServer, dial: Dial) -> None:
    server = shared_server(trusting(SECOND, PROXY) + USERS, monitoring=True)
    behind, free = (
        await through(server, dial, PROXY, **as_user("behind")),
        await through(server, dial, None, **as_user("free")),
    )
    for client in (behind, free):
        await client.expect(b"PONG\r\n")
    shown = await row(server, behind)
    assert shown["proxy"] == {"key": PROXY.public}
    assert list(shown)[-1] == "proxy"
    assert "proxy" not in await row(server, free)
    page = (await monitoring.get(server, "/varz")).json()
    assert page["proxies"] == {"trusted": [{"key": SECOND.public}, {"key": PROXY.public}]}


async def test_nothing_is_shown_of_proxies_where_there_is_no_block(shared_server: StartServer) -> None:
    assert "proxies" not in (await monitoring.get(shared_server("", monitoring=True), "/varz")).json()


async def test_a_proxy_may_be_used_where_nothing_is_asked_for(shared_server: StartServer, dial: Dial) -> None:
    server = shared_server(trusting(PROXY), monitoring=True)
    client = await through(server, dial, PROXY)
    await client.expect(b"PONG\r\n")
    assert (await row(server, client))["proxy"] == {"key": PROXY.public}
    stranger = await through(server, dial, STRANGER)
    await stranger.expect_err_and_close("Authorization Violation")


async def test_a_signature_is_ignored_where_no_proxy_is_trusted(shared_server: StartServer, dial: Dial) -> None:
    client = await dial(shared_server("", monitoring=True))
    await client.connect(proxy_sig="nonsense")


async def test_an_nkey_needs_its_proxy_beside_its_own_signature(shared_server: StartServer, dial: Dial) -> None:
    server = shared_server(trusting(PROXY) + USERS, monitoring=True)
    for proxy in (None, PROXY):
        client = await dial(server)
        options = NKEY.credentials(client.info["nonce"])
        if proxy is None:
            await client.send_connect(**options)
            await client.expect_err_and_close("Authorization Violation")
        else:
            await client.connect(**options, proxy_sig=raw_url(proxy.sign(client.info["nonce"])))


@pytest.mark.parametrize(
    ("proxy", "options", "reason", "said"),
    [
        (None, as_user("behind"), "Proxy Required", ["proxy connection required"]),
        (None, as_user("behind", "x"), "Proxy Required", ["proxy connection required"]),
        (STRANGER, as_user("free"), "Proxy Not Trusted", ["proxy is not trusted"]),
        (PROXY, as_user("behind", "x"), "Authentication Failure", []),
    ],
)
async def test_a_refused_connection_is_remembered_with_the_reason(
    shared_server: StartServer,
    dial: Dial,
    proxy: UserKey | None,
    options: dict[str, str],
    reason: str,
    said: list[str],
) -> None:
    server = shared_server(trusting(PROXY) + USERS, monitoring=True, args=["-D"])
    client = await through(server, dial, proxy, **options)
    await client.expect_err_and_close("Authorization Violation")
    shown = await closed_row(server, client)
    assert (shown["reason"], shown["authorized_user"]) == (reason, options["user"])
    assert shown.get("proxy") == ({"key": PROXY.public} if proxy is PROXY else None)
    end = f"cid:{client.info['client_id']} - Client connection closed: {reason}"
    await eventually(lambda: end in server.log_text(), what=end)
    about = f" - cid:{client.info['client_id']} - "
    lines = [line.partition(about)[2] for line in server.log_text().splitlines() if about in line]
    assert [line for line in lines if "roxy" in line and "closed" not in line] == said
    assert f'authentication error - User "{options["user"]}"' in lines


@pytest.mark.parametrize("dialect", ["nonsense", "padded", "standard"])
async def test_a_proxy_signature_comes_in_one_dialect_of_base64(
    shared_server: StartServer, dial: Dial, dialect: str
) -> None:
    server = shared_server(trusting(PROXY) + USERS, monitoring=True, args=["-D"])
    client = await dial(server)
    signature = PROXY.sign(client.info["nonce"])
    text = {
        "nonsense": "!!!",
        "padded": base64.urlsafe_b64encode(signature).decode(),
        "standard": base64.b64encode(signature).decode(),
    }[dialect]
    await client.send_connect(**as_user("free"), proxy_sig=text)
    await client.expect_err_and_close("Authorization Violation")
    about = f" - cid:{client.info['client_id']} - "
    for said in ("Proxy signature not valid base64", "proxy is not trusted"):
        await eventually(lambda said=said: about + said in server.log_text(), what=said)  # type: ignore[misc]


@pytest.mark.parametrize("block", ["user: u, password: p", "token: t"])
async def test_a_whole_listener_may_require_a_proxy(shared_server: StartServer, dial: Dial, block: str) -> None:
    server = shared_server(f"{trusting(PROXY)}authorization {{ {block}, proxy_required: true }}", monitoring=True)
    options = as_user("u") if "user" in block else {"auth_token": "t"}
    refused = await through(server, dial, None, **options)
    await refused.expect_err_and_close("Authorization Violation")
    assert (await closed_row(server, refused))["reason"] == "Proxy Required"
    await (await through(server, dial, PROXY, **options)).expect(b"PONG\r\n")


async def test_a_stand_in_for_anonymous_clients_may_require_a_proxy(shared_server: StartServer, dial: Dial) -> None:
    server = shared_server(trusting(PROXY) + USERS + "no_auth_user: behind", monitoring=True)
    await (await through(server, dial, PROXY)).expect(b"PONG\r\n")
    refused = await through(server, dial, None)
    await refused.expect_err_and_close("Authorization Violation")
    shown = await closed_row(server, refused)
    assert (shown["reason"], shown["authorized_user"]) == ("Proxy Required", "behind")
    silent = await dial(server)
    await silent.send(b"PING\r\n")
    await silent.expect_err_and_close("Authorization Violation")
    assert (await closed_row(server, silent))["reason"] == "Authentication Failure"


async def test_what_a_proxy_signed_counts_for_later_connects(shared_server: StartServer, dial: Dial) -> None:
    server = shared_server(trusting(PROXY) + USERS, monitoring=True)
    client = await through(server, dial, PROXY, **as_user("free"))
    await client.expect(b"PONG\r\n")
    await client.connect(**as_user("behind"))
    assert (await row(server, client))["proxy"] == {"key": PROXY.public}
    await client.send_connect(**as_user("behind"), proxy_sig=raw_url(STRANGER.sign(client.info["nonce"])))
    await client.expect_err_and_close("Authorization Violation")
    shown = await closed_row(server, client)
    assert (shown["reason"], shown["proxy"]) == ("Proxy Not Trusted", {"key": PROXY.public})


async def test_a_reload_that_trusts_a_proxy_no_more_closes_its_connections(server_kind: ServerKind, dial: Dial) -> None:
    """Security checklist 53."""
    async with running_server(server_kind, config=trusting(PROXY, SECOND), monitoring=True, args=["-D"]) as server:
        gone, stays, direct = [await through(server, dial, proxy) for proxy in (PROXY, SECOND, None)]
        for client in (gone, stays, direct):
            await client.expect(b"PONG\r\n")
        server.write_config(trusting(STRANGER, SECOND))
        server.signal(signal.SIGHUP)
        await gone.expect_err_and_close("Authorization Violation")
        shown = await closed_row(server, gone)
        assert (shown["reason"], shown["proxy"]) == ("Proxy Not Trusted", {"key": PROXY.public})
        for keys, change in ((PROXY, "removed"), (STRANGER, "added")):
            line = f'Reloaded: proxies trusted keys ["{keys.public}"] were {change}'
            await eventually(lambda line=line: line in server.log_text(), what=line)  # type: ignore[misc]
        for client in (stays, direct):
            await client.ping_pong()
        await (await through(server, dial, STRANGER)).expect(b"PONG\r\n")


async def test_a_reload_that_requires_a_proxy_spares_who_came_through_one(server_kind: ServerKind, dial: Dial) -> None:
    users = "authorization {{ users: [ {{ user: u, password: p{} }} ] }}\n"
    config = trusting(PROXY) + users.format("")
    async with running_server(server_kind, config=config, monitoring=True, args=["-D"]) as server:
        proxied, direct = [await through(server, dial, proxy, **as_user("u")) for proxy in (PROXY, None)]
        for client in (proxied, direct):
            await client.expect(b"PONG\r\n")
        server.write_config(trusting(PROXY) + users.format(", proxy_required: true"))
        server.signal(signal.SIGHUP)
        await direct.expect_err_and_close("Authorization Violation")
        assert (await closed_row(server, direct))["reason"] == "Proxy Required"
        said = f'cid:{direct.info["client_id"]} - "$G/user:u" - proxy connection required'
        await eventually(lambda: said in server.log_text(), what=said)
        await proxied.ping_pong()


async def test_a_reload_that_trusts_the_first_proxy_starts_to_send_nonces(server_kind: ServerKind, dial: Dial) -> None:
    async with running_server(server_kind, config=trusting(), monitoring=True) as server:
        assert "nonce" not in (await dial(server)).info
        assert (await monitoring.get(server, "/varz")).json()["proxies"] == {}
        server.write_config(trusting(PROXY))
        server.signal(signal.SIGHUP)

        async def greeted_with_a_nonce() -> bool:
            return "nonce" in (await dial(server)).info

        await eventually(greeted_with_a_nonce, what="a nonce")
        await (await through(server, dial, PROXY)).expect(b"PONG\r\n")
