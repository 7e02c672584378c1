"""Durations and numbers in Go's notation, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.config.units import DurationError, format_duration, format_float, parse_duration_ns

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("0", 0), ("2s", 2 * SECOND), ("1h30m", 5400 * SECOND), ("1.5s", SECOND * 3 // 2), ("500ms", SECOND // 2),
        ("1h2m3.5s4ms5us6µs7ns", 3723 * SECOND + 504_011_007), ("-10ms", -10_000_000), ("+1s", SECOND),
        (".5s", SECOND // 2), ("1.s", SECOND), ("0.000000001s", 1), ("9223372036854775807ns", 2**63 - 1),
        ("-9223372036854775808ns", -(2**63)),
    ],
)  # fmt: skip
def test_durations_are_read_as_go_reads_them(text: str, duration_ns: int) -> None:
    assert parse_duration_ns(text) == duration_ns


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", 'time: invalid duration ""'), ("x", 'time: invalid duration "x"'), ("-", 'time: invalid duration "-"'),
        ("5", 'time: missing unit in duration "5"'), ("1h5", 'time: missing unit in duration "1h5"'),
        ("1d", 'time: unknown unit "d" in duration "1d"'), ("1 s", 'time: unknown unit " s" in duration "1 s"'),
        (".s", 'time: invalid duration ".s"'), ("9999999999h", 'time: invalid duration "9999999999h"'),
        ("9223372036854775808ns", 'time: invalid duration "9223372036854775808ns"'),
        ("1" * 5000 + "s", 'time: invalid duration "' + "1" * 5000 + 's"'),
    ],
)  # fmt: skip
def test_other_texts_are_refused_in_the_words_of_go(text: str, reason: str) -> None:
    with pytest.raises(DurationError) as refusal:
        parse_duration_ns(text)
    assert str(refusal.value) == reason


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0s"), (1, "1ns"), (1_500, "1.5µs"), (50_000_000, "50ms"), (SECOND, "1s"), (1_500_000_000, "1.5s"),
        (120 * SECOND, "2m0s"), (3600 * SECOND, "1h0m0s"), (-90 * SECOND, "-1m30s"), (61_000_000_001, "1m1.000000001s"),
    ],
)  # fmt: skip
def test_durations_are_printed_as_go_prints_them(duration_ns: int, text: str) -> None:
    assert format_duration(duration_ns) == text


@given(st.integers(-(2**63), 2**63 - 1))
def test_printed_durations_are_read_back(duration_ns: int) -> None:
    assert parse_duration_ns(format_duration(duration_ns)) == duration_ns


@pytest.mark.parametrize(("value", "text"), [(2.0, "2"), (1.5, "1.5"), (60.0, "60"), (1e21, "1e+21"), (0.25, "0.25")])
def test_floats_are_printed_as_go_prints_them(value: float, text: str) -> None:
    assert format_float(value) == text
