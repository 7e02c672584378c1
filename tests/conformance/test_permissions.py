"""Permissions of configured users beyond the client protocol's own checks: defaults, reload, limits.

Numbers are those of the security checklist (reference: security, section 11); `test_client_permissions.py` has the
texts, queue-qualified entries, delivery filter and responses in detail.
"""

from __future__ import annotations

import signal

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.rawclient import RawClient
from tests.kit.servers import ServerKind, refused_start, running_server

DEFAULTS = """
authorization {
  default_permissions: { publish: "open.>", subscribe: ["open.>", "_INBOX.>"] }
  users: [
    { user: plain, password: p }
    { user: own, password: p, permissions: { publish: "own.>" } }
    { user: empty, password: p, permissions: { publish: {}, subscribe: {} } }
  ]
}
"""
RESPONDER = """
authorization { users: [
  { user: root, password: p }
  { user: responder, password: p, permissions: {
      publish: { allow: ["metrics"], deny: ["reply.>"] }, subscribe: "svc", allow_responses: { max: 1, ttl: "10s" } } }
] }
"""


async def enter(login: Dial, server: object, name: str) -> RawClient:
    client: RawClient = await login(server, user=name, **{"pass": "p"})
    return client


async def expect_publish(client: RawClient, subject: str, *, allowed: bool) -> None:
    await client.send(f"PUB {subject} 0\r\n\r\n".encode())
    if not allowed:
        await client.expect_err(f'Permissions Violation for Publish to "{subject}"')
    await client.ping_pong()


async def expect_subscribe(client: RawClient, subject: str, *, allowed: bool) -> None:
    await client.send(f"SUB {subject} {subject}\r\n".encode())
    if not allowed:
        await client.expect_err(f'Permissions Violation for Subscription to "{subject}"')
    await client.ping_pong()


@pytest.mark.parametrize(
    ("name", "publishes", "refuses", "subscribes", "not_subscribes"),
    [
        ("plain", "open.a", "own.a", "open.>", "own.a"),
        ("own", "own.a", "open.a", "anything.>", ""),
        ("empty", "anything", "", "anything.>", ""),
    ],
)
async def test_default_permissions_hold_for_users_without_their_own(
    shared_server: StartServer,
    login: Dial,
    name: str,
    publishes: str,
    refuses: str,
    subscribes: str,
    not_subscribes: str,
) -> None:
    """Security checklist 172."""
    c = await enter(login, shared_server(DEFAULTS), name)
    await expect_publish(c, publishes, allowed=True)
    await expect_subscribe(c, subscribes, allowed=True)
    if refuses:
        await expect_publish(c, refuses, allowed=False)
    if not_subscribes:
        await expect_subscribe(c, not_subscribes, allowed=False)


async def test_response_right_overrides_a_deny_entry(shared_server: StartServer, login: Dial) -> None:
    """Security checklist 176."""
    server = shared_server(RESPONDER)
    root, responder = await enter(login, server, "root"), await enter(login, server, "responder")
    await responder.subscribe("svc")
    await root.subscribe("reply.>", sid="r")
    await root.send(b"PUB svc reply.one 0\r\n\r\n")
    await responder.expect(b"MSG svc 1 reply.one 0\r\n\r\n")
    await expect_publish(responder, "reply.one", allowed=True)
    await root.expect(b"MSG reply.one r 0\r\n\r\n")
    await expect_publish(responder, "reply.one", allowed=False)
    await expect_publish(responder, "metrics", allowed=True)


RELOAD = """
authorization {{ users: [
  {{ user: kept, password: p, permissions: {{ subscribe: [{subjects}] }} }}
  {more}
] }}
"""


async def test_reload_that_removes_a_right_removes_the_subscription(server_kind: ServerKind, login: Dial) -> None:
    """Security checklist 179."""
    config = RELOAD.format(subjects="x.a, x.b", more="{ user: root, password: p }")
    async with running_server(server_kind, config=config) as server:
        kept, root = await enter(login, server, "kept"), await enter(login, server, "root")
        await kept.subscribe("x.a", sid="1")
        await kept.subscribe("x.b", sid="2", queue="q")
        server.write_config(RELOAD.format(subjects="x.a", more="{ user: root, password: p }"))
        server.signal(signal.SIGHUP)
        await kept.expect_err('Permissions Violation for Subscription to "x.b" using queue "q" (sid "2")')
        await root.publish("x.b")
        await root.publish("x.a")
        await kept.expect(b"MSG x.a 1 0\r\n\r\n")
        await kept.ping_pong()


async def test_reload_that_removes_a_user_closes_its_connections_silently(server_kind: ServerKind, login: Dial) -> None:
    """Security checklist 180."""
    config = RELOAD.format(subjects="x", more="{ user: gone, password: p }")
    async with running_server(server_kind, config=config) as server:
        kept, gone = await enter(login, server, "kept"), await enter(login, server, "gone")
        server.write_config(RELOAD.format(subjects="x", more=""))
        server.signal(signal.SIGHUP)
        await gone.expect_closed()
        await kept.ping_pong()


async def test_reload_that_changes_a_password_is_an_authorization_violation(
    server_kind: ServerKind, login: Dial
) -> None:
    """Security checklist 180."""
    config = "authorization {{ users: [ {{ user: a, password: {password} }} ] }}"
    async with running_server(server_kind, config=config.format(password="p")) as server:
        c = await enter(login, server, "a")
        server.write_config(config.format(password="q"))
        server.signal(signal.SIGHUP)
        await c.expect_err_and_close("Authorization Violation")
        await login(server, user="a", **{"pass": "q"})


@pytest.mark.parametrize("subject", ["a..b", "a b c", "a.>.b"])
def test_impossible_permission_subject_stops_the_start(server_kind: ServerKind, subject: str) -> None:
    """Security checklist 172."""
    config = f'authorization {{ users: [ {{ user: u, password: p, permissions: {{ publish: ["{subject}"] }} }} ] }}'
    code, printed = refused_start(server_kind, config=config)
    assert code == 1
    assert f'subject "{subject}" is not a valid subject' in printed
