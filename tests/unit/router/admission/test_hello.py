"""CONNECT is read as the reference reads it, and hostile text is refused, never worse."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.admission.errors import MalformedHello
from services.router.admission.hello import SILENT, Hello, parse_hello
from services.shared.records.record import fields

STRINGS = {
    "name": "name",
    "lang": "lang",
    "version": "version",
    "user": "user",
    "pass": "password",
    "auth_token": "auth_token",
    "jwt": "jwt",
    "sig": "sig",
    "nkey": "nkey",
    "proxy_sig": "proxy_sig",
    "account": "account",
}
FLAGS = ("verbose", "pedantic", "echo", "tls_required", "headers", "no_responders", "new_account")

members = st.fixed_dictionaries(
    {},
    optional={name: st.text() for name in STRINGS}
    | {name: st.booleans() for name in FLAGS}
    | {"protocol": st.integers(-5, 5)},
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_an_empty_connect_is_that_of_a_silent_client() -> None:
    assert parse_hello(b"{}") == SILENT
    assert (SILENT.verbose, SILENT.pedantic, SILENT.echo) == (True, True, True)
    assert (SILENT.headers, SILENT.no_responders, SILENT.protocol) == (False, False, 0)


def test_a_connect_of_an_official_client_is_read() -> None:
    line = (
        b'{"verbose":false,"pedantic":false,"user":"alice","pass":"secret","tls_required":false,"name":"svc",'
        b'"lang":"go","version":"1.38.0","protocol":1,"echo":true,"headers":true,"no_responders":true}'
    )
    assert parse_hello(line) == Hello(
        verbose=False,
        pedantic=False,
        user="alice",
        password="secret",
        name="svc",
        lang="go",
        version="1.38.0",
        protocol=1,
        headers=True,
        no_responders=True,
    )


@pytest.mark.parametrize(
    "line",
    [
        b'{"USER":"a"}',
        b'{"User":"a"}',
        '{"uſer":"a"}'.encode(),
        b' {"user" : "a"}\t',
        b'{"user":"a","zz":1e400,"y":[{}]}',
    ],
)
def test_names_count_in_any_case_and_unknown_members_do_not(line: bytes) -> None:
    assert parse_hello(line).user == "a"


def test_null_leaves_a_member_alone() -> None:
    assert parse_hello(b'{"user":null,"verbose":null}') == SILENT
    assert parse_hello(b"null") == SILENT
    assert parse_hello(b'{"user":"a","USER":null}').user == "a"


def test_a_second_connect_is_laid_over_the_first() -> None:
    first = parse_hello(b'{"user":"a","pass":"b","verbose":false,"headers":true}')
    second = parse_hello(b'{"user":"c","verbose":true}', previous=first)
    assert second == Hello(user="c", password="b", verbose=True, headers=True)
    assert parse_hello(b"null", previous=first) is first


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"3",
        b'"a"',
        b"true",
        b"{]",
        b'{"user":1}',
        b'{"user":["a"]}',
        b'{"verbose":1}',
        b'{"verbose":"true"}',
        b'{"protocol":true}',
        b'{"protocol":1.0}',
        b'{"protocol":1e0}',
        b'{"protocol":"1"}',
        b'{"protocol":99999999999999999999}',
        b'{"user":"a"} x',
        b'{"user":"a"}{}',
        b'{"name":"\t"}',
        b'{"zz":NaN}',
        b'{"zz":-Infinity}',
        b"\x0c{}",
        b"\xef\xbb\xbf{}",
        b"{'user':'a'}",
        b'{"z":' + b"[" * 100_000,
        b'{"z":' + b"9" * 10_000 + b"}",
    ],
)
def test_what_cannot_be_read_is_malformed(line: bytes) -> None:
    with pytest.raises(MalformedHello):
        parse_hello(line)


def test_text_that_is_no_text_is_mended() -> None:
    assert parse_hello(b'{"name":"a\xff"}').name == "a\ufffd"
    assert parse_hello(rb'{"name":"a\ud800"}').name == "a\ufffd"
    assert parse_hello(rb'{"name":"\ud83d\ude00"}').name == "\U0001f600"


def test_secrets_do_not_show() -> None:
    hello = parse_hello(b'{"pass":"p4ss","auth_token":"t0ken","jwt":"j.w.t","sig":"s1g","proxy_sig":"pr0xy"}')
    for secret in ("p4ss", "t0ken", "j.w.t", "s1g", "pr0xy"):
        assert secret not in repr(hello)


@given(members)
def test_every_member_arrives(sent: dict[str, Any]) -> None:
    hello = parse_hello(json.dumps(sent).encode())
    expected = {STRINGS.get(name, name): value for name, value in sent.items()}
    assert hello == Hello(**expected)


@given(members, members)
def test_two_connects_read_like_one_with_the_later_members(one: dict[str, Any], two: dict[str, Any]) -> None:
    first = parse_hello(json.dumps(one).encode())
    both = parse_hello(json.dumps(two).encode(), previous=first)
    assert both == parse_hello(json.dumps(one | two).encode())


@given(st.dictionaries(st.sampled_from([*STRINGS, *FLAGS, "protocol", "other"]), anything) | anything)
def test_any_json_is_a_hello_or_malformed(value: Any) -> None:
    try:
        hello = parse_hello(json.dumps(value).encode())
    except MalformedHello:
        return
    for item in fields(hello):
        assert type(getattr(hello, item.name)) is type(getattr(SILENT, item.name))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_hello_or_malformed(line: bytes) -> None:
    try:
        parse_hello(line)
    except MalformedHello:
        pass
