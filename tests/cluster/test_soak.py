"""The short form of `bench/soak.py`: a cluster whose servers fail again and again is right each time it has healed."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.cluster.soaking import audit as audits
from tests.cluster.soaking.audit import AuditFailed, audit
from tests.cluster.soaking.listener import Subscription, matches
from tests.cluster.soaking.soak import Plan, soak
from tests.cluster.soaking.world import Origin, World, world_of

SECONDS = 6.0
OF_OURS, MIXED = (3, 0), (2, 2)
SEED = int(os.environ.get("NATSFLEET_SOAK_SEED") or random.randrange(1 << 31))


@pytest.mark.parametrize("counts", [OF_OURS, MIXED], ids=["ours", "mixed"])
async def test_a_cluster_that_has_healed_is_right(counts: tuple[int, int], tmp_path: Path) -> None:
    ours, real = counts
    plan = Plan(seed=SEED, seconds=SECONDS, ours=ours, real=real, logs=tmp_path)
    outcome = await soak(plan, say=print)
    print(outcome)
    assert outcome.rounds >= 2 and outcome.published > 100


@asynccontextmanager
async def healed_world() -> AsyncIterator[World]:
    """Two servers that know each other, without strikes."""
    async with world_of(seed=SEED, ours=2, real=0) as world:
        await world.heal()
        yield world


async def test_the_audit_notices_interest_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audits, "INTEREST_S", 0.3)
    async with healed_world() as world:
        await audit(world)
        listener = world.members[0].steady["A"]
        listener.subscriptions["never-sent"] = Subscription("s.1")
        with pytest.raises(AuditFailed, match="does not know that ours-0 wants"):
            await audit(world)


async def test_the_audit_notices_interest_that_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audits, "INTEREST_S", 0.3)
    async with healed_world() as world:
        listener = world.members[0].steady["A"]
        await listener.subscribe("s.1", queue="q1")
        await audit(world)
        [sid] = [sid for sid, asked in listener.subscriptions.items() if asked.queue]
        del listener.subscriptions[sid]
        with pytest.raises(AuditFailed, match=r"believes that ours-0 wants \('A', 's.1', 'q1'\)"):
            await audit(world)


async def test_the_audit_notices_a_message_that_comes_twice() -> None:
    async with healed_world() as world:
        await audit(world)
        member = world.members[0]
        for _ in range(2):
            await member.probers["A"].publish("steady.0", b"A.again")
        await member.steady["A"].settle()
        with pytest.raises(AuditFailed, match=r"A\.again .* again"):
            await audit(world)


async def test_the_audit_notices_a_message_that_is_lost() -> None:
    async with healed_world() as world:
        await audit(world)
        world.steady_from["A.never-sent"] = Origin(world.members[0], "nobody")
        with pytest.raises(AuditFailed, match="did not come"):
            await audit(world)


def test_patterns_match_whole_tokens() -> None:
    assert matches("w.*.x", "w.1.x") and matches("w.>", "w.1.x") and matches(">", "s.1")
    assert not matches("w.>", "w") and not matches("s.*", "s.1.x") and not matches("s.1", "s.10")
