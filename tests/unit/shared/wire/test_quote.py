"""Quoted text is Go's `%q`; the engine's test holds the same examples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.wire.quote import quote


@pytest.mark.parametrize(
    ("text", "quoted"),
    [
        (b"a.b", '"a.b"'),
        ('x.é"\\\u00a0\u0301\u200b\x01'.encode(), '"x.é\\"\\\\\\u00a0\u0301\\u200b\\x01"'),
        (b"x.\xff\xc3", '"x.\\xff\\xc3"'),
        (b"\x07\x08\x0c\n\r\t\x0b\x7f", '"\\a\\b\\f\\n\\r\\t\\v\\x7f"'),
        ("\U000e0001", '"\\U000e0001"'),
        ("", '""'),
    ],
)
def test_quoting_is_that_of_the_reference(text: str | bytes, quoted: str) -> None:
    assert quote(text) == quoted


@given(st.binary())
def test_quoted_bytes_never_break_a_line(text: bytes) -> None:
    quoted = quote(text)
    assert quoted.isprintable()
    assert quoted.encode()  # no surrogate is left
