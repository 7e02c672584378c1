"""Envelopes of answers to system requests."""

from __future__ import annotations

import gzip
import itertools
import json
from functools import partial
from typing import Any

import pytest

from services.shared.config.options import Options
from services.shared.member.encoding import encoded
from services.shared.member.server_info import server_info
from services.shared.member.system_services import (
    ANYBODY,
    DONE,
    Asker,
    Endpoint,
    EndpointError,
    Request,
    SystemServices,
)
from services.shared.runtime.role_plan import Identity


@pytest.fixture
def services() -> SystemServices:
    options = Options(host="127.0.0.1", server_tags=("az:1",), server_metadata={"rack": "r1"})
    info = server_info(options, Identity(server_id="NID", server_name="n1", xkey=""))
    return SystemServices(info, wall_ns=lambda: 1_000_000_000, next_message=partial(next, itertools.count(1)))


def answer(services: SystemServices, endpoint: Endpoint, body: bytes = b"", asker: Asker = ANYBODY) -> Any:
    text = services.answer(endpoint, body, asker)
    return None if text is None else json.loads(text)


def test_data_comes_with_the_server_it_is_from(services: SystemServices) -> None:
    told = answer(services, Endpoint(lambda request: {"a": 1}))
    assert list(told) == ["server", "data"]
    assert list(told["server"]) == [
        "name", "host", "id", "ver", "tags", "metadata", "feature_flags", "jetstream", "flags", "seq", "time",
    ]  # fmt: skip
    assert (told["server"]["name"], told["server"]["seq"], told["data"]) == ("n1", 1, {"a": 1})


def test_answers_are_numbered(services: SystemServices) -> None:
    endpoint = Endpoint(lambda request: 0)
    assert [answer(services, endpoint)["server"]["seq"] for _ in range(3)] == [1, 2, 3]


def test_what_an_endpoint_refuses_is_an_error_beside_no_data(services: SystemServices) -> None:
    def refuse(request: Request) -> Any:
        raise EndpointError("invalid sorting option: zz")

    told = answer(services, Endpoint(refuse))
    assert list(told) == ["server", "data", "error"]
    assert told["error"] == {"code": 500, "description": "invalid sorting option: zz"}


def test_what_cannot_be_read_is_an_error_without_data(services: SystemServices) -> None:
    told = answer(services, Endpoint(lambda request: 0), b"{")
    assert list(told) == ["server", "error"]
    assert told["error"] == {"code": 400, "description": "unexpected end of JSON input"}


def test_requests_for_others_are_not_answered(services: SystemServices) -> None:
    assert answer(services, Endpoint(lambda request: 0), b'{"server_name":"other"}') is None


def test_silence_of_an_endpoint_is_silence(services: SystemServices) -> None:
    assert answer(services, Endpoint(lambda request: None)) is None
    assert answer(services, Endpoint(lambda request: None, wrapper="")) is None


def test_bare_data_is_neither_filtered_nor_wrapped(services: SystemServices) -> None:
    assert answer(services, Endpoint(lambda request: {"id": "NID"}, wrapper=""), b'{"server_name":"other"}') == {
        "id": "NID"
    }


def test_an_endpoint_sees_its_options_and_who_asks(services: SystemServices) -> None:
    def echo(request: Request) -> Any:
        return [request.options, request.asker.account, request.asker.is_trusted]

    endpoint = Endpoint(echo, members={"limit": "int"})
    told = answer(services, endpoint, b'{"limit":3,"host":"127"}', Asker(account="APP", is_trusted=True))
    assert told["data"] == [{"limit": 3, "host": "127"}, "APP", True]


def test_what_was_done_is_told_by_the_server_alone(services: SystemServices) -> None:
    assert list(answer(services, Endpoint(lambda request: DONE))) == ["server"]


def test_an_endpoint_that_reads_nothing_answers_nonsense(services: SystemServices) -> None:
    endpoint = Endpoint(lambda request: request.options, reads_body=False)
    assert answer(services, endpoint, b'{"server_name":"other"')["data"] == {}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"cid":"a"}'])
def test_an_order_that_cannot_be_read_is_not_answered(services: SystemServices, body: bytes) -> None:
    endpoint = Endpoint(lambda request: DONE, members={"cid": "uint64"}, needs_body=True)
    assert answer(services, endpoint, body) is None


def test_answers_are_compressed_for_those_who_take_gzip() -> None:
    sent = encoded(b"text", request_headers=b"NATS/1.0\r\nAccept-Encoding: snappy, gzip\r\n\r\n")
    assert sent["headers"] == b"NATS/1.0\r\nContent-Encoding: gzip\r\n\r\n"
    assert gzip.decompress(sent["body"]) == b"text"


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        (b"NATS/1.0\r\naccept-encoding: br\r\n\r\n", b"NATS/1.0\r\nContent-Encoding: identity\r\n\r\n"),
        (b"NATS/1.0\r\nOther: gzip\r\n\r\n", b""),
        (b"", b""),
    ],
)
def test_other_answers_are_plain(headers: bytes, wanted: bytes) -> None:
    assert encoded(b"text", request_headers=headers) == {"headers": wanted, "body": b"text"}
