"""What happens in a cluster under strain: clients that come and go, traffic, and servers that fail. Drawn by chance."""

from __future__ import annotations

import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from tests.cluster.soaking.listener import Ledger, Listener, connected
from tests.cluster.soaking.members import ACCOUNTS, Member, free_ports
from tests.kit.servers import ServerKind

SUBJECTS = (*(f"s.{number}" for number in range(6)), *(f"w.{first}.{last}" for first in range(3) for last in "xy"))
"""Everything that is published on, beside what shows that nothing is lost."""
PATTERNS = (*SUBJECTS, *SUBJECTS, "s.*", "w.>", "w.*.x", "w.1.*", "w.*.*", ">")
QUEUES = ("", "", "q1", "q2")
FENCE = "audit.fence"
STEADY = "steady"
CLIENTS_MAX = 40
LOG_CHARACTERS = 30_000
LARGE = b" " + b"x" * 70_000


@dataclass(frozen=True)
class Origin:
    """Where a message of the steady kind was published, by whom, and how large it was."""

    member: Member
    client: str
    extra_bytes: int = 0


class World:
    """The members, their clients, and what was published."""

    def __init__(self, members: Sequence[Member], *, chance: random.Random, nursery: trio.Nursery) -> None:
        self.members = list(members)
        self.chance = chance
        self.ledger = Ledger()
        self.traffic = trio.Lock()
        self.published = 0
        self.steady_from: dict[str, Origin] = {}
        self.story: list[str] = []
        self._nursery = nursery
        self._numbers = 0

    @property
    def up(self) -> list[Member]:
        """Members whose servers serve."""
        return [member for member in self.members if member.is_up]

    def tell(self, what: str) -> None:
        """Notes an event for the report."""
        self.story.append(f"{trio.current_time():.3f} {what}")

    def message(self, account: str) -> str:
        """A name for a message, never used before."""
        self.published += 1
        return f"{account}.{self.published}"

    async def connect(self, member: Member, account: str, *subjects: str) -> Listener:
        """A new client there. Every client listens to the fence, too."""
        self._numbers += 1
        listener = await connected(
            member.client_port, name=f"{account}{self._numbers}@{member.name}", account=account, ledger=self.ledger,
            nursery=self._nursery,
        )  # fmt: skip
        for subject in (FENCE, *subjects):
            await listener.subscribe(subject)
        return listener

    async def furnish(self, member: Member) -> None:
        """Gives a member that serves (again) the clients that each one has: one that asks, one that never changes."""
        for account in ACCOUNTS:
            if account not in member.probers:
                prober = await self.connect(member, account)
                await prober.subscribe(f"_INBOX.{prober.name}.>")
                member.probers[account] = prober
            if account not in member.steady:
                member.steady[account] = await self.connect(member, account, f"{STEADY}.*")

    # -- clients

    async def churn(self) -> None:
        """One thing that clients do."""
        member = self.chance.choice(self.up or self.members)
        deed = self.chance.random()
        total = sum(len(one.clients) for one in self.members)
        try:
            if deed < 0.25 and total < CLIENTS_MAX:
                client = await self.connect(member, self.chance.choice(ACCOUNTS))
                for _ in range(self.chance.randint(1, 4)):
                    await self._subscribe(client)
                member.clients.append(client)
            elif deed < 0.4 and member.clients:
                client = member.clients.pop(self.chance.randrange(len(member.clients)))
                client.ends()
                await client.close()
            elif member.clients:
                client = self.chance.choice(member.clients)
                own = [sid for sid, asked in client.subscriptions.items() if asked.subject != FENCE]
                if own and self.chance.random() < 0.5:
                    await client.unsubscribe(self.chance.choice(own))
                else:
                    await self._subscribe(client)
        except (OSError, trio.BrokenResourceError):
            pass  # the server went away meanwhile

    async def _subscribe(self, client: Listener) -> None:
        await client.subscribe(self.chance.choice(PATTERNS), queue=self.chance.choice(QUEUES))

    # -- traffic

    def begin_traffic(self) -> None:
        """From now on messages are published at every server, except while somebody else holds `traffic`."""
        self._nursery.start_soon(self._publish_for_ever)

    async def _publish_for_ever(self) -> None:
        while True:
            async with self.traffic:
                for member in self.up:
                    for account, prober in list(member.probers.items()):
                        await self._publish(member, account, prober)
            await trio.sleep(0.003)

    async def _publish(self, member: Member, account: str, prober: Listener) -> None:
        message = self.message(account)
        large = LARGE if self.chance.random() < 0.01 else b""
        if self.chance.random() < 0.3:
            self.steady_from[message] = Origin(member, prober.name, len(large))
            await prober.publish(f"{STEADY}.{self.chance.randrange(3)}", message.encode() + large)
        else:
            await prober.publish(self.chance.choice(SUBJECTS), message.encode() + large)

    # -- servers

    async def strike(self) -> None:
        """Something bad happens to one server, or to several."""
        victims = self.chance.sample(self.up, k=min(len(self.up), self.chance.choice((1, 1, 1, 2))))
        for victim in victims:
            deed = self.chance.choice(("kill", "kill", "stop", "hold", "role"))
            self.tell(f"{deed} {victim.name}")
            if deed == "hold":
                await victim.hold(self.chance.uniform(0.2, 1.5))
            elif deed == "stop":
                await victim.end(signal.SIGTERM)
            elif deed == "kill" or not victim.kill_router():
                await victim.end(signal.SIGKILL)
            await trio.sleep(self.chance.choice((0, 0, 0.05, 0.3)))

    async def heal(self) -> None:
        """Every server serves again."""
        for member in self.chance.sample(self.members, k=len(self.members)):
            if not member.is_up:
                if member.server is None:
                    await member.start()
                else:
                    await member.learn_id()
                self.tell(f"up {member.name}")
            await trio.sleep(self.chance.choice((0, 0, 0.1)))
        for member in self.members:
            await self.furnish(member)


@asynccontextmanager
async def world_of(*, seed: int, ours: int, real: int, logs: Path | None = None) -> AsyncIterator[World]:
    """A cluster that is not started yet: `heal` does that. Nothing is left of it afterwards but, if it failed, its logs."""
    chance = random.Random(seed)
    kinds = [ServerKind.OURS] * ours + [ServerKind.REAL] * real
    ports = free_ports(2 * len(kinds), chance)
    members = [
        Member(kind, number=at, client_port=ports[2 * at], cluster_port=ports[2 * at + 1])
        for at, kind in enumerate(kinds)
    ]
    for member in members:
        # The same list for all, itself in it, as is usual.
        member.dials = [other.cluster_port for other in members]
    try:
        async with trio.open_nursery() as nursery:
            yield World(members, chance=chance, nursery=nursery)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        _keep_logs(members, logs)
        # Usually there is one failure; it is shown as itself.
        raise group.exceptions[0] if len(group.exceptions) == 1 else group from None
    finally:
        with trio.CancelScope(shield=True):
            for member in members:
                await member.end(signal.SIGKILL)


def _keep_logs(members: list[Member], folder: Path | None) -> None:
    """Writes the logs of all servers that ever ran to a folder, for those who look into a failure."""
    if folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for member in members:
        if member.server is not None:
            member.logs.append(member.server.log_text())
        for number, text in enumerate(member.logs):
            (folder / f"{member.name}-{number}.log").write_text(text[-LOG_CHARACTERS:])
