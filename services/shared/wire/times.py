"""Times and durations as the texts that monitoring and events show (reference: operations 6.1). Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

SECOND_NS: Final = 1_000_000_000
ZERO_TIME: Final = "0001-01-01T00:00:00Z"
"""What stands for no time at all."""

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_YEAR = 365 * _DAY


def rfc3339(at_ns: int) -> str:
    """Wall-clock nanoseconds as RFC 3339 in UTC, with as many digits as are needed."""
    seconds, nanoseconds = divmod(at_ns, SECOND_NS)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{nanoseconds:09}".rstrip("0") if nanoseconds else ""
    return f"{text}{fraction}Z"


def uptime_text(duration_ns: int) -> str:
    """A duration from its largest unit that is not zero down to seconds: `34s`, `1m5s`, `1y3d0h0m1s`."""
    seconds = max(duration_ns, 0) // SECOND_NS
    years, seconds = divmod(seconds, _YEAR)
    days, seconds = divmod(seconds, _DAY)
    hours, seconds = divmod(seconds, _HOUR)
    minutes, seconds = divmod(seconds, _MINUTE)
    parts = ((years, "y"), (days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    first = next((at for at, (count, _) in enumerate(parts) if count), len(parts) - 1)
    return "".join(f"{count}{unit}" for count, unit in parts[first:])


def duration_text(duration_ns: int) -> str:
    """A duration as Go writes it: `0s`, `331µs`, `5.701811ms`, `1m0.5s`."""
    if duration_ns == 0:
        return "0s"
    sign, rest = ("-", -duration_ns) if duration_ns < 0 else ("", duration_ns)
    if rest < 1_000:
        return f"{sign}{rest}ns"
    for scale, unit in ((1_000, "µs"), (1_000_000, "ms")):
        if rest < scale * 1_000:
            return f"{sign}{_decimal(rest, scale)}{unit}"
    minutes, rest = divmod(rest, _MINUTE * SECOND_NS)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, SECOND_NS)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else sign + text


def seconds_number(duration_ns: int) -> int | float:
    """A duration in seconds for JSON: an int where it is whole."""
    whole, rest = divmod(duration_ns, SECOND_NS)
    return whole if not rest else duration_ns / SECOND_NS


def _decimal(value: int, scale: int) -> str:
    whole, rest = divmod(value, scale)
    digits = len(str(scale)) - 1
    return f"{whole}.{rest:0{digits}}".rstrip("0") if rest else str(whole)
