"""The cases of the benchmark: a name, and how the load generator is asked to make that load.

Names are KIND-SHAPE-SIZE, as `docs/benchmark.md` lists them. Pure: nothing is run or read here.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["flow", "request", "idle", "storm", "interest", "startup"]
Transport = Literal["tcp", "tls", "ws"]

SIZES = (16, 128, 1024, 8192, 65536)
SUBJECTS = 10_000
IDLE_CONNECTIONS = 5_000
INTEREST_SUBSCRIPTIONS = 100_000
ROUTE_SIZES = (128, 1024)

# name without size, transport, arguments of the generator's `flow`
_FLOWS: tuple[tuple[str, Transport, str], ...] = (
    ("pub-1", "tcp", "--shape pub"),
    ("pubsub-1x1", "tcp", "--shape fan"),
    ("fanout-1x16", "tcp", "--shape fan --subscribers 16"),
    ("fanout-1x64", "tcp", "--shape fan --subscribers 64"),
    ("fanin-16x1", "tcp", "--shape fan --publishers 16"),
    ("pairs-8x8", "tcp", "--shape pairs --publishers 8 --subscribers 8"),
    ("queue-1x8", "tcp", "--shape queue --subscribers 8"),
    ("subjects-10k", "tcp", f"--shape subjects --subscribers {SUBJECTS}"),
    ("tls-pubsub-1x1", "tls", "--shape fan"),
    ("ws-pubsub-1x1", "ws", "--shape fan"),
)

# Publishers are on one server of a cluster of two, subscribers on the other.
_ROUTE_FLOWS: tuple[tuple[str, str], ...] = (
    ("route-1x1", "--shape fan"),
    ("route-8x8", "--shape pairs --publishers 8 --subscribers 8"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One load, and the servers' listeners it needs."""

    name: str
    kind: Kind
    transport: Transport = "tcp"
    load: tuple[str, ...] = ()
    nodes: int = 1

    @property
    def timed(self) -> bool:
        """Whether the load runs for a given time, rather than for a given number of things."""
        return self.kind in ("flow", "request", "storm")

    @property
    def warmed_up(self) -> bool:
        """Whether the generator runs the load unmeasured for a moment first."""
        return self.kind in ("flow", "request")

    @property
    def fresh_servers(self) -> bool:
        """Whether each round needs servers that have not served yet: memory once used stays with a process."""
        return self.kind == "idle"


def all_cases() -> tuple[Case, ...]:
    """Every case, in the order in which they run."""
    flows = [_flow(name, transport, load, size) for name, transport, load in _FLOWS for size in SIZES]
    requests = [
        Case(name=f"request-{count}x1-16", kind="request", load=("--connections", str(count), "--size", "16"))
        for count in (1, 64)
    ]
    idle = Case(name=f"idle-{IDLE_CONNECTIONS}", kind="idle", load=("--connections", str(IDLE_CONNECTIONS)))
    storm, startup = Case(name="storm", kind="storm"), Case(name="startup", kind="startup")
    return (*flows, *requests, idle, storm, startup, *_route_cases())


def select(patterns: Sequence[str], cases: Iterable[Case]) -> tuple[Case, ...]:
    """The cases that any of the patterns names (`*` and `?` allowed), all without patterns.

    Raises LookupError for a pattern that names none.
    """
    known = tuple(cases)
    for pattern in patterns:
        if not any(fnmatch.fnmatchcase(case.name, pattern) for case in known):
            raise LookupError(f"no case is named {pattern!r}; there are: {', '.join(case.name for case in known)}")
    return tuple(
        case for case in known if not patterns or any(fnmatch.fnmatchcase(case.name, pattern) for pattern in patterns)
    )


def _route_cases() -> tuple[Case, ...]:
    flows = [
        Case(name=f"{name}-{size}", kind="flow", load=(*load.split(), "--size", str(size)), nodes=2)
        for name, load in _ROUTE_FLOWS
        for size in ROUTE_SIZES
    ]
    request = Case(name="route-request-1x1-16", kind="request", load=("--connections", "1", "--size", "16"), nodes=2)
    count = INTEREST_SUBSCRIPTIONS
    interest = Case(
        name=f"route-interest-{count // 1000}k", kind="interest", load=("--subscriptions", str(count)), nodes=2
    )
    return (*flows, request, interest)


def _flow(name: str, transport: Transport, load: str, size: int) -> Case:
    return Case(name=f"{name}-{size}", kind="flow", transport=transport, load=(*load.split(), "--size", str(size)))
