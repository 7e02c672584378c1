"""Publish and subscribe permissions as a client meets them: texts, silence, and a connection that stays open."""

from __future__ import annotations

import pytest
import trio

from tests.conftest import Dial, StartServer
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server

CONFIG = """
authorization {
  users: [
    { user: root, password: p }
    { user: limited, password: p, permissions: {
        publish: { allow: ["ok.>", "half.*"], deny: ["ok.secret", "half.no"] }
        subscribe: { allow: ["in.*", "wild.>", "z.b"], deny: ["in.secret", "wild.secret"] } } }
    { user: queued, password: p, permissions: {
        publish: ">"
        subscribe: { allow: ["jobs dev", "tasks v1.*", "free", "free named"], deny: ["free blocked"] } } }
    { user: once, password: p, permissions: { subscribe: ["svc.>"], allow_responses: true } }
    { user: twice, password: p, permissions: {
        publish: ["always"], subscribe: ["svc.>"], allow_responses: { max: 2, expires: "400ms" } } }
    { user: unlimited, password: p, permissions: {
        subscribe: ["svc.>"], allow_responses: { max: -1, expires: "-1s" } } }
  ]
}
"""


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server(CONFIG)


@pytest.fixture
async def root(server: Server, login: Dial) -> RawClient:
    client: RawClient = await login(server, user="root", **{"pass": "p"})
    return client


@pytest.fixture
def enter(server: Server, login: Dial) -> Dial:
    async def enter(user: str) -> RawClient:
        client: RawClient = await login(server, user=user, **{"pass": "p"})
        return client

    return enter


@pytest.mark.parametrize("subject", ["other", "ok.secret", "half.no", "half.a.b", "ok", "*", ">", "in.a"])
async def test_forbidden_publish_is_reported_and_dropped(root: RawClient, enter: Dial, subject: str) -> None:
    """Checklist 49."""
    await root.subscribe(">")
    c = await enter("limited")
    await c.send(f"PUB {subject} 2\r\nno\r\nPUB ok.yes 3\r\nyes\r\n".encode())
    await c.expect_err(f'Permissions Violation for Publish to "{subject}"')
    await c.ping_pong()
    await root.expect(b"MSG ok.yes 1 3\r\nyes\r\n")


async def test_reply_subject_is_not_checked_on_publish(root: RawClient, enter: Dial) -> None:
    """Checklist 49."""
    await root.subscribe("ok.request")
    c = await enter("limited")
    await c.publish("ok.request", reply="forbidden.reply")
    await root.expect(b"MSG ok.request 1 forbidden.reply 0\r\n\r\n")


@pytest.mark.parametrize("subject", ["other", ">", "*.a", "in.a.b", "in.secret", "z.*", "z.>", "wild.secret", "in"])
async def test_forbidden_subscription_is_reported(enter: Dial, subject: str) -> None:
    """Checklist 50."""
    c = await enter("limited")
    await c.send(f"SUB {subject} 1\r\nSUB {subject} q 2\r\n".encode())
    await c.expect_err(f'Permissions Violation for Subscription to "{subject}"')
    await c.expect_err(f'Permissions Violation for Subscription to "{subject}" using queue "q"')
    await c.ping_pong()


async def test_forbidden_subscription_gets_no_messages_and_frees_its_sid(root: RawClient, enter: Dial) -> None:
    """Checklist 50."""
    c = await enter("limited")
    await c.send(b"SUB hidden 1\r\n")
    await c.expect_err('Permissions Violation for Subscription to "hidden"')
    await root.publish("hidden")
    await c.subscribe("in.mine", sid="1")
    await root.publish("in.mine")
    await c.expect(b"MSG in.mine 1 0\r\n\r\n")


@pytest.mark.parametrize("subject", ["in.a", "in.*", "wild.>", "wild.a.b", "wild.*", "z.b", "in.>"])
async def test_allowed_subscription_is_accepted(enter: Dial, subject: str) -> None:
    """Checklist 50."""
    c = await enter("limited")
    await c.subscribe(subject)


@pytest.mark.parametrize(
    ("subject", "queue", "allowed"),
    [
        ("jobs", "dev", True),
        ("jobs", "", False),
        ("jobs", "prod", False),
        ("tasks", "v1.x", True),
        ("tasks", "v2.x", False),
        ("tasks", "v1", False),
        ("tasks", "", False),
        ("free", "", True),
        ("free", "named", True),
        ("free", "any", False),
        ("free", "blocked", False),
    ],
)
async def test_queue_qualified_entries_admit_only_their_queues(
    enter: Dial, subject: str, queue: str, allowed: bool
) -> None:
    """Checklist 51."""
    c = await enter("queued")
    await c.send(f"SUB {subject} {queue} 1\r\n".encode())
    if not allowed:
        using = f' using queue "{queue}"' if queue else ""
        await c.expect_err(f'Permissions Violation for Subscription to "{subject}"{using}')
    await c.ping_pong()


async def test_denied_subjects_are_filtered_from_a_broader_subscription(root: RawClient, enter: Dial) -> None:
    """Checklist 52."""
    c = await enter("limited")
    await c.subscribe("wild.>")
    await c.subscribe("in.*", sid="2")
    for subject in ("wild.secret", "in.secret", "wild.open"):
        await root.publish(subject)
    await c.expect(b"MSG wild.open 1 0\r\n\r\n")
    await c.ping_pong()


async def test_denied_subjects_are_filtered_for_queue_members(root: RawClient, enter: Dial) -> None:
    """Checklist 52."""
    c, other = await enter("limited"), root
    await c.subscribe("wild.>", queue="q")
    await other.subscribe("wild.>", queue="q")
    await other.send(b"PUB wild.secret 0\r\n\r\n" * 20)
    await other.expect(b"MSG wild.secret 1 0\r\n\r\n" * 20)
    await c.ping_pong()


async def test_allowed_response_may_be_sent_once(root: RawClient, enter: Dial) -> None:
    """Checklist 53."""
    c = await enter("once")
    await c.subscribe("svc.once")
    await root.subscribe("reply.once", sid="9")
    await c.send(b"PUB reply.once 0\r\n\r\n")
    await c.expect_err('Permissions Violation for Publish to "reply.once"')
    await root.send(b"PUB svc.once reply.once 0\r\n\r\n")
    await c.expect(b"MSG svc.once 1 reply.once 0\r\n\r\n")
    await c.send(b"PUB reply.once 1\r\n1\r\nPUB reply.once 1\r\n2\r\n")
    await c.expect_err('Permissions Violation for Publish to "reply.once"')
    await root.expect(b"MSG reply.once 9 1\r\n1\r\n")
    await root.ping_pong()


async def test_allowed_responses_end_after_their_maximum(root: RawClient, enter: Dial) -> None:
    """Checklist 53."""
    c = await enter("twice")
    await c.subscribe("svc.twice")
    await root.send(b"PUB svc.twice reply.twice 0\r\n\r\n")
    await c.expect(b"MSG svc.twice 1 reply.twice 0\r\n\r\n")
    await c.publish("always")
    await c.publish("reply.twice")
    await c.publish("reply.twice")
    await c.send(b"PUB reply.twice 0\r\n\r\n")
    await c.expect_err('Permissions Violation for Publish to "reply.twice"')


async def test_allowed_responses_end_with_their_time(root: RawClient, enter: Dial) -> None:
    """Checklist 53."""
    c = await enter("twice")
    await c.subscribe("svc.late")
    await root.send(b"PUB svc.late reply.late 0\r\n\r\n")
    await c.expect(b"MSG svc.late 1 reply.late 0\r\n\r\n")
    await trio.sleep(0.7)  # the right expires after 0.4 s, and only the passing of time can show it
    await c.send(b"PUB reply.late 0\r\n\r\n")
    await c.expect_err('Permissions Violation for Publish to "reply.late"')


async def test_unlimited_responses_stay_allowed(root: RawClient, enter: Dial) -> None:
    """Checklist 53."""
    c = await enter("unlimited")
    await c.subscribe("svc.unlimited")
    await root.send(b"PUB svc.unlimited reply.unlimited 0\r\n\r\n")
    await c.expect(b"MSG svc.unlimited 1 reply.unlimited 0\r\n\r\n")
    await c.send(b"PUB reply.unlimited 0\r\n\r\n" * 50)
    await c.ping_pong()
    await c.send(b"PUB reply.other 0\r\n\r\n")
    await c.expect_err('Permissions Violation for Publish to "reply.other"')


async def test_reserved_queue_name_is_refused(root: RawClient) -> None:
    """Checklist 54."""
    await root.send(b"SUB any _sys_ 1\r\n")
    await root.expect_err('Permissions Violation for Subscription to "any" using queue "_sys_"')
    await root.ping_pong()


@pytest.mark.parametrize("subject", ["_GR_.a.b.c", "_GR_.x", "$NRG.a.b"])
async def test_reserved_publish_subjects_are_refused(root: RawClient, subject: str) -> None:
    """Checklist 54."""
    await root.subscribe(">")
    await root.send(f"PUB {subject} 0\r\n\r\n".encode())
    await root.expect_err(f'Permissions Violation for Publish to "{subject}"')
    await root.ping_pong()


@pytest.mark.parametrize("reply", ["_R_.a", "_R_.abcdef.ghijkl", "$JS.ACK.a.b", "_GR_.a.b.c"])
async def test_reserved_reply_subjects_are_refused(root: RawClient, reply: str) -> None:
    """Checklist 54."""
    await root.subscribe(">")
    await root.send(f"PUB any {reply} 0\r\n\r\n".encode())
    await root.expect_err(f'Permissions Violation for Publish with Reply of "{reply}"')
    await root.ping_pong()


@pytest.mark.parametrize("subject", ["_R_", "_GR_", "_R_.a.b", "$JS.ACK.a", "_GRx.a", "$SYS.anything"])
async def test_neighbours_of_reserved_subjects_are_ordinary(root: RawClient, subject: str) -> None:
    """Checklist 54."""
    await root.subscribe(subject)
    await root.send(f"PUB {subject} 0\r\n\r\n".encode())
    await root.expect(f"MSG {subject} 1 0\r\n\r\n".encode())
