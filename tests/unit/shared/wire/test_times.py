"""Times and durations as texts."""

from __future__ import annotations

import pytest

from services.shared.wire.times import SECOND_NS, duration_text, rfc3339, seconds_number, uptime_text

DAY = 86_400


@pytest.mark.parametrize(
    ("at_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1_700_000_000 * SECOND_NS, "2023-11-14T22:13:20Z"),
        (1_700_000_000 * SECOND_NS + 961_039_037, "2023-11-14T22:13:20.961039037Z"),
        (1_700_000_000 * SECOND_NS + 774_684_000, "2023-11-14T22:13:20.774684Z"),
        (1_700_000_000 * SECOND_NS + 1, "2023-11-14T22:13:20.000000001Z"),
    ],
)
def test_times_have_as_many_digits_as_they_need(at_ns: int, text: str) -> None:
    assert rfc3339(at_ns) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"), (34, "34s"), (65, "1m5s"), (7_204, "2h0m4s"), (DAY + 2 * 3_600 + 3 * 60 + 4, "1d2h3m4s"),
        (368 * DAY + 1, "1y3d0h0m1s"), (-5, "0s"),
    ],
)  # fmt: skip
def test_uptimes_start_at_their_largest_unit(seconds: int, text: str) -> None:
    assert uptime_text(seconds * SECOND_NS) == text


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0s"), (1, "1ns"), (999, "999ns"), (95_000, "95µs"), (331_500, "331.5µs"), (5_701_811, "5.701811ms"),
        (1_212_940, "1.21294ms"), (SECOND_NS, "1s"), (1_500_000_000, "1.5s"), (60 * SECOND_NS, "1m0s"),
        (3_661 * SECOND_NS + 10_000_000, "1h1m1.01s"), (-1_500, "-1.5µs"),
    ],
)  # fmt: skip
def test_durations_are_written_as_go_writes_them(duration_ns: int, text: str) -> None:
    assert duration_text(duration_ns) == text


def test_whole_seconds_have_no_fraction() -> None:
    assert repr(seconds_number(2 * SECOND_NS)) == "2"
    assert seconds_number(500_000_000) == 0.5
