"""From the rounds of a case to its row: medians, and ratios that are always ours / theirs. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.cases import Case, Kind

# measured figure -> name of the ratio made of it, for each kind of case
_RATIOS: Mapping[Kind, Mapping[str, str]] = {
    "flow": {"per_second": "throughput_ratio", "cpu_s_per_million": "cpu_ratio"},
    "request": {
        "per_second": "throughput_ratio",
        "cpu_s_per_million": "cpu_ratio",
        "p50_us": "p50_ratio",
        "p99_us": "p99_ratio",
    },
    "idle": {"cpu_s_per_million": "cpu_ratio", "bytes_per_connection": "bytes_per_connection_ratio"},
    "interest": {
        "settle_ms": "settle_ratio",
        "appear_ms": "appear_ratio",
        "vanish_ms": "vanish_ratio",
        "cpu_s_per_million": "cpu_ratio",
    },
    "storm": {"per_second": "connection_rate_ratio", "cpu_s_per_million": "cpu_ratio"},
    "startup": {"startup_ms": "startup_ratio"},
}


@dataclass(slots=True)
class Side:
    """What one server did in the rounds of one case."""

    rounds: list[Mapping[str, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    lost: int = 0

    def medians(self) -> dict[str, float]:
        """The median of each figure over the rounds that succeeded."""
        names = self.rounds[0].keys() if self.rounds else ()
        return {name: statistics.median(one[name] for one in self.rounds) for name in names}


def figures(run: Mapping[str, Any]) -> dict[str, float]:
    """The figures of one successful run of the generator, as they are compared.

    CPU is seconds per million messages, which is also microseconds per message. `generator_busy` and `server_busy` are
    the cores used on average: a generator near 1 set the rate itself; a sum near 1 means that both shared one core.
    `others_busy` is what the rest of the machine used meanwhile.
    """
    messages = max(run["messages"], 1)
    result = {
        "cpu_s_per_million": run["server_cpu_s"] / messages * 1e6,
        "generator_busy": run["generator_cpu_s"] / run["seconds"],
        "server_busy": run["server_cpu_s"] / run["seconds"],
        "others_busy": run["others_cpu_s"] / run["seconds"],
    }
    for name in ("per_second", "p50_us", "p99_us", "bytes_per_connection", "settle_ms", "appear_ms", "vanish_ms"):
        if name in run:
            result[name] = run[name]
    return result


def ratio(ours: float | None, theirs: float | None) -> float | None:
    """ours / theirs; None when either is missing or theirs is nothing to divide by."""
    if ours is None or theirs is None or theirs <= 0:
        return None
    return ours / theirs


def build_row(case: Case, *, ours: Side, theirs: Side) -> dict[str, Any]:
    """The row of a case: its ratios beside the absolute figures of both sides.

    `throughput_ratio` and `cpu_ratio` are in every row, None where the case has no such figure. What `storm` counts is
    connections, so there the rate has both names.
    """
    medians = {"ours": ours.medians(), "theirs": theirs.medians()}
    row: dict[str, Any] = {"case": case.name, "throughput_ratio": None, "cpu_ratio": None}
    for figure, name in _RATIOS[case.kind].items():
        row[name] = ratio(medians["ours"].get(figure), medians["theirs"].get(figure))
    if case.kind == "storm":
        row["throughput_ratio"] = row["connection_rate_ratio"]
    for label, side in (("ours", ours), ("theirs", theirs)):
        row[label] = {
            **medians[label],
            "rounds": [_main_figure(case, one) for one in side.rounds],
            "lost": side.lost,
            "errors": list(side.errors),
        }
    return row


def failed(row: Mapping[str, Any]) -> bool:
    """Whether a round of the row failed or lost messages, on either side."""
    return any(row[label]["errors"] or row[label]["lost"] for label in ("ours", "theirs"))


def limited_by_generator(row: Mapping[str, Any], *, busy: float = 0.95) -> Sequence[str]:
    """The sides of the row on which the generator itself was busy nearly all the time."""
    return [label for label in ("ours", "theirs") if row[label].get("generator_busy", 0.0) >= busy]


def disturbed(row: Mapping[str, Any], *, busy: float = 0.15) -> float | None:
    """The cores that strangers used during the row, if that was enough to bend its figures."""
    others = max(row[label].get("others_busy", 0.0) for label in ("ours", "theirs"))
    return others if others >= busy else None


def _main_figure(case: Case, round_figures: Mapping[str, float]) -> float:
    match case.kind:
        case "idle":
            return round_figures["bytes_per_connection"]
        case "interest":
            return round_figures["settle_ms"]
        case "startup":
            return round_figures["startup_ms"]
        case _:
            return round_figures["per_second"]
