"""Subjects relate as the shared table says, and the relations agree with each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.subjects import tokens
from tests.kit.subject_tables import table_rows

TOKEN = st.sampled_from(["a", "b", "ab", "*", ">"])
TEXT = st.lists(TOKEN, min_size=1, max_size=4).map(".".join)
PATTERN = TEXT.filter(tokens.is_valid_subject)
LITERAL = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4).map(".".join)


@pytest.mark.parametrize(("question", "one", "other", "answer"), table_rows("subjects", cells=4))
def test_subjects_relate_as_the_table_says(question: str, one: str, other: str, answer: str) -> None:
    have = {
        "valid": lambda: tokens.is_valid_subject(one),
        "literal": lambda: tokens.is_valid_literal_subject(one),
        "matches": lambda: tokens.matches(one, other),
        "covers": lambda: tokens.covers(one, other),
        "overlap": lambda: tokens.overlap(one, other),
    }[question]()
    assert have is (answer == "yes")


@pytest.mark.parametrize("space", [" ", "\t", "\n", "\r", "\f"])
def test_white_space_makes_a_subject_invalid(space: str) -> None:
    assert not tokens.is_valid_subject(f"a{space}b")
    assert not tokens.is_valid_subject(space)


def test_wildcards_are_counted_as_whole_tokens() -> None:
    assert tokens.wildcard_count("*.a*.*.>") == 2
    assert tokens.has_full_wildcard(">") and tokens.has_full_wildcard("a.>")
    assert not tokens.has_full_wildcard("a>") and not tokens.has_full_wildcard("a.b")


@given(PATTERN, LITERAL)
def test_covering_a_literal_is_matching_it(pattern: str, literal: str) -> None:
    assert tokens.covers(pattern, literal) == tokens.matches(pattern, literal) == tokens.overlap(pattern, literal)


@given(PATTERN, PATTERN, LITERAL)
def test_what_covers_matches_all_that_the_other_matches(wide: str, narrow: str, literal: str) -> None:
    if tokens.covers(wide, narrow) and tokens.matches(narrow, literal):
        assert tokens.matches(wide, literal)


@given(PATTERN, PATTERN, LITERAL)
def test_a_common_subject_means_overlap(one: str, other: str, literal: str) -> None:
    assert tokens.overlap(one, other) == tokens.overlap(other, one)
    if tokens.matches(one, literal) and tokens.matches(other, literal):
        assert tokens.overlap(one, other)


@given(PATTERN, PATTERN)
def test_overlap_has_a_witness(one: str, other: str) -> None:
    """Where two patterns overlap, replacing each wildcard by the other's token gives a subject that both match."""
    if not tokens.overlap(one, other):
        return
    left, right = one.split("."), other.split(".")
    length = max(len(left), len(right))
    left, right = (side[:-1] + ["*"] * (length - len(side) + 1) if side[-1] == ">" else side for side in (left, right))
    witness = ".".join("x" if {a, b} == {"*"} else (b if a == "*" else a) for a, b in zip(left, right, strict=True))
    assert tokens.matches(one, witness) and tokens.matches(other, witness)
