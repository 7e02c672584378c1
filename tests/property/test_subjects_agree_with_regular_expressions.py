"""Matching subjects against a model of another kind: the pattern written as a regular expression."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from services.shared.subjects import tokens

TOKEN = st.text(st.sampled_from("ab*>"), min_size=0, max_size=3)
SUBJECT = st.lists(TOKEN, min_size=1, max_size=5).map(".".join)


def as_regular_expression(pattern: str) -> str:
    """`*` is one token, `>` at the end one or more; everything else stands for itself."""
    wild = {"*": r"[^.]*", ">": r".*"}
    return r"\.".join(wild.get(token, re.escape(token)) for token in pattern.split("."))


@given(pattern=SUBJECT.filter(tokens.is_valid_subject), subject=SUBJECT)
def test_matching_is_what_the_regular_expression_says(pattern: str, subject: str) -> None:
    assert tokens.matches(pattern, subject) == bool(re.fullmatch(as_regular_expression(pattern), subject))


@given(text=SUBJECT)
def test_valid_subjects_have_no_empty_token_and_end_at_the_full_wildcard(text: str) -> None:
    wanted = re.fullmatch(r"(?:(?!>\.)[^.\s]+\.)*[^.\s]+", text) is not None
    assert tokens.is_valid_subject(text) == wanted
