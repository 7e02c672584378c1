"""The origin check: what counts as equal, and that nothing odd slips through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.websocket.origin import Origin, OriginPolicy, origin_policy, parse_origin


def objection(policy: OriginPolicy, origin: str, *, host: str = "h", tls: bool = False) -> str | None:
    return policy.objection(origin, host_field=host, tls=tls)


SAME = origin_policy(same_origin=True, allowed_origins=())
LISTED = origin_policy(
    same_origin=False,
    allowed_origins=("http://a.com", "http://b.com:8080", "https://C.com", "http://[::1]:90", "http://b.com"),
)


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("http://a.com", Origin(scheme="http", host="a.com", port=80)),
        ("HTTPS://A.com/path?q", Origin(scheme="https", host="a.com", port=443)),
        ("http://user@a.com:81", Origin(scheme="http", host="a.com", port=81)),
        ("http://[::1]:90", Origin(scheme="http", host="::1", port=90)),
    ],
)
def test_an_origin_is_scheme_host_and_port(text: str, origin: Origin) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text", ["", "null", "a.com", "//a.com", "/abs", "http://", "http://a.com:x", "http://a.com:", "ftp://a.com", "*"]
)
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_origin(text)


@pytest.mark.parametrize(
    ("host", "origin", "tls", "same"),
    [
        ("h", "http://h", False, True),
        ("h", "http://h:80", False, True),
        ("H:80", "http://h", False, True),
        ("h:8080", "http://h:8080", False, True),
        ("[::1]", "http://[::1]", False, True),
        ("h", "https://h", True, True),
        ("h:443", "https://h", True, True),
        ("h:8080", "http://h", False, False),
        ("h", "https://h:80", False, False),
        ("h:443", "https://h", False, False),
        ("h", "http://h:443", True, False),
        ("h:", "http://h", False, False),
        ("h:x", "http://h", False, False),
        ("h", "http://hh", False, False),
        ("h", "null", False, False),
    ],
)
def test_same_origin_compares_scheme_host_and_port(host: str, origin: str, tls: bool, same: bool) -> None:
    assert (objection(SAME, origin, host=host, tls=tls) is None) is same


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://a.com", True),
        ("http://A.com:80/", True),
        ("http://b.com:8080", True),
        ("http://b.com", True),
        ("https://c.com:443", True),
        ("http://[::1]:90", True),
        ("https://a.com", False),
        ("https://a.com:80", False),
        ("http://a.com:81", False),
        ("http://c.com:443", False),
        ("http://a.com.evil.example", False),
        ("http://a.com, http://b.com", False),
    ],
)
def test_listed_origins_must_match_entirely(origin: str, allowed: bool) -> None:
    assert (objection(LISTED, origin) is None) is allowed


def test_both_rules_must_hold_when_both_are_configured() -> None:
    policy = origin_policy(same_origin=True, allowed_origins=("http://a.com",))
    assert objection(policy, "http://a.com", host="a.com") is None
    assert objection(policy, "http://a.com", host="h") == "not same origin"
    assert objection(policy, "http://h", host="h") == "not in the allowed list"


def test_without_origin_or_without_rules_everything_passes() -> None:
    assert objection(SAME, "") is None
    assert objection(LISTED, "") is None
    assert objection(origin_policy(same_origin=False, allowed_origins=()), "garbage") is None


@given(st.text(), st.text())
def test_odd_fields_are_refused_without_raising(origin: str, host: str) -> None:
    if origin:
        policy = origin_policy(same_origin=True, allowed_origins=("http://only.example",))
        assert objection(policy, origin, host=host) is not None
