"""The servers of a cluster under strain: real processes that are killed, stopped, held and started again at one address."""

from __future__ import annotations

import os
import random
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import trio

from tests.cluster.soaking.listener import Listener
from tests.kit.servers import Server, ServerKind

ACCOUNTS = ("A", "B")
PORTS = range(20_000, 32_000)
"""Below those that the system gives away, so that an address is still free when its server comes again."""


def free_ports(count: int, chance: random.Random) -> list[int]:
    """Ports that nobody listens on."""
    found: list[int] = []
    while len(found) < count:
        port = chance.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found


class Member:
    """One place in the cluster, and the server that is there now, if any."""

    def __init__(self, kind: ServerKind, *, number: int, client_port: int, cluster_port: int) -> None:
        self.kind = kind
        self.name = f"{kind.value}-{number}"
        self.client_port, self.cluster_port = client_port, cluster_port
        # Whom it dials, and what its configuration says beside, outside and inside of the cluster block.
        self.dials: list[int] = []
        self.more = self.cluster_more = ""
        self.server: Server | None = None
        self.server_id = ""
        self.clients: list[Listener] = []
        self.probers: dict[str, Listener] = {}
        self.steady: dict[str, Listener] = {}
        self.disturbed = True
        self.logs: list[str] = []

    @property
    def is_up(self) -> bool:
        """Whether its server serves."""
        return bool(self.server_id)

    @property
    def listeners(self) -> list[Listener]:
        """Everybody who is connected here."""
        return [*self.clients, *self.probers.values(), *self.steady.values()]

    async def start(self) -> None:
        """Starts a server and waits until it serves."""
        urls = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self.dials)
        users = ", ".join(f"{name} {{ users: [{{user: {name}, password: {name}}}] }}" for name in ACCOUNTS)
        config = (
            f"server_name: {self.name}\naccounts {{ {users} }}\n"
            f'cluster {{ name: soak, listen: "127.0.0.1:{self.cluster_port}", routes: [{urls}], {self.cluster_more} }}\n'
            f"{self.more}\n"
        )
        self.server = Server(
            self.kind, config=config, args=["-D"], monitoring=True, listen=f"127.0.0.1:{self.client_port}"
        )
        await trio.to_thread.run_sync(self.server.wait_ready)
        await self.learn_id()

    async def learn_id(self) -> None:
        """Asks the server who it is, until it says so."""
        with trio.fail_after(20):
            while True:
                try:
                    self.server_id = (await self.page("/varz"))["server_id"]
                    return
                except (httpx.HTTPError, KeyError, ValueError):
                    await trio.sleep(0.02)

    async def page(self, path: str) -> Any:
        """A page of its monitoring."""
        assert self.server is not None
        async with httpx.AsyncClient(timeout=10) as web:
            return (await web.get(f"http://127.0.0.1:{self.server.monitor_port}{path}")).json()

    def is_lost(self) -> None:
        """Its server serves no more, and everybody who was connected is gone."""
        self.server_id = ""
        self.disturbed = True
        for listener in self.listeners:
            listener.ends()
        self.clients, self.probers, self.steady = [], {}, {}

    async def end(self, number: signal.Signals) -> None:
        """Ends the server by a signal, and waits until nothing of it is left."""
        server = self.server
        if server is None:
            return
        self.is_lost()

        def end() -> None:
            if server.is_running():
                server.signal(number)
            server.wait_exit()
            server.check_nothing_left()

        try:
            await trio.to_thread.run_sync(end)
        finally:
            self.logs.append(server.log_text())
            server.discard()
            self.server = None

    def kill_router(self) -> bool:
        """Kills the forwarding process of one of our servers, which its supervisor starts again."""
        assert self.server is not None
        for pid in self.server.descendants():
            if "nf-router" in Path(f"/proc/{pid}/comm").read_text():
                self.is_lost()
                os.kill(pid, signal.SIGKILL)
                return True
        return False

    async def hold(self, seconds: float) -> None:
        """Stops all processes of the server for a while; connections stay."""
        assert self.server is not None
        self.disturbed = True
        pids = [self.server.pid, *self.server.descendants()]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            await trio.sleep(seconds)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)
