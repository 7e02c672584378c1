"""Answers of services are timed as their export asks for it (reference: security 5.6)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Dial, StartServer
from tests.kit import monitoring
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server

ACCOUNTS = """
accounts {{
  EXP {{ users: [ {{ user: e, password: p }} ], exports: [ {{ service: "s.*", latency: {latency}{more} }} ] }}
  IMP {{
    users: [ {{ user: i, password: p }} ]
    imports: [ {{ service: {{ account: EXP, subject: "s.*" }}, to: "q.*"{share} }} ]
  }}
  SYS {{ users: [ {{ user: s, password: p }} ] }}
}}
system_account: SYS
"""
TRACED = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def config(latency: str = '"lat.out"', *, more: str = "", share: str = "") -> str:
    return ACCOUNTS.format(latency=latency, more=more, share=share)


async def enter(login: Dial, server: Server, user: str, **options: Any) -> RawClient:
    client: RawClient = await login(server, user=user, headers=True, **{"pass": "p"} | options)
    return client


class Scene:
    """Somebody who asks, somebody who answers, and somebody who looks at the measurements of one service."""

    def __init__(self, asker: RawClient, responder: RawClient, watcher: RawClient, *, subject: str) -> None:
        self.asker, self.responder, self.watcher, self.subject = asker, responder, watcher, subject

    async def ask(self, *, reply: str = "inbox", header: str = "") -> None:
        subject = f"q.{self.subject} {reply}".strip()
        block = f"NATS/1.0\r\n{header}\r\n\r\n" if header else ""
        if block:
            await self.asker.send(f"HPUB {subject} {len(block)} {len(block) + 1}\r\n{block}x\r\n".encode())
        else:
            await self.asker.send(f"PUB {subject} 1\r\nx\r\n".encode())

    async def answer(self) -> dict[str, Any]:
        """Answers, and returns what the service was told about who asks."""
        request = await self.responder.expect_message()
        await self.responder.publish(request.reply, b"answer")
        _, _, told = request.header.decode().partition("Nats-Request-Info: ")
        info: dict[str, Any] = json.loads(told.partition("\r\n")[0])
        return info

    async def metric(self) -> dict[str, Any]:
        message = await self.watcher.expect_message()
        assert message.header == b""
        found: dict[str, Any] = json.loads(message.payload)
        assert found["type"] == "io.nats.server.metric.v1.service_latency"
        assert len(found["id"]) == 22
        return found


async def scene(login: Dial, server: Server, subject: str, *, serves: bool = True) -> Scene:
    asker = await enter(login, server, "i", name="asker", lang="go", version="2", no_responders=True)
    responder = await enter(login, server, "e", name="responder", lang="py", version="1")
    watcher = await enter(login, server, "e")
    await asker.subscribe("inbox")
    if serves:
        await responder.subscribe(f"s.{subject}")
    await watcher.subscribe("lat.out")
    for client in (asker, responder, watcher):
        await client.ping_pong()
    return Scene(asker, responder, watcher, subject=subject)


MEMBERS = ["type", "id", "timestamp", "status", "requestor", "responder", "start", "service", "system", "total"]


async def test_an_answer_is_timed(shared_server: StartServer, login: Dial) -> None:
    """Security checklist 127."""
    played = await scene(login, shared_server(config()), "plain")
    await played.ask()
    told = await played.answer()
    found = await played.metric()
    assert list(found) == MEMBERS
    assert (found["status"], found["requestor"]) == (200, told)
    assert set(told) == {"acc", "rtt"}
    responder = found["responder"]
    assert list(responder) == [
        "start", "host", "id", "acc", "user", "name", "lang", "ver", "rtt", "server", "kind", "client_type",
    ]  # fmt: skip
    assert (responder["id"], responder["acc"], responder["name"]) == (
        played.responder.info["client_id"],
        "EXP",
        "responder",
    )
    assert found["service"] >= 0 and found["system"] >= 0
    parts = told["rtt"] + responder["rtt"] + found["service"] + found["system"]
    # A round trip that was longer than the answer took makes no time negative.
    assert found["total"] == parts if found["service"] else found["total"] <= parts
    assert found["start"] < found["timestamp"]


async def test_who_asks_is_shown_where_the_import_shares_it(shared_server: StartServer, login: Dial) -> None:
    played = await scene(login, shared_server(config(share=", share: true")), "shared")
    await played.ask()
    told = await played.answer()
    requestor = (await played.metric())["requestor"]
    assert requestor == told
    assert (requestor["id"], requestor["name"]) == (played.asker.info["client_id"], "asker")


@pytest.mark.parametrize(("status", "description"), [(400, "Bad Request"), (503, "Service Unavailable")])
async def test_a_request_that_cannot_be_answered_is_told_of(
    shared_server: StartServer, login: Dial, status: int, description: str
) -> None:
    """Security checklist 127."""
    played = await scene(login, shared_server(config()), f"never{status}", serves=status == 400)
    await played.ask(reply="" if status == 400 else "inbox")
    found = await played.metric()
    assert list(found) == [
        "type", "id", "timestamp", "status", "description", "requestor", "start", "service", "system", "total",
    ]  # fmt: skip
    assert (found["status"], found["description"], found["requestor"]["acc"]) == (status, description, "IMP")
    assert (found["service"], found["system"], found["total"]) == (0, 0, 0)


async def test_a_service_that_takes_too_long_is_told_of_once(shared_server: StartServer, login: Dial) -> None:
    """Security checklist 127."""
    played = await scene(login, shared_server(config(more=', threshold: "200ms"')), "late")
    await played.ask()
    found = await played.metric()
    assert (found["status"], found["description"]) == (504, "Service Timeout")
    await played.answer()
    await played.ask()
    assert (await played.metric())["status"] == 504


async def test_who_leaves_before_the_answer_is_told_of(shared_server: StartServer, login: Dial) -> None:
    played = await scene(login, shared_server(config()), "left")
    await played.ask()
    await played.responder.expect_message()
    await played.asker.aclose()
    found = await played.metric()
    assert (found["status"], found["description"]) == (408, "Request Timeout")


async def test_only_one_answer_is_timed(shared_server: StartServer, login: Dial) -> None:
    played = await scene(login, shared_server(config()), "once")
    await played.ask()
    request = await played.responder.expect_message()
    for _ in range(2):
        await played.responder.publish(request.reply, b"answer")
    assert (await played.metric())["status"] == 200
    await played.responder.ping_pong()
    await played.watcher.ping_pong()


@pytest.mark.parametrize("sampling", ["headers", "1", '"1%"'])
@pytest.mark.parametrize(
    ("header", "shown"),
    [
        (f"traceparent: {TRACED}\r\nTraceState: a=b", {"Traceparent": [TRACED], "Tracestate": ["a=b"]}),
        ("X-B3-Sampled: 1\r\nX-B3-TraceId: t", {"X-B3-Sampled": ["1"], "X-B3-Traceid": ["t"]}),
        ("Uber-Trace-Id: 1:2:3:1\r\nUberctx-Who: me", {"Uber-Trace-Id": ["1:2:3:1"], "Uberctx-Who": ["me"]}),
        ("b3: a-b-1", {"B3": ["a-b-1"]}),
    ],
)
async def test_headers_of_tracers_ask_for_a_measurement(
    shared_server: StartServer, login: Dial, sampling: str, header: str, shown: dict[str, list[str]]
) -> None:
    """Security checklist 128."""
    server = shared_server(config(f"{{ subject: lat.out, sampling: {sampling} }}"))
    played = await scene(login, server, "traced")
    for _ in range(8):  # A request in a hundred is timed without its headers being looked at.
        await played.ask(header=header)
        await played.answer()
        found = await played.metric()
        assert found["status"] == 200
        if "header" in found:
            break
    assert found["header"] == shown
    assert list(found).index("header") == list(found).index("start") - 1


async def test_requests_that_nobody_samples_are_not_timed(shared_server: StartServer, login: Dial) -> None:
    played = await scene(login, shared_server(config("{ subject: lat.out, sampling: headers }")), "unsampled")
    for header in (
        "",
        f"traceparent: {TRACED[:-1]}0",
        "X-B3-Sampled: 0\r\nX-B3-TraceId: t",
        "b3: 0",
        "Uber-Trace-Id: 1:2:3:0",
    ):
        await played.ask(header=header)
        await played.answer()
    await played.asker.expect_message()
    await played.watcher.ping_pong()


async def test_monitoring_shows_how_a_service_is_timed(shared_server: StartServer) -> None:
    server = shared_server(config("{ subject: lat.out, sampling: headers }"), monitoring=True)
    timed = {"sampling": "headers", "results": "lat.out"}
    page = (await monitoring.get(server, "/accountz?acc=EXP")).json()
    assert page["account_detail"]["exports"][0]["service_latency"] == timed
    page = (await monitoring.get(server, "/accountz?acc=IMP")).json()
    assert [entry["latency"] for entry in page["account_detail"]["imports"] if entry["account"] == "EXP"] == [timed]


@pytest.mark.parametrize("sampling", ["100", "headers"])
async def test_monitoring_shows_who_waits_for_an_answer(shared_server: StartServer, login: Dial, sampling: str) -> None:
    latency = {"sampling": int(sampling) if sampling.isdigit() else sampling, "results": "lat.out"}
    server = shared_server(config(f"{{ subject: lat.out, sampling: {sampling} }}"), monitoring=True)
    played = await scene(login, server, "waiting")
    await played.ask()
    request = await played.responder.expect_message()
    detail = (await monitoring.get(server, "/accountz?acc=EXP")).json()["account_detail"]
    assert list(detail)[-1] == "responses"
    tracked = sampling == "100"
    wanted = {
        "subject": "inbox", "account": "IMP", "to": request.reply, "local_subject": request.reply, "type": 2,
        "invalid": False, "share": False, "tracking": tracked,
    }  # fmt: skip
    assert detail["responses"] == {request.reply: wanted | ({"latency": latency} if tracked else {})}
    assert list(detail["responses"][request.reply])[: len(wanted)] == list(wanted)
    await played.responder.publish(request.reply, b"answer")
    await played.asker.expect_message()
    detail = (await monitoring.get(server, "/accountz?acc=EXP")).json()["account_detail"]
    assert "responses" not in detail
