"""Options of system requests: types, hostile input, filters."""

from __future__ import annotations

from typing import Any

import pytest

from services.shared.member.request_options import OptionsError, concerns, read_options

MEMBERS = {
    "sort": "string:server.SortOpt", "auth": "bool", "limit": "int", "cid": "uint64", "tags": "[]string",
    "http_requests": "map",
}  # fmt: skip


def read(body: bytes) -> dict[str, Any]:
    return read_options(body, kind="ConnzEventOptions", members=MEMBERS)


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b'{"unknown":1}', b'{"auth":null}'])
def test_nothing_asked_is_no_options(body: bytes) -> None:
    assert read(body) == {}


def test_known_members_are_taken() -> None:
    options = read(b'{"sort":"cid","auth":true,"limit":-1,"cid":18446744073709551615,"tags":["a"],"more":[]}')
    assert options == {"sort": "cid", "auth": True, "limit": -1, "cid": 18446744073709551615, "tags": ["a"]}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "unexpected end of JSON input"),
        (b"  ", "unexpected end of JSON input"),
        (b"xyz", "invalid character 'x' looking for beginning of value"),
        (b"{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 2}', "invalid character '2' after object key:value pair"),
        (b"{} x", "invalid character 'x' after top-level value"),
        (b"[]", "json: cannot unmarshal array into Go value of type server.ConnzEventOptions"),
        (b"7", "json: cannot unmarshal number into Go value of type server.ConnzEventOptions"),
        (b'{"limit":"a"}', "json: cannot unmarshal string into Go struct field ConnzEventOptions.limit of type int"),
        (b'{"auth":1}', "json: cannot unmarshal number into Go struct field ConnzEventOptions.auth of type bool"),
        (b'{"cid":-1}', "json: cannot unmarshal number -1 into Go struct field ConnzEventOptions.cid of type uint64"),
        (
            b'{"sort":[]}',
            "json: cannot unmarshal array into Go struct field ConnzEventOptions.sort of type server.SortOpt",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_in_known_words(body: bytes, text: str) -> None:
    with pytest.raises(OptionsError) as error:
        read(body)
    assert str(error.value) == text


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 100_000, b"\xff\xfe", b" " * (2 << 20)])
def test_hostile_requests_are_refused(body: bytes) -> None:
    with pytest.raises(OptionsError):
        read(body)


@pytest.mark.parametrize(
    ("filters", "meant"),
    [
        ({}, True), ({"server_name": "n"}, True), ({"server_name": "n1", "exact_match": True}, True),
        ({"server_name": "n", "exact_match": True}, False), ({"host": "127"}, True), ({"host": "10."}, False),
        ({"cluster": "C"}, True), ({"cluster": "D"}, False), ({"tags": ["AZ:1"]}, True), ({"tags": ["az:1", "x"]}, False),
        ({"domain": "hub"}, True), ({"domain": "hu"}, False),
    ],
)  # fmt: skip
def test_filters_say_which_servers_are_meant(filters: dict[str, Any], meant: bool) -> None:
    own = {"name": "n1", "cluster": "C1", "host": "127.0.0.1", "tags": ("az:1", "ssd"), "domain": "hub"}
    assert concerns(filters, **own) is meant
