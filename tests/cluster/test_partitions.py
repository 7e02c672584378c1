"""Servers that cannot hear each other although no connection ends: noticed by pings, and right again soon after."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.cluster.soaking import audit as audits
from tests.cluster.soaking.audit import audit
from tests.cluster.soaking.members import Member
from tests.cluster.soaking.world import Origin, World, world_of
from tests.kit.cable import Cable, Damage, cable_to
from tests.kit.eventually import eventually

PINGS = 'ping_interval: "300ms"\nping_max: 2\n'
NOTICED_S = 8.0
HEALED_S = 10.0
NOWHERE = 'advertise: "127.0.0.1:9"'
"""What others would be told of a server: all know each other by their cables, and nobody comes by another way."""

MIXES = {"ours-ours": (2, 0), "ours-real": (1, 1)}
THREE = {"ours": (3, 0), "mixed": (2, 1)}
Cables = dict[tuple[Member, Member], Cable]


@asynccontextmanager
async def wired(counts: tuple[int, int]) -> AsyncIterator[tuple[World, Cables]]:
    """A cluster in which each server has a cable of its own to each other one."""
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(world_of(seed=1, ours=counts[0], real=counts[1]))
        cables: Cables = {}
        for dialler in world.members:
            for listener in world.members:
                if listener is not dialler:
                    cables[dialler, listener] = await stack.enter_async_context(cable_to(listener.cluster_port))
            dialler.dials = [cable.port for (own, _), cable in cables.items() if own is dialler]
            dialler.more, dialler.cluster_more = PINGS, NOWHERE
        await world.heal()
        await audit(world)
        yield world, cables


def silence(cables: Cables, speaker: Member, listener: Member) -> None:
    """What one server says is not heard by another one, whoever dialled."""
    cables[speaker, listener].damage(Damage.TO_LISTENER)
    cables[listener, speaker].damage(Damage.TO_DIALLER)


def part(cables: Cables, one: Member, other: Member) -> None:
    """Two servers hear nothing of each other."""
    cables[one, other].damage(Damage.BOTH)
    cables[other, one].damage(Damage.BOTH)


def mend(cables: Cables, *, forget: bool) -> None:
    """Everything can be heard again."""
    for cable in cables.values():
        cable.mend(forget=forget)


async def noticed(one: Member, others: Iterable[Member]) -> None:
    """Waits until a server and others have no route to each other any more."""

    async def apart() -> bool:
        for viewer, gone in [pair for other in others for pair in ((one, other), (other, one))]:
            page = await viewer.page("/routez")
            if any(row["remote_id"] == gone.server_id for row in page["routes"]):
                return False
        return True

    await eventually(apart, within_s=NOTICED_S, what="both sides notice")


async def live_apart(world: World) -> None:
    """Meanwhile clients come and go on all servers."""
    for _ in range(20):
        await world.churn()


@pytest.mark.parametrize("forget", [False, True], ids=["late", "never"])
@pytest.mark.parametrize("mix", MIXES)
async def test_a_partition_heals(mix: str, forget: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was on its way when it began arrives late, or never."""
    monkeypatch.setattr(audits, "ROUTES_S", HEALED_S)
    async with wired(MIXES[mix]) as (world, cables):
        one, other = world.members
        part(cables, one, other)
        await live_apart(world)
        await noticed(one, [other])
        await live_apart(world)
        mend(cables, forget=forget)
        await audit(world)


@pytest.mark.parametrize("speaker", [0, 1], ids=["first", "second"])
@pytest.mark.parametrize("mix", MIXES)
async def test_a_server_that_is_not_heard_any_more_is_noticed(
    mix: str, speaker: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One direction is enough for a route to be of no use."""
    monkeypatch.setattr(audits, "ROUTES_S", HEALED_S)
    async with wired(MIXES[mix]) as (world, cables):
        silence(cables, world.members[speaker], world.members[1 - speaker])
        await live_apart(world)
        await noticed(world.members[0], [world.members[1]])
        await live_apart(world)
        mend(cables, forget=False)
        await audit(world)


@pytest.mark.parametrize("mix", THREE)
async def test_the_rest_of_a_cluster_goes_on_without_a_server_that_is_cut_off(
    mix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audits, "ROUTES_S", HEALED_S)
    async with wired(THREE[mix]) as (world, cables):
        cut_off, *rest = world.members
        for other in rest:
            part(cables, cut_off, other)
        await noticed(cut_off, rest)
        # Among the others nothing is lost meanwhile.
        cut_off.disturbed = True
        world.begin_traffic()
        await live_apart(world)
        begun = world.published
        await eventually(lambda: world.published > begun + 200, what="some traffic")
        mend(cables, forget=True)
        await audit(world)


@pytest.mark.parametrize("mix", MIXES)
async def test_a_partition_that_is_short_is_bridged(mix: str) -> None:
    """What was said meanwhile arrives late, on the same route."""
    async with wired(MIXES[mix]) as (world, cables):
        one, other = world.members
        routes = {row["rid"] for row in (await one.page("/routez"))["routes"]}
        part(cables, one, other)
        message = world.message("A")
        world.steady_from[message] = Origin(one, one.probers["A"].name)
        await one.probers["A"].publish("steady.0", message.encode())
        await live_apart(world)
        mend(cables, forget=False)
        await audit(world)
        assert {row["rid"] for row in (await one.page("/routez"))["routes"]} == routes
