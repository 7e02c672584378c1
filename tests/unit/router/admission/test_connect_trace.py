"""No secret of a CONNECT reaches the log, however it is written."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.admission.connect_trace import redacted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"PASS":"p","Sig":"s"}', '{"PASS":"[REDACTED]","Sig":"[REDACTED]"}'),
        ('{"pass":"a\\"b","lang":"l"}', '{"pass":"[REDACTED]","lang":"l"}'),
        ('{"p\\u0061ss":"p"}', '{"p\\u0061ss":"[REDACTED]"}'),
        ('{"sig":"a,b}","name":"n"}', '{"sig":"[REDACTED]","name":"n"}'),
        ('{"name":"\\"pass\\":\\"inner\\"","pass":"p"}', '{"name":"\\"pass\\":\\"inner\\"","pass":"[REDACTED]"}'),
        ('{"a":["pass","b"],"pass":["x"],"z":1}', '{"a":["pass","b"],"pass":[REDACTED]'),
        ('{"user":"root", "pass":"secret', '{"user":"root", "pass[REDACTED]'),
        ('{"user":"root", pass:secret}', '{"user":"root", pass[REDACTED]'),
        ('{"user":"r", "p\\u0061ss":"secret', '{"user":"r", "p\\u[REDACTED]'),
        ("[1,", "[1,"),
    ],
)
def test_secrets_are_left_away(text: str, shown: str) -> None:
    assert redacted(text.encode()) == shown


_NAMES = st.sampled_from(["pass", "PASS", "auth_token", "sig", "nkey", "proxy_sig", "name", "user", "x"])
_TEXTS = st.text(alphabet='ab"\\{}[],: \u00e9')
_VALUES = st.recursive(
    _TEXTS | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_NAMES, _VALUES), st.booleans())
def test_what_is_no_secret_stays_as_it_was_written(members: dict[str, object], ascii_only: bool) -> None:
    text = json.dumps(members, ensure_ascii=ascii_only)
    shown = redacted(text.encode())
    if shown.endswith("}"):
        try:
            told = json.loads(shown.replace(":[REDACTED]", ":0").replace(": [REDACTED]", ": 0"))
        except ValueError:
            return  # cut at a secret that is no plain value
        for name, value in members.items():
            if name in ("name", "user", "x") and not isinstance(value, dict | list):
                assert told[name] == value


@given(st.dictionaries(_NAMES, st.just("s3cr3t"), min_size=1), st.integers(min_value=0))
def test_no_secret_is_shown_of_a_text_that_is_cut_anywhere(members: dict[str, str], length: int) -> None:
    secret = {name: value for name, value in members.items() if name not in ("name", "user", "x")}
    text = json.dumps(secret)
    assert "s3cr3t" not in redacted(text[: length % (len(text) + 1)].encode())
