"""Numbers with units as the configuration writes them: integer suffixes and Go durations, both ways.

Integers are int64 as in nats-server; products wrap around there, here they are refused (reference: operations 1.5).
Durations are nanoseconds.
"""

from __future__ import annotations

import re
from typing import Final

from services.shared.config.errors import ParseError
from services.shared.wire.quote import quote

INT64_MAX: Final = 2**63 - 1
INT64_MIN: Final = -(2**63)

_THOUSANDS: Final[dict[str, int]] = {letter: 1000**power for power, letter in enumerate("kmgtpe", start=1)}
_KIBI: Final[dict[str, int]] = {letter: 1024**power for power, letter in enumerate("kmgtpe", start=1)}

NANOSECOND: Final = 1
MICROSECOND: Final = 1_000
MILLISECOND: Final = 1_000_000
SECOND: Final = 1_000_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE

_DURATION_UNITS: Final = {
    "ns": NANOSECOND,
    "us": MICROSECOND,
    "µs": MICROSECOND,
    "μs": MICROSECOND,
    "ms": MILLISECOND,
    "s": SECOND,
    "m": MINUTE,
    "h": HOUR,
}
_DURATION_PART = re.compile(r"([0-9]*)(\.[0-9]*)?([^0-9.]*)")


def parse_integer(text: str) -> int:
    """The integer that `-12`, `64k` or `64MiB` stands for. Raises ParseError with nats-server's wording."""
    end = 1 if text.startswith("-") else 0
    while end < len(text) and text[end].isdecimal():
        end += 1
    digits, suffix = text[:end], text[end:].lower()
    if not digits.isascii():
        raise ParseError(f"expected integer, but got '{text}'")
    # The longest int64 has 19 digits: anything longer is out of range, whatever it costs to convert.
    significant = digits.lstrip("-").lstrip("0")
    if len(significant) > 19 or not INT64_MIN <= int(digits) <= INT64_MAX:
        raise ParseError(f"integer '{text}' is out of the range")
    value = int(digits) * _multiplier(suffix, text)
    if not INT64_MIN <= value <= INT64_MAX:
        raise ParseError(f"integer '{text}' is out of the range")
    return value


def _multiplier(suffix: str, text: str) -> int:
    if not suffix:
        return 1
    letter, rest = suffix[0], suffix[1:]
    if not rest:
        return _THOUSANDS[letter]
    if rest in ("b", "i", "ib"):
        return _KIBI[letter]
    # nats-server drops the whole option silently here.
    raise ParseError(f"integer '{text}' has an unknown suffix, expected one such as k, kb, ki or kib")


class DurationError(ValueError):
    """Not a duration; the text is Go's."""


def parse_duration_ns(text: str) -> int:
    """Nanoseconds in a Go duration such as `1h30m`, `1.5s`, `-10ms` or `0`. Raises DurationError."""
    negative = text.startswith("-")
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return 0
    total = 0
    at = 0
    while at < len(rest) or not rest:
        match = _DURATION_PART.match(rest, at)
        whole, fraction, unit = match.groups() if match is not None else ("", "", "")
        if not whole and (fraction is None or fraction == "."):
            raise DurationError(f"time: invalid duration {quote(text)}")
        if not unit:
            raise DurationError(f"time: missing unit in duration {quote(text)}")
        scale = _DURATION_UNITS.get(unit)
        if scale is None:
            raise DurationError(f"time: unknown unit {quote(unit)} in duration {quote(text)}")
        if len(whole.lstrip("0")) > 19:
            raise DurationError(f"time: invalid duration {quote(text)}")
        total += int(whole or "0") * scale + _fraction_ns(fraction, scale)
        if total > INT64_MAX + negative:
            raise DurationError(f"time: invalid duration {quote(text)}")
        at = match.end() if match is not None else len(rest)
    return -total if negative else total


def _fraction_ns(fraction: str | None, scale: int) -> int:
    digits = fraction[1:19] if fraction else ""
    return int(digits) * scale // 10 ** len(digits) if digits else 0


def format_duration(duration_ns: int) -> str:
    """A duration as Go prints it: `2m0s`, `1.5s`, `50ms`, `0s`."""
    if duration_ns == 0:
        return "0s"
    sign = "-" if duration_ns < 0 else ""
    left = abs(duration_ns)
    if left < SECOND:
        for unit, scale in (("ms", MILLISECOND), ("µs", MICROSECOND), ("ns", NANOSECOND)):
            if left >= scale:
                return f"{sign}{_decimal(left, scale)}{unit}"
    hours, left = divmod(left, HOUR)
    minutes, left = divmod(left, MINUTE)
    text = f"{_decimal(left, SECOND)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    if hours:
        text = f"{hours}h{text}"
    return sign + text


def _decimal(value: int, scale: int) -> str:
    whole, part = divmod(value, scale)
    if not part:
        return str(whole)
    width = len(str(scale)) - 1
    return f"{whole}.{part:0{width}d}".rstrip("0")


def format_float(value: float) -> str:
    """A float as Go's %v prints it: `3`, `1.5`, `1e+21`."""
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    return repr(value)
