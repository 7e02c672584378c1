"""Medians, ratios and the shape of a row."""

import json

import pytest

from bench.cases import Case, all_cases, select
from bench.rows import Side, build_row, disturbed, failed, figures, limited_by_generator, ratio
from bench.table import format_errors, format_row, quantity

FLOW_RUN = {
    "messages": 2_000_000,
    "seconds": 2.0,
    "per_second": 1e6,
    "server_cpu_s": 1.0,
    "generator_cpu_s": 0.5,
    "others_cpu_s": 0.2,
}


def case(name: str) -> Case:
    return select([name], all_cases())[0]


def side(*rounds: dict[str, float]) -> Side:
    return Side(rounds=list(rounds))


def flow(per_second: float, cpu: float = 0.5, busy: float = 0.2) -> dict[str, float]:
    return {"per_second": per_second, "cpu_s_per_million": cpu, "generator_busy": busy, "server_busy": 1.0}


def test_figures_of_a_run_are_per_million_messages() -> None:
    assert figures(FLOW_RUN) == {
        "cpu_s_per_million": 0.5,
        "generator_busy": 0.25,
        "server_busy": 0.5,
        "others_busy": 0.1,
        "per_second": 1e6,
    }


def test_a_run_without_messages_divides_by_nothing() -> None:
    assert figures({**FLOW_RUN, "messages": 0})["cpu_s_per_million"] == 1e6


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [(3.0, 2.0, 1.5), (None, 2.0, None), (3.0, None, None), (3.0, 0.0, None), (-1.0, 2.0, -0.5)],
)
def test_a_ratio_is_ours_by_theirs(ours: float | None, theirs: float | None, expected: float | None) -> None:
    assert ratio(ours, theirs) == expected


def test_a_row_compares_medians_so_that_one_odd_round_does_not_count() -> None:
    row = build_row(
        case("pub-1-128"),
        ours=side(flow(4e6, 0.1), flow(1e3, 9.0), flow(4e6, 0.1)),
        theirs=side(flow(2e6, 0.4), flow(2e6, 0.4), flow(9e9, 0.4)),
    )
    assert row["throughput_ratio"] == 2.0
    assert row["cpu_ratio"] == 0.25
    assert row["ours"]["rounds"] == [4e6, 1e3, 4e6]
    assert not failed(row)


def test_every_kind_of_case_has_the_ratios_that_apply() -> None:
    measured = {**flow(1.0), "p50_us": 1.0, "p99_us": 1.0, "bytes_per_connection": 1.0, "startup_ms": 1.0}
    ratios = {}
    for name in ("pub-1-128", "request-1x1-16", "idle-5000", "storm", "startup"):
        row = build_row(case(name), ours=side(measured), theirs=side(measured))
        ratios[name] = {key for key, value in row.items() if key.endswith("_ratio") and value is not None}
        assert {"case", "throughput_ratio", "cpu_ratio"} <= row.keys()
        json.dumps(row, allow_nan=False)
    assert ratios == {
        "pub-1-128": {"throughput_ratio", "cpu_ratio"},
        "request-1x1-16": {"throughput_ratio", "cpu_ratio", "p50_ratio", "p99_ratio"},
        "idle-5000": {"cpu_ratio", "bytes_per_connection_ratio"},
        "storm": {"throughput_ratio", "connection_rate_ratio", "cpu_ratio"},
        "startup": {"startup_ratio"},
    }


def test_a_side_without_a_good_round_gives_no_ratio_but_its_errors() -> None:
    lost = Side(errors=["round 1: no progress"], lost=7)
    row = build_row(case("pub-1-128"), ours=lost, theirs=side(flow(2e6)))
    assert row["throughput_ratio"] is None
    assert failed(row)
    assert format_errors(row) == ["    ours: round 1: no progress", "    ours: 7 messages lost"]
    assert "-" in format_row(row)


def test_a_busy_generator_is_pointed_out() -> None:
    row = build_row(case("pub-1-128"), ours=side(flow(1e6, busy=0.99)), theirs=side(flow(1e6, busy=0.5)))
    assert limited_by_generator(row) == ["ours"]
    assert "generator-bound: ours" in format_row(row)


def test_strangers_on_the_machine_are_pointed_out() -> None:
    row = build_row(case("pub-1-128"), ours=side({**flow(1e6), "others_busy": 0.75}), theirs=side(flow(1e6)))
    assert disturbed(row) == 0.75
    assert "disturbed: others used 0.8 cores" in format_row(row)
    assert disturbed(build_row(case("pub-1-128"), ours=side(flow(1e6)), theirs=side(flow(1e6)))) is None


def test_rates_are_short() -> None:
    assert [quantity(value) for value in (None, 12.4, 1_580, 12_100_000)] == ["-", "12", "1.58k", "12.10M"]
