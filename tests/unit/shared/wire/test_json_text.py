"""JSON as the server writes it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.shared.wire.json_text import compact, indented

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(VALUES)
def test_both_forms_mean_the_value(value: Any) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return  # a lone surrogate has no UTF-8
    assert json.loads(compact(value)) == json.loads(indented(value)) == value


def test_texts_may_stand_in_html() -> None:
    assert compact({"a": "<>&\u2028\u2029µ"}) == '{"a":"\\u003c\\u003e\\u0026\\u2028\\u2029µ"}'.encode()


def test_members_are_indented_and_what_is_empty_is_not() -> None:
    shown = indented({"a": 1, "b": [], "c": {}, "d": [True, None, {"e": "f"}]})
    assert shown.decode() == (
        '{\n  "a": 1,\n  "b": [],\n  "c": {},\n  "d": [\n    true,\n    null,\n    {\n      "e": "f"\n    }\n  ]\n}'
    )
    assert indented({"a": {"b": 0}}, indent="   ") == b'{\n   "a": {\n      "b": 0\n   }\n}'


@pytest.mark.parametrize(("value", "text"), [(2.0, b"2"), (0.5, b"0.5"), (1e22, b"1e+22"), (-0.25, b"-0.25")])
def test_numbers_are_as_short_as_they_can_be(value: float, text: bytes) -> None:
    assert indented(value) == text


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(TypeError):
        indented({"a": object()})
