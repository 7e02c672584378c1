"""The limits of the engine, from the options."""

from __future__ import annotations

import pytest

from services.router.rib.limits import crew_size, engine_limits
from services.shared.config.options import FleetOptions, Options


@pytest.mark.parametrize(
    ("engine_threads", "processors", "crew"), [(0, 1, 0), (0, 2, 1), (0, 64, 1), (1, 64, 0), (2, 1, 1), (5, 2, 4)]
)
def test_crew_is_what_the_forwarding_thread_leaves(engine_threads: int, processors: int, crew: int) -> None:
    options = Options(fleet=FleetOptions(engine_threads=engine_threads))
    assert crew_size(options, processors=processors) == crew


@pytest.mark.parametrize(("configured", "bound"), [(0, 205), (160, 128)])
def test_slow_readers_may_cost_a_quarter_of_the_memory(configured: int, bound: int) -> None:
    options = Options(fleet=FleetOptions(pending_bytes_max=configured))
    assert engine_limits(options, memory_bytes=1024)["pending_total_max"] == bound
