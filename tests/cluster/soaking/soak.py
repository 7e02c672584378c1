"""The soak: strike, heal, audit, again and again, as long as it should take."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.soaking.audit import audit
from tests.cluster.soaking.world import World, world_of

STORY_LINES = 60


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done; the seed draws everything that happens but the timing of the processes themselves."""

    seed: int
    seconds: float
    ours: int
    real: int
    logs: Path | None = None


@dataclass(kw_only=True)
class Outcome:
    """What was done."""

    seed: int
    rounds: int = 0
    published: int = 0
    routes_s: list[float] = field(default_factory=list)
    interest_s: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        slowest = f"routes {max(self.routes_s, default=0):.2f} s, interest {max(self.interest_s, default=0):.2f} s"
        return f"seed {self.seed}: {self.rounds} rounds, {self.published} messages; slowest to be right: {slowest}"


async def soak(plan: Plan, *, say: Callable[[str], None] = print) -> Outcome:
    """Runs until the time is over; fails at the first thing that is wrong, with the seed and what had happened."""
    outcome = Outcome(seed=plan.seed)
    async with world_of(seed=plan.seed, ours=plan.ours, real=plan.real, logs=plan.logs) as world:
        try:
            await _rounds(world, plan, outcome, say)
        except Exception as error:
            story = "\n".join(world.story[-STORY_LINES:])
            error.add_note(f"{story}\nseed {plan.seed}, round {outcome.rounds + 1}; what happened is above")
            raise
    return outcome


async def _rounds(world: World, plan: Plan, outcome: Outcome, say: Callable[[str], None]) -> None:
    await world.heal()
    world.begin_traffic()
    end = time.monotonic() + plan.seconds
    while True:
        for _ in range(world.chance.randint(5, 25)):
            await world.churn()
        if outcome.rounds:
            await world.strike()
            for _ in range(world.chance.randint(0, 15)):
                await world.churn()
            await world.heal()
        took = await audit(world)
        outcome.rounds += 1
        outcome.published = world.published
        outcome.routes_s.append(took["routes_s"])
        outcome.interest_s.append(took["interest_s"])
        world.tell(f"round {outcome.rounds} is right")
        if outcome.rounds % 10 == 0:
            say(str(outcome))
        if time.monotonic() > end:
            return
