"""Rows as lines for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.rows import disturbed, limited_by_generator

_SIDES = f"{'ours':>10}{'theirs':>10}{'ratio':>8}"
HEADER = f"{'case':<22}{_SIDES}   {_SIDES} CPU per message   further, ours / theirs"

_FURTHER = (
    ("p50_us", "p50_ratio", "p50", "us"),
    ("p99_us", "p99_ratio", "p99", "us"),
    ("bytes_per_connection", "bytes_per_connection_ratio", "memory", "B/conn"),
    ("settle_ms", "settle_ratio", "settled", "ms"),
    ("appear_ms", "appear_ratio", "appeared", "ms"),
    ("vanish_ms", "vanish_ratio", "vanished", "ms"),
    ("startup_ms", "startup_ratio", "start", "ms"),
)


def format_row(row: Mapping[str, Any]) -> str:
    """One line: rate of both and their ratio, CPU of both and their ratio, and what else the case measures."""
    ours, theirs = row["ours"], row["theirs"]
    rates = [quantity(side.get("per_second")) for side in (ours, theirs)]
    cpu = [_cpu(side.get("cpu_s_per_million")) for side in (ours, theirs)]
    columns = [*rates, _times(row["throughput_ratio"]), *cpu, _times(row["cpu_ratio"])]
    widths = (10, 10, 8, 13, 10, 8)
    further = [
        f"{label} {_plain(ours.get(figure))} / {_plain(theirs.get(figure))} {unit} = {_times(row[name])}"
        for figure, name, label, unit in _FURTHER
        if name in row
    ]
    further += [f"generator-bound: {side}" for side in limited_by_generator(row)]
    if (others := disturbed(row)) is not None:
        further.append(f"disturbed: others used {others:.1f} cores")
    line = "".join(f"{column:>{width}}" for column, width in zip(columns, widths, strict=True))
    return f"{row['case']:<22}{line}{'':<19}{', '.join(further)}".rstrip()


def format_errors(row: Mapping[str, Any]) -> list[str]:
    """One line for each round that failed, and one for lost messages."""
    lines = []
    for label in ("ours", "theirs"):
        lines += [f"    {label}: {error}" for error in row[label]["errors"]]
        if row[label]["lost"]:
            lines.append(f"    {label}: {row[label]['lost']} messages lost")
    return lines


def quantity(value: float | None) -> str:
    """A rate in at most six characters."""
    if value is None:
        return "-"
    for factor, suffix in ((1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.2f}{suffix}"
    return f"{value:.0f}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}x"


def _cpu(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}us"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"
