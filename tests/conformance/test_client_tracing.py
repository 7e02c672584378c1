"""Message tracing by headers: the event that a traced message produces, and who receives the message itself."""

from __future__ import annotations

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server

RESTRICTED = """
authorization { users: [
  { user: root, password: p }
  { user: limited, password: p, permissions: { publish: ["trace.me"] } }
] }
"""


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server('server_name: "tracer"')


async def publish_with_headers(client: RawClient, subject: str, payload: bytes, **headers: str) -> None:
    block = b"NATS/1.0\r\n" + b"".join(
        f"{name.replace('_', '-')}: {value}\r\n".encode() for name, value in headers.items()
    )
    block += b"\r\n"
    await client.send(
        f"HPUB {subject} {len(block)} {len(block) + len(payload)}\r\n".encode() + block + payload + b"\r\n"
    )


async def test_traced_message_is_delivered_and_described(server: Server, login: Dial) -> None:
    """Checklist 68."""
    publisher = await login(server, headers=True, name="tracing publisher")
    receiver = await login(server, headers=True, name="traced receiver")
    await receiver.subscribe("trace.both", sid="7", queue="q")
    await publisher.subscribe("trace.events")
    await publish_with_headers(publisher, "trace.both", b"hi", Nats_Trace_Dest="trace.events")
    delivered = await receiver.expect_message()
    assert (delivered.subject, delivered.payload) == ("trace.both", b"hi")
    event = (await publisher.expect_message()).json()
    assert event["server"]["name"] == "tracer"
    assert event["server"]["id"] == publisher.info["server_id"]
    assert event["request"]["header"]["Nats-Trace-Dest"] == ["trace.events"]
    assert event["request"]["msgsize"] == len(b"NATS/1.0\r\nNats-Trace-Dest: trace.events\r\n\r\nhi")
    ingress, egress = event["events"]
    assert ingress["type"] == "in" and ingress["kind"] == 0
    assert ingress["cid"] == publisher.info["client_id"]
    assert (ingress["name"], ingress["acc"], ingress["subj"]) == ("tracing publisher", "$G", "trace.both")
    assert egress["type"] == "eg" and egress["kind"] == 0
    assert egress["cid"] == receiver.info["client_id"]
    assert (egress["name"], egress["sub"], egress["queue"]) == ("traced receiver", "trace.both", "q")
    assert "hops" not in event


@pytest.mark.parametrize("value", ["true", "1", "on", "True", "ON"])
async def test_trace_only_is_not_delivered(server: Server, login: Dial, value: str) -> None:
    """Checklist 68."""
    publisher, receiver = await login(server, headers=True), await login(server, headers=True)
    await receiver.subscribe("trace.only")
    await publisher.subscribe("trace.only.events")
    await publish_with_headers(
        publisher, "trace.only", b"hi", Nats_Trace_Dest="trace.only.events", Nats_Trace_Only=value
    )
    event = (await publisher.expect_message()).json()
    assert [entry["type"] for entry in event["events"]] == ["in", "eg"]
    await receiver.ping_pong()


async def test_message_without_receivers_is_traced_with_its_ingress_alone(server: Server, login: Dial) -> None:
    """Checklist 68."""
    c = await login(server, headers=True)
    await c.subscribe("trace.alone.events")
    await publish_with_headers(c, "trace.alone", b"", Nats_Trace_Dest="trace.alone.events")
    event = (await c.expect_message()).json()
    assert [entry["type"] for entry in event["events"]] == ["in"]


async def test_disabled_trace_produces_no_event(server: Server, login: Dial) -> None:
    """Checklist 68."""
    c = await login(server, headers=True)
    await c.subscribe("trace.off.>")
    await publish_with_headers(c, "trace.off.x", b"hi", Nats_Trace_Dest="trace disabled")
    assert (await c.expect_message()).subject == "trace.off.x"
    await c.ping_pong()


async def test_destination_that_may_not_be_published_to_is_a_violation(shared_server: StartServer, login: Dial) -> None:
    """Checklist 68."""
    server = shared_server(RESTRICTED)
    root = await login(server, user="root", **{"pass": "p"}, headers=True)
    await root.subscribe(">")
    c = await login(server, user="limited", **{"pass": "p"}, headers=True)
    await publish_with_headers(c, "trace.me", b"hi", Nats_Trace_Dest="trace.forbidden")
    await c.expect_err('Permissions Violation for Publish to "trace.forbidden"')
    await c.ping_pong()
    await root.ping_pong()
