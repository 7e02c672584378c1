"""Wiring of all tests: which servers they run against, and the fixtures that start them and talk to them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.kit.certificates import CertificateAuthority
from tests.kit.rawclient import RawClient, raw_client
from tests.kit.servers import Server, ServerKind, start_server
from tests.kit.wsclient import websocket_client

# Tests that cannot run against ours yet, each with its reason. Everything else runs against both.
REAL_ONLY = {
    "test_leafnode_path_runs_the_leafnode_handshake_in_frames": "checklist 143: ours does not serve leafnodes yet",
}

Dial = Callable[..., Any]
StartServer = Callable[..., Server]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--server-kind",
        choices=["real", "ours", "both"],
        default="both",
        help="which nats-server to test (default: both)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "server_kind" not in metafunc.fixturenames:
        return
    kinds = [ServerKind.REAL] if metafunc.function.__name__ in REAL_ONLY else list(ServerKind)
    marked = [pytest.param(kind, id=kind.value, marks=[pytest.mark.real] * (kind is ServerKind.REAL)) for kind in kinds]
    metafunc.parametrize("server_kind", marked, indirect=True, scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the runs against the server that was not asked for."""
    chosen = config.getoption("--server-kind")
    if chosen == "both":
        return
    left_out = [item for item in items if runs_against(item) not in (None, ServerKind(chosen))]
    config.hook.pytest_deselected(items=left_out)
    gone = set(left_out)
    items[:] = [item for item in items if item not in gone]


def runs_against(item: pytest.Item) -> ServerKind | None:
    """The server that this run of a test is about, if it is about one."""
    kind: ServerKind | None = item.callspec.params.get("server_kind") if hasattr(item, "callspec") else None
    return kind


@pytest.fixture(scope="session")
def server_kind(request: pytest.FixtureRequest) -> ServerKind:
    """Which server this run of the test is about."""
    kind: ServerKind = request.param
    return kind


@pytest.fixture(scope="module")
def shared_server(server_kind: ServerKind) -> Iterator[StartServer]:
    """Starts a server per configuration and keeps it for all tests of the module.

    Tests on a shared server use subjects of their own and leave it as they found it.
    """
    running: dict[str, Server] = {}

    def shared(config: str = "", **options: Any) -> Server:
        key = repr((config, sorted(options.items())))
        if key not in running:
            running[key] = start_server(server_kind, config=config, **options)
        return running[key]

    yield shared
    for server in running.values():
        server.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    """The certificate authority of this run."""
    return CertificateAuthority(Path(tmp_path_factory.mktemp("certificates")))


@pytest.fixture
async def dial() -> AsyncIterator[Dial]:
    """`await dial(server, tls=..., tls_first=...)`: a raw connection that has read INFO, closed after the test."""
    async with AsyncExitStack() as stack:

        async def open_client(server: Server, **options: Any) -> RawClient:
            return await stack.enter_async_context(raw_client(server, **options))

        yield open_client


@pytest.fixture
async def login(dial: Dial) -> Dial:
    """`await login(server, user=..., headers=...)`: `dial`, then CONNECT with these members, accepted."""

    async def connect(server: Server, **options: Any) -> RawClient:
        client: RawClient = await dial(server)
        return await client.connect(**options)

    return connect


@pytest.fixture
async def dial_websocket() -> AsyncIterator[Dial]:
    """`await dial_websocket(server, path=..., compressed=...)`: a websocket connection that has read INFO."""
    async with AsyncExitStack() as stack:

        async def open_client(server: Server, **options: Any) -> RawClient:
            return await stack.enter_async_context(websocket_client(server, **options))

        yield open_client
