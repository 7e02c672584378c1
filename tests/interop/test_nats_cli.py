"""The `nats` command line tool against both servers, looking at the values that come through."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.kit.certificates import CertificateAuthority
from tests.kit.eventually import eventually
from tests.kit.servers import Server
from tests.kit.tools import Tool, wait_for_interest

USERS = """
authorization { users: [
  { user: alice, password: secret }
  { user: reader, password: secret, permissions: { publish: ["_INBOX.>"], subscribe: ["read.>", "_INBOX.>"] } }
] }
"""


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server()


@pytest.fixture
def nats(server: Server, tmp_path: Path) -> Tool:
    return cli(server, tmp_path)


def cli(server: Server, home: Path, *flags: str) -> Tool:
    """The tool, bound to one server."""
    return Tool("nats", home=home, before=["--server", f"127.0.0.1:{server.client_port}", "--no-context", *flags])


async def test_published_messages_reach_a_subscriber(server: Server, nats: Tool) -> None:
    async with nats.running("sub", "cli.plain.>", "--raw") as subscriber:
        await wait_for_interest(server, "cli.plain.probe")
        await nats.run("pub", "cli.plain.a", "first body")
        await nats.run("pub", "cli.plain.b", "count {{Count}}", "--count", "3")
        await eventually(lambda: "count 3" in subscriber.text(), what="the last message")
    lines = [line for line in subscriber.text().splitlines() if line.startswith(("first", "count"))]
    assert lines == ["first body", "count 1", "count 2", "count 3"]


async def test_headers_and_reply_are_shown(server: Server, nats: Tool) -> None:
    async with nats.running("sub", "cli.headers.>") as subscriber:
        await wait_for_interest(server, "cli.headers.probe")
        await nats.run(
            "pub", "cli.headers.x", "the payload", "-H", "X-Kind:first", "-H", "X-Kind:second", "--reply", "back.to"
        )
        await eventually(lambda: "the payload" in subscriber.text(), what="the message")
    text = subscriber.text()
    assert "X-Kind: first" in text and "X-Kind: second" in text
    assert '"cli.headers.x" with reply "back.to"' in text


async def test_queue_members_share_the_messages(server: Server, nats: Tool) -> None:
    flags = ("sub", "cli.queue.>", "--queue", "workers", "--raw")
    async with nats.running(*flags) as one, nats.running(*flags) as two:
        await eventually(lambda: probed(server, nats, one.text, two.text), within_s=30, what="both members")
        await nats.run("pub", "cli.queue.work", "job {{Count}}", "--count", "40")
        await eventually(lambda: len(jobs(one.text()) + jobs(two.text())) == 40, what="all jobs")
        assert sorted(jobs(one.text()) + jobs(two.text()), key=int) == [str(number) for number in range(1, 41)]
        assert jobs(one.text()) and jobs(two.text())


async def probed(server: Server, nats: Tool, *texts: object) -> bool:
    """Publishes until every member has shown one of these messages."""
    await nats.run("pub", "cli.queue.probe", "are you there", "--count", "4")
    return all("are you there" in text() for text in texts if callable(text))


def jobs(text: str) -> list[str]:
    return re.findall(r"^job (\d+)$", text, re.MULTILINE)


async def test_request_is_answered_by_a_replier(server: Server, nats: Tool) -> None:
    async with nats.running("reply", "cli.service.>", "answer to {{Request}}"):
        await wait_for_interest(server, "cli.service.probe")
        finished = await nats.run("request", "cli.service.x", "question", "--raw")
        assert finished.out.strip() == "answer to question"
        several = await nats.run("request", "cli.service.x", "{{Count}}", "--count", "3", "--raw")
        answers = [line for line in several.out.splitlines() if line]
        assert answers == [f"answer to {number}" for number in (1, 2, 3)]


async def test_echoing_replier_returns_headers(server: Server, nats: Tool) -> None:
    async with nats.running("reply", "cli.echo.>", "--echo"):
        await wait_for_interest(server, "cli.echo.probe")
        finished = await nats.run("request", "cli.echo.x", "question", "-H", "X-Trip:round")
    assert "X-Trip: round" in finished.text
    assert "question" in finished.text


async def test_request_without_responder_says_so(nats: Tool) -> None:
    finished = await nats.run("request", "cli.nobody", "question")
    assert "No responders are available" in finished.text


async def test_large_payload_survives(server: Server, nats: Tool, tmp_path: Path) -> None:
    body = ("0123456789abcdef" * 4096)[:-1]
    async with nats.running("reply", "cli.large.>", "--echo"):
        await wait_for_interest(server, "cli.large.probe")
        finished = await nats.run("request", "cli.large.x", "--raw", "--force-stdin", stdin=body.encode())
    assert finished.out.strip() == body


async def test_round_trip_time_is_measured(server: Server, nats: Tool) -> None:
    finished = await nats.run("rtt")
    assert str(server.client_port) in finished.text
    assert re.search(r"\d+(\.\d+)?(µs|ms)", finished.text)


async def test_benchmark_publishes_and_receives_every_message(server: Server, nats: Tool) -> None:
    async with nats.running("bench", "sub", "cli.bench", "--msgs", "20000", "--no-progress") as subscriber:
        await wait_for_interest(server, "cli.bench")
        finished = await nats.run("bench", "pub", "cli.bench", "--msgs", "20000", "--size", "128B", "--no-progress")
        assert re.search(r"stats: [\d,]+ msgs/sec", finished.text)
        await eventually(lambda: subscriber.process.poll() == 0, within_s=30, what="the subscriber to have them all")
    assert re.search(r"stats: [\d,]+ msgs/sec", subscriber.text())


async def test_password_decides_who_connects(shared_server: StartServer, tmp_path: Path) -> None:
    server = shared_server(USERS)
    good = cli(server, tmp_path, "--user", "alice", "--password", "secret")
    await good.run("pub", "any.subject", "hello")
    bad = cli(server, tmp_path, "--user", "alice", "--password", "wrong")
    finished = await bad.run("pub", "any.subject", "hello", fails=True)
    assert "Authorization Violation" in finished.text


async def test_permission_violation_is_reported(shared_server: StartServer, tmp_path: Path) -> None:
    server = shared_server(USERS)
    reader = cli(server, tmp_path, "--user", "reader", "--password", "secret")
    async with reader.running("sub", "write.only") as subscriber:
        await eventually(
            lambda: 'Permissions Violation for Subscription to "write.only"' in subscriber.text(), what="the violation"
        )


async def test_tls_is_used_with_the_given_authority(
    shared_server: StartServer, authority: CertificateAuthority, tmp_path: Path
) -> None:
    certificate = authority.issue_server("cli-server")
    server = shared_server(f'tls {{ cert_file: "{certificate.cert_file}", key_file: "{certificate.key_file}" }}')
    secure = cli(server, tmp_path, "--tlsca", str(authority.ca_file))
    await secure.run("pub", "any.subject", "hello")
    await cli(server, tmp_path).run("pub", "any.subject", "hello", fails=True)


async def test_websocket_url_works(shared_server: StartServer, tmp_path: Path) -> None:
    server = shared_server('websocket { listen: "127.0.0.1:-1", no_tls: true }')
    over_websocket = Tool(
        "nats", home=tmp_path, before=["--server", f"ws://127.0.0.1:{server.websocket_port}", "--no-context"]
    )
    async with over_websocket.running("reply", "cli.ws.>", "answer to {{Request}}"):
        await wait_for_interest(server, "cli.ws.probe")
        finished = await cli(server, tmp_path).run("request", "cli.ws.x", "question", "--raw")
    assert finished.out.strip() == "answer to question"
