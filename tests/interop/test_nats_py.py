"""The official Python client (nats-py, asyncio) against both servers: the basics every application relies on."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.conftest import StartServer
from tests.kit.certificates import CertificateAuthority
from tests.kit.identities import UserKey
from tests.kit.servers import Server, ServerKind, start_server

SCENARIO_S = 30.0
KEY = UserKey()
USERS = f"""
accounts {{
  A {{ users: [ {{ user: a, password: p }}, {{ nkey: {KEY.public} }} ] }}
  B {{ users: [ {{ user: b, password: p, permissions: {{ publish: ["ok"], subscribe: ["ok", "_INBOX.>"] }} }} ] }}
}}
"""


def in_asyncio(scenario: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Makes a test of an asyncio coroutine: it gets a loop of its own and a deadline."""

    @functools.wraps(scenario)
    def test(**fixtures: Any) -> None:
        asyncio.run(asyncio.wait_for(scenario(**fixtures), SCENARIO_S))

    return test


@asynccontextmanager
async def connected(server: Server, **options: Any) -> AsyncIterator[Client]:
    """A connected client, closed at the end."""
    scheme = "tls" if "tls" in options else "nats"
    client = await nats.connect(
        f"{scheme}://127.0.0.1:{server.client_port}", **{"allow_reconnect": False, "connect_timeout": 5, **options}
    )
    try:
        yield client
    finally:
        await client.close()


async def settle(client: Client) -> None:
    """Waits until the server has processed everything: the first PING of this client may overtake what is buffered."""
    await client.flush()
    await client.flush()


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server()


@in_asyncio
async def test_subscriber_receives_what_is_published(server: Server) -> None:
    async with connected(server) as publisher, connected(server) as receiver:
        subscription = await receiver.subscribe("py.plain.*")
        await settle(receiver)
        for number in range(100):
            await publisher.publish(f"py.plain.{number}", str(number).encode())
        got = [await subscription.next_msg(timeout=5) for _ in range(100)]
        assert [(m.subject, m.data) for m in got] == [(f"py.plain.{n}", str(n).encode()) for n in range(100)]


@in_asyncio
async def test_headers_arrive_as_they_were_sent(server: Server) -> None:
    async with connected(server) as client:
        subscription = await client.subscribe("py.headers")
        await client.publish("py.headers", b"body", reply="py.back", headers={"X-Kind": "value", "Other": "1"})
        message = await subscription.next_msg(timeout=5)
        assert message.headers == {"X-Kind": "value", "Other": "1"}
        assert (message.data, message.reply) == (b"body", "py.back")


@in_asyncio
async def test_request_is_answered(server: Server) -> None:
    async def answer(message: Msg) -> None:
        await message.respond(b"answer to " + message.data)

    async with connected(server) as service, connected(server) as client:
        await service.subscribe("py.service", cb=answer)
        await settle(service)
        answers = await asyncio.gather(*[client.request("py.service", str(n).encode(), timeout=5) for n in range(50)])
        assert [answered.data for answered in answers] == [f"answer to {n}".encode() for n in range(50)]


@in_asyncio
async def test_request_without_responder_fails_at_once(server: Server) -> None:
    async with connected(server) as client:
        with pytest.raises(nats.errors.NoRespondersError):
            await client.request("py.nobody", b"", timeout=5)


@in_asyncio
async def test_queue_group_shares_the_work(server: Server) -> None:
    seen: list[tuple[int, bytes]] = []

    def member(number: int) -> Callable[[Msg], Awaitable[None]]:
        async def note(message: Msg) -> None:
            seen.append((number, message.data))

        return note

    async with connected(server) as client:
        for number in range(3):
            await client.subscribe("py.work", queue="workers", cb=member(number))
        for number in range(300):
            await client.publish("py.work", str(number).encode())
        await client.drain()
    assert sorted(int(data) for _, data in seen) == list(range(300))
    assert {number for number, _ in seen} == {0, 1, 2}


@in_asyncio
async def test_unsubscribe_after_a_number_of_messages(server: Server) -> None:
    async with connected(server) as client:
        subscription = await client.subscribe("py.limited")
        await subscription.unsubscribe(limit=3)
        for number in range(6):
            await client.publish("py.limited", str(number).encode())
        await settle(client)
        assert [(await subscription.next_msg(timeout=5)).data for _ in range(3)] == [b"0", b"1", b"2"]
        with pytest.raises((nats.errors.TimeoutError, nats.errors.BadSubscriptionError, nats.errors.Error)):
            await subscription.next_msg(timeout=0.2)


@in_asyncio
async def test_large_payload_arrives_and_a_larger_one_is_refused(server: Server) -> None:
    async with connected(server) as client:
        subscription = await client.subscribe("py.large")
        assert client.max_payload == 1048576
        body = bytes(range(256)) * 4096
        await client.publish("py.large", body)
        assert (await subscription.next_msg(timeout=5)).data == body
        with pytest.raises(nats.errors.MaxPayloadError):
            await client.publish("py.large", body + b"x")


@in_asyncio
async def test_credentials_of_every_kind_are_accepted(shared_server: StartServer) -> None:
    server = shared_server(USERS)
    key_options = {"nkeys_seed_str": KEY.seed}
    async with connected(server, user="a", password="p") as a, connected(server, **key_options) as by_key:
        subscription = await by_key.subscribe("py.same.account")
        await settle(by_key)
        await a.publish("py.same.account", b"hello")
        assert (await subscription.next_msg(timeout=5)).data == b"hello"


@in_asyncio
async def test_wrong_password_is_refused(shared_server: StartServer) -> None:
    with pytest.raises(nats.errors.Error, match=r"(?i)authorization violation"):
        async with connected(shared_server(USERS), user="a", password="wrong"):
            pytest.fail("connected with a wrong password")


@in_asyncio
async def test_permission_violations_reach_the_error_callback(shared_server: StartServer) -> None:
    errors: list[str] = []

    async def note(error: Exception) -> None:
        errors.append(str(error).lower())

    async with connected(shared_server(USERS), user="b", password="p", error_cb=note) as client:
        await client.publish("forbidden.subject", b"")
        await client.subscribe("forbidden.too")
        await settle(client)
        assert client.is_connected
    assert any('permissions violation for publish to "forbidden.subject"' in error for error in errors), errors
    assert any('permissions violation for subscription to "forbidden.too"' in error for error in errors), errors


@in_asyncio
async def test_tls_connection_works(shared_server: StartServer, authority: CertificateAuthority) -> None:
    certificate = authority.issue_server("py-server")
    server = shared_server(f'tls {{ cert_file: "{certificate.cert_file}", key_file: "{certificate.key_file}" }}')
    context: ssl.SSLContext = authority.client_context()
    async with connected(server, tls=context, tls_hostname="localhost") as client:
        subscription = await client.subscribe("py.tls")
        await client.publish("py.tls", b"secret")
        assert (await subscription.next_msg(timeout=5)).data == b"secret"


@in_asyncio
async def test_client_reconnects_and_resubscribes_when_the_server_returns(server_kind: ServerKind) -> None:
    first = start_server(server_kind)
    address = f"127.0.0.1:{first.client_port}"
    reconnected = asyncio.Event()

    async def note() -> None:
        reconnected.set()

    client = await nats.connect(
        f"nats://{address}", reconnect_time_wait=0.05, max_reconnect_attempts=-1, reconnected_cb=note
    )
    try:
        subscription = await client.subscribe("py.again")
        await settle(client)
        await asyncio.to_thread(first.stop)
        second = await asyncio.to_thread(start_server, server_kind, listen=address)
        try:
            await reconnected.wait()
            await client.publish("py.again", b"still here")
            assert (await subscription.next_msg(timeout=5)).data == b"still here"
            await client.close()  # before the server: a client that notices its end while it closes raises
        finally:
            await asyncio.to_thread(second.stop)
    finally:
        await client.close()


@in_asyncio
async def test_server_facts_reach_the_client(server: Server) -> None:
    async with connected(server) as client:
        assert "2.15.1" in str(client.connected_server_version)
        assert client.client_id > 0
