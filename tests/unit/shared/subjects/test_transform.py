"""Mappings are judged in nats-server's words, by the same table as in the engine."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.subjects.transform import find_mapping_fault, find_transform_fault
from tests.kit.subject_tables import table_rows


@dataclass(frozen=True)
class To:
    """A destination."""

    subject: str
    weight: int = 100
    cluster: str = ""


@pytest.mark.parametrize(("source", "destination", "fault"), table_rows("mapping_destinations", cells=3))
def test_a_destination_is_judged_as_recorded(source: str, destination: str, fault: str) -> None:
    assert (find_transform_fault(source=source, destination=destination) or "") == fault


@pytest.mark.parametrize(("source", "destination", "published", "result"), table_rows("mappings", cells=4))
def test_a_mapping_that_works_has_no_fault(source: str, destination: str, published: str, result: str) -> None:
    assert find_transform_fault(source=source, destination=destination) is None


def test_an_empty_destination_is_refused() -> None:
    assert find_transform_fault(source="a", destination="") == "invalid mapping destination: invalid transform"


def test_overlong_subjects_are_refused() -> None:
    long = ".".join("a" * 256)
    assert find_transform_fault(source="a", destination=long) is not None
    assert find_transform_fault(source=long, destination="a") == "invalid subject"
    assert find_transform_fault(source=long[2:], destination=long[2:]) is None


@pytest.mark.parametrize(
    ("source", "destinations", "fault"),
    [
        ("a", [To("b", 60), To("c", 40)], None),
        ("a", [], None),
        ("a", [To("b", 60, "X"), To("c", 60)], None),
        ("a", [To("b", 60), To("c", 60)], "total weight needs to be <= 100"),
        ("a", [To("b", 60, "X"), To("c", 60, "X")], "total weight needs to be <= 100"),
        ("a", [To("b", 60), To("b", 40, "X")], 'duplicate entry for "b"'),
        ("a", [To("b", 60), To("b", 60)], 'duplicate entry for "b"'),
        ("a", [To("b", 101)], "individual weights need to be <= 100"),
        ("a", [To("b", -1)], "individual weights need to be <= 100"),
        ("a.*", [To("b.*", 10)], "invalid subject"),
        ("a.*", [To("b.$9", 60), To("c", 60)], "invalid mapping destination: wildcard index out of range in $9: [9]"),
    ],
)
def test_a_list_of_destinations_is_judged_in_order(source: str, destinations: list[To], fault: str | None) -> None:
    assert find_mapping_fault(source=source, destinations=destinations) == fault


@given(st.text(), st.text(alphabet="$b.{}() a-1,*>", max_size=30))
def test_any_text_gets_a_judgement(source: str, destination: str) -> None:
    for pattern in (source, "a.*", "*.>", "a"):
        fault = find_transform_fault(source=pattern, destination=destination)
        assert fault is None or fault
