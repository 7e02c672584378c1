"""The names of the benchmark's cases and what they ask of the generator."""

import pytest

from bench.cases import ROUTE_SIZES, SIZES, all_cases, select

SHAPES = (
    "pub-1",
    "pubsub-1x1",
    "fanout-1x16",
    "fanout-1x64",
    "fanin-16x1",
    "pairs-8x8",
    "queue-1x8",
    "subjects-10k",
    "tls-pubsub-1x1",
    "ws-pubsub-1x1",
)


def test_every_shape_comes_in_every_size_beside_the_single_cases() -> None:
    expected = {f"{shape}-{size}" for shape in SHAPES for size in SIZES}
    expected |= {f"route-{shape}-{size}" for shape in ("1x1", "8x8") for size in ROUTE_SIZES}
    expected |= {"route-request-1x1-16", "route-interest-100k"}
    expected |= {"request-1x1-16", "request-64x1-16", "idle-5000", "storm", "startup"}
    names = [case.name for case in all_cases()]
    assert set(names) == expected
    assert len(names) == len(expected)


def test_the_size_in_the_name_is_the_size_of_the_load() -> None:
    for case in all_cases():
        if "--size" in case.load:
            assert case.name.endswith("-" + case.load[case.load.index("--size") + 1])


def test_transports_follow_the_name() -> None:
    for case in all_cases():
        expected = "tls" if case.name.startswith("tls-") else "ws" if case.name.startswith("ws-") else "tcp"
        assert case.transport == expected


def test_only_cases_about_routes_need_two_servers() -> None:
    assert {case.name for case in all_cases() if case.nodes == 2} == {
        case.name for case in all_cases() if case.name.startswith("route-")
    }


def test_selection_keeps_the_order_of_the_cases_and_takes_patterns() -> None:
    chosen = select(["storm", "pub-1-*"], all_cases())
    assert [case.name for case in chosen] == [f"pub-1-{size}" for size in SIZES] + ["storm"]
    assert select([], all_cases()) == all_cases()


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(LookupError, match=r"'pub-9'.*pub-1-16"):
        select(["storm", "pub-9"], all_cases())
