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


CROSSING = """
accounts {{
  EXP {{
    users: [ {{ user: e, password: p }} ]
    exports: [ {{ service: "s.*", allow_trace: {service} }}, {{ stream: "st.*" }} ]
    mappings {{ "s.mapped": "s.after" }}
  }}
  IMP {{
    users: [ {{ user: i, password: p }} ]
    imports: [
      {{ service: {{ account: EXP, subject: "s.*" }}, to: "q.*" }}
      {{ stream: {{ account: EXP, subject: "st.*" }}, to: "in.*", allow_trace: {stream} }}
    ]
  }}
}}
"""


async def traced(publisher: RawClient, subject: str, **headers: str) -> list[dict[str, object]]:
    """The steps of a traced message after the first, without times and connections."""
    await publisher.subscribe("crossing.events")
    await publish_with_headers(publisher, subject, b"x", Nats_Trace_Dest="crossing.events", **headers)
    steps: list[dict[str, object]] = (await publisher.expect_message()).json()["events"][1:]
    return [{key: value for key, value in step.items() if key not in ("ts", "kind", "cid", "name")} for step in steps]


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize("only", [True, False])
async def test_trace_of_a_request_shows_the_other_account_where_its_export_allows_it(
    shared_server: StartServer, login: Dial, *, allowed: bool, only: bool
) -> None:
    server = shared_server(CROSSING.format(service=str(allowed).lower(), stream="false"))
    exporter = await login(server, user="e", headers=True, **{"pass": "p"})
    importer = await login(server, user="i", headers=True, **{"pass": "p"})
    await exporter.subscribe("s.after", sid="1", queue="workers")
    await exporter.ping_pong()
    received = {"type": "eg", "acc": "EXP", "sub": "s.after", "queue": "workers"}
    steps = await traced(importer, "q.mapped", **({"Nats_Trace_Only": "true"} if only else {}))
    assert steps == [
        {"type": "si", "acc": "EXP", "from": "q.mapped", "to": "s.after"},
        *([received] if allowed else []),
    ]
    if not only:
        request = await exporter.expect_message()
        assert b"Nats-Trace-Dest: crossing.events" not in request.header
        assert allowed or b"Nats-Trace-Dest: trace disabled\r\n" in request.header
    await exporter.ping_pong()


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize(("pattern", "shown"), [("in.a", "st.a"), ("in.*", "st.*"), ("in.>", "st.*"), (">", "st.*")])
async def test_trace_of_a_stream_shows_who_imports_it_where_the_import_allows_it(
    shared_server: StartServer, login: Dial, pattern: str, shown: str, *, allowed: bool
) -> None:
    server = shared_server(CROSSING.format(service="false", stream=str(allowed).lower()))
    exporter = await login(server, user="e", headers=True, **{"pass": "p"})
    importer = await login(server, user="i", headers=True, **{"pass": "p"})
    await importer.subscribe(pattern)
    await importer.ping_pong()
    assert await traced(exporter, "st.a") == [
        {"type": "se", "acc": "IMP", "to": "in.a"},
        *([{"type": "eg", "acc": "IMP", "sub": shown}] if allowed else []),
    ]
    assert (await importer.expect_message()).subject == "in.a"
