"""The `nats` command line tool as a black box: what operators type first."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest
import trio

from tests.conftest import StartServer
from tests.interop.tools import RUN_S, find_tool, run_tool
from tests.kit.eventually import eventually
from tests.kit.servers import Server

TWO_USERS = "authorization { users: [ {user: u, password: p}, {user: q, password: p, permissions: {publish: other}} ] }"


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server()


@pytest.fixture
def guarded_server(shared_server: StartServer) -> Server:
    return shared_server(TWO_USERS)


def nats(server: Server, *arguments: str) -> str:
    """What `nats` prints when it talks to the server."""
    return run_tool("nats", ["--server", f"nats://127.0.0.1:{server.client_port}", "--no-context", *arguments])


@contextmanager
def background(server: Server, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`nats` running beside the test, certainly gone afterwards."""
    command = [find_tool("nats"), "--server", f"nats://127.0.0.1:{server.client_port}", "--no-context", *arguments]
    process = subprocess.Popen(
        command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=RUN_S)


def test_rtt_reaches_the_server(server: Server) -> None:
    assert f"nats://127.0.0.1:{server.client_port}" in nats(server, "rtt", "3")


async def test_subscriber_prints_what_was_published(server: Server) -> None:
    with background(server, "sub", "cli.one", "--count", "1", "--raw") as subscriber:

        async def published_until_it_ends() -> bool:
            await trio.to_thread.run_sync(partial(nats, server, "pub", "cli.one", "a message of the tool"))
            return subscriber.poll() is not None

        await eventually(published_until_it_ends, within_s=RUN_S, what="the subscriber to get one message")
        assert subscriber.stdout is not None
        assert "a message of the tool" in subscriber.stdout.read()


async def test_request_is_answered_by_a_replying_tool(server: Server) -> None:
    with background(server, "reply", "cli.service", "the answer"):

        async def answered() -> bool:
            output = await trio.to_thread.run_sync(
                partial(nats, server, "request", "cli.service", "", "--timeout", "2s")
            )
            return "the answer" in output

        await eventually(answered, within_s=RUN_S, what="the answer")


def test_wrong_password_is_reported(guarded_server: Server) -> None:
    with pytest.raises(AssertionError, match=r"(?i)authorization violation"):
        nats(guarded_server, "--user", "u", "--password", "wrong", "pub", "cli.guarded", "x")


def test_permission_violation_is_reported(guarded_server: Server) -> None:
    with pytest.raises(AssertionError, match=r'Permissions Violation for Publish to "not\.allowed"'):
        nats(guarded_server, "--user", "q", "--password", "p", "pub", "not.allowed", "x")
