"""Exports decide about imports, and no chain of imports comes back to where it began.

The texts for single configurations are in `spec/config/crossings.txt`.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.config.crossings import admits, covering_export, find_crossing_faults, intersection
from services.shared.config.options import AccountOptions, ServiceExport, ServiceImport, StreamExport
from services.shared.subjects.tokens import matches
from services.shared.subjects.transform import find_import_fault, local_pattern, numbered


def test_the_narrowest_export_decides() -> None:
    exports = [
        StreamExport(subject="a.>"),
        StreamExport(subject="a.secret.*", accounts=("C",)),
        StreamExport(subject="*.secret.*"),
        StreamExport(subject="a.secret.x"),
    ]
    for subject, decided in [("a.b", 0), ("a.secret.y", 1), ("a.secret.x", 3), ("b.secret.x", 2), ("a.secret.*", 1)]:
        assert covering_export(exports, subject) is exports[decided], subject
    assert covering_export(exports, "b") is None


def test_an_export_admits_those_whom_it_names() -> None:
    assert admits(StreamExport(subject="a"), importer="X", subject="a")
    assert not admits(StreamExport(subject="a", accounts=("B",)), importer="X", subject="a")
    own = StreamExport(subject="a.*", account_token_position=2)
    assert admits(own, importer="X", subject="a.X")
    assert not admits(own, importer="X", subject="a.Y")
    assert not admits(own, importer="X", subject="a.*")


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("a.*", "*.b", "a.b"),
        ("a.>", "*.b.c", "a.b.c"),
        (">", "a.*", "a.*"),
        ("a.>", "a", None),
        ("a.b", "a.c", None),
        ("*.>", "a.>", "a.>"),
    ],
)
def test_what_two_patterns_have_in_common(one: str, other: str, both: str | None) -> None:
    assert intersection(one, other) == both
    assert intersection(other, one) == both


PATTERNS = st.lists(st.sampled_from("ab*"), min_size=1, max_size=3).flatmap(
    lambda tokens: st.sampled_from([".".join(tokens), ".".join([*tokens, ">"])])
)


@given(PATTERNS, PATTERNS, st.lists(st.sampled_from("abc"), min_size=1, max_size=5).map(".".join))
def test_a_subject_is_in_both_when_it_is_in_the_intersection(one: str, other: str, subject: str) -> None:
    both = intersection(one, other)
    assert (matches(one, subject) and matches(other, subject)) == (both is not None and matches(both, subject))


def test_wildcards_of_imports_are_used_once() -> None:
    assert numbered("x.*.b.*.>") == "x.$1.b.$2.>"
    assert local_pattern("x.$2.{{wildcard(1)}}.$x.>") == "x.*.*.$x.>"
    assert find_import_fault(subject="a.*.*", to="b.$2.{{wildcard(1)}}") is None
    for to in ("b.$1", "b.$1.$1", "b.$1.$2.$2", "b.{{partition(3,1)}}.$2", "b.$3.$1"):
        assert find_import_fault(subject="a.*.*", to=to) is not None
    assert find_import_fault(subject="a.$1.*", to="b.$1") == "invalid subject"
    assert find_import_fault(subject="$SYS.*", to="b.$1") is None


NAMES = ("A", "B", "C")


def services(edges: list[tuple[str, str, str, str]]) -> list[AccountOptions]:
    """Accounts that export everything, and import by `(importer, exporter, subject, to)`."""
    return [
        AccountOptions(
            name=name,
            service_exports=(ServiceExport(subject=">"),),
            service_imports=tuple(
                ServiceImport(account=exporter, subject=subject, to=to)
                for importer, exporter, subject, to in edges
                if importer == name
            ),
        )
        for name in NAMES
    ]


@pytest.mark.parametrize(
    "edges",
    [
        [("A", "B", "b", "a"), ("B", "A", "a", "b")],
        [("A", "B", "b.*", "a.$1"), ("B", "C", "c.$1", "b.*"), ("C", "A", "a.x", "c.>")],
        [("A", "A", "a", "a")],
        # Grows with every round.
        [("A", "B", "b.>", "a.>"), ("B", "A", "a.z.>", "b.>")],
        [("A", "B", ">", ">"), ("B", "C", ">", ">"), ("C", "A", ">", ">")],
    ],
)
def test_the_import_that_closes_a_cycle_is_refused(edges: list[tuple[str, str, str, str]]) -> None:
    faults = list(find_crossing_faults(services(edges)))
    assert len(faults) == 1
    assert faults[0].endswith(": import forms a cycle")
    for left_out in range(len(edges)):
        assert not list(find_crossing_faults(services(edges[:left_out] + edges[left_out + 1 :])))


def test_neighbours_that_share_names_only_form_no_cycle() -> None:
    assert not list(find_crossing_faults(services([("A", "B", "x", "foo"), ("B", "A", "y", "x")])))
    assert not list(find_crossing_faults(services([("A", "B", "b.>", "a.>"), ("B", "A", "a.>", "c.>")])))


def test_a_search_for_cycles_ends() -> None:
    ladder = [
        (a, b, f"{n + 1}.>", f"{n}.>") for n in range(30) for a, b in (("A", "B"), ("B", "A"), ("A", "C"), ("C", "A"))
    ]
    faults = list(find_crossing_faults(services(ladder)))
    assert all("cycle" in fault or "chains" in fault for fault in faults)


LITERALS = st.lists(st.sampled_from("ab"), min_size=1, max_size=3).map(".".join)
EDGES = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES), LITERALS, PATTERNS), min_size=1, max_size=5,
    unique_by=lambda edge: (edge[0], edge[1], edge[3]),
)  # fmt: skip


@given(EDGES, st.sampled_from(NAMES), LITERALS)
def test_what_is_accepted_never_comes_back(edges: list[tuple[str, str, str, str]], account: str, subject: str) -> None:
    accounts = services(edges)
    if list(find_crossing_faults(accounts)):
        return
    waiting, crossings = [(account, subject)], 0
    while waiting:
        here, published = waiting.pop()
        for importer, exporter, remote, to in edges:
            if importer == here and matches(to, published):
                crossings += 1
                waiting.append((exporter, remote))
        assert crossings <= 2 ** len(edges)
