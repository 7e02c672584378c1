"""The upgrade machine: outcomes. Answers are compared with the real server byte for byte in tests/interop."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.websocket.request import REQUEST_BYTES_MAX, REQUEST_LINE_BYTES_MAX
from services.router.websocket.upgrade import (
    Accepted,
    NeedMore,
    Refused,
    UpgradeKind,
    UpgradeMachine,
    UpgradeRules,
    accept_value,
    upgrade_rules,
)
from services.shared.config.options import WebsocketOptions

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
FIELDS = {
    "Host": "nats.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}
OPTIONS = WebsocketOptions(no_tls=True, compression=True)


def request(line: str = "GET / HTTP/1.1", **changes: str | None) -> bytes:
    """A request; `X_Y="v"` sets a field, None removes it."""
    fields: dict[str, str | None] = {**FIELDS, **{name.replace("_", "-"): value for name, value in changes.items()}}
    lines = [line, *(f"{name}: {value}" for name, value in fields.items() if value is not None), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def rules(options: WebsocketOptions = OPTIONS) -> UpgradeRules:
    return upgrade_rules(options, tls=False)


def outcome(data: bytes, listener: UpgradeRules | None = None) -> NeedMore | Refused | Accepted:
    return UpgradeMachine(listener or rules()).receive(data)


def accepted(data: bytes, listener: UpgradeRules | None = None) -> Accepted:
    result = outcome(data, listener)
    assert isinstance(result, Accepted), result
    return result


def refused(data: bytes, listener: UpgradeRules | None = None) -> tuple[int, str]:
    result = outcome(data, listener)
    assert isinstance(result, Refused), result
    return int(result.response.split()[1]), result.reason


def test_accept_value_is_that_of_the_rfc() -> None:
    assert accept_value(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_plain_client_is_accepted_without_extras() -> None:
    assert accepted(request()) == Accepted(
        response=(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        ),
        kind=UpgradeKind.CLIENT,
    )


def test_compression_needs_an_offer_and_the_option() -> None:
    offer = request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits")
    assert accepted(offer).compress
    assert b"\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; " in accepted(offer).response
    assert not accepted(offer, rules(WebsocketOptions(no_tls=True))).compress
    assert not accepted(request()).compress


@pytest.mark.parametrize(
    ("offer", "taken"),
    [
        ("permessage-deflate", True),
        ("foo, Permessage-Deflate ; client_max_window_bits=10", True),
        ("permessage-deflate; server_max_window_bits=9, permessage-deflate", True),
        ("permessage-deflate; server_max_window_bits=9", False),
        ("permessage-deflate; unheard-of", False),
        ("foo; permessage-deflate", False),
        ("permessage-deflatex", False),
        ("", False),
    ],
)
def test_an_offer_that_the_fixed_answer_would_not_fit_is_declined(offer: str, taken: bool) -> None:
    assert accepted(request(Sec_WebSocket_Extensions=offer)).compress is taken


def test_no_masking_is_agreed_only_for_the_exact_word() -> None:
    assert accepted(request(Nats_No_Masking="true")).no_masking
    assert b"\r\nNats-No-Masking: true\r\n" in accepted(request(Nats_No_Masking="true")).response
    assert not accepted(request(Nats_No_Masking="True")).no_masking


def test_browsers_are_known_by_their_user_agent() -> None:
    def of(agent: str) -> tuple[bool, bool]:
        result = accepted(request(User_Agent=agent))
        return result.browser, result.fragment_compressed

    assert of("Mozilla/5.0 Firefox/130") == (True, True)
    assert of("Mozilla/5.0 Version/17 Safari/605") == (True, False)
    assert of("mozilla/5.0") == (False, True)
    assert of("Go-http-client/1.1") == (False, True)


@pytest.mark.parametrize(
    ("field", "address"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4, 5.6.7.8", "1.2.3.4"),
        ("2001:DB8::1", "2001:db8::1"),
        ("unknown, 1.2.3.4", ""),
        ("1.2.3.4:80", ""),
        ("", ""),
    ],
)
def test_first_forwarded_address_is_noted(field: str, address: str) -> None:
    assert accepted(request(X_Forwarded_For=field)).client_ip == address


def test_configured_headers_come_last() -> None:
    options = WebsocketOptions(no_tls=True, headers={"X-One": "1", "x-two": "2"})
    assert accepted(request(), rules(options)).response.endswith(b"xOo=\r\nX-One: 1\r\nx-two: 2\r\n\r\n")


def test_path_suffix_selects_the_protocol() -> None:
    listener = upgrade_rules(OPTIONS, tls=False, leafnodes=True, mqtt=True)

    def kind(target: str) -> UpgradeKind:
        return accepted(request(f"GET {target} HTTP/1.1"), listener).kind

    assert kind("/leafnode") is kind("/a/b/leafnode?x=y") is kind("http://h/leafnode") is UpgradeKind.LEAFNODE
    assert kind("/mqtt") is kind("/a/mqtt") is UpgradeKind.MQTT
    assert kind("/") is kind("/mqtt/") is kind("/x?/leafnode") is kind("/xmqtt") is UpgradeKind.CLIENT
    mqtt = accepted(request("GET /mqtt HTTP/1.1"), listener)
    assert b"\r\nSec-Websocket-Protocol: mqtt\r\n" in mqtt.response


def test_protocols_that_are_off_are_not_found_whatever_else_is_wrong() -> None:
    assert refused(request("POST /mqtt HTTP/1.1", Upgrade=None)) == (404, "mqtt websocket endpoint not enabled")
    assert refused(request("GET /leafnode HTTP/1.1")) == (404, "leafnode websocket endpoint not enabled")


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (request("POST / HTTP/1.1"), (405, "request method must be GET")),
        (request("CONNECT h:80 HTTP/1.1"), (405, "request method must be GET")),
        (request(Host=""), (400, "'Host' missing in request")),
        (request(Upgrade=None), (400, "invalid value for header 'Upgrade'")),
        (request(Upgrade="websocket/13"), (400, "invalid value for header 'Upgrade'")),
        (request(Connection="keep-alive"), (400, "invalid value for header 'Connection'")),
        (request(Sec_WebSocket_Key=None), (400, "key missing")),
        (request(Sec_WebSocket_Key=base64.b64encode(b"x" * 15).decode()), (400, "invalid websocket key")),
        (request(Sec_WebSocket_Key="dGhlIHNhbXBs ZSBub25jZQ=="), (400, "invalid websocket key")),
        (request(Sec_WebSocket_Version="12"), (400, "invalid version")),
    ],
)
def test_each_broken_rule_is_named(data: bytes, answer: tuple[int, str]) -> None:
    assert refused(data) == answer


def test_list_fields_may_have_more_elements() -> None:
    data = request(Upgrade="foo, WebSocket", Connection="keep-alive, upgrade", Sec_WebSocket_Version="8, 13")
    assert isinstance(outcome(data), Accepted)


def test_a_foreign_origin_is_forbidden() -> None:
    listener = rules(WebsocketOptions(no_tls=True, same_origin=True))
    assert refused(request(Origin="http://evil.example"), listener) == (403, "origin not allowed: not same origin")
    assert refused(request(Sec_WebSocket_Origin="http://evil.example"), listener)[0] == 403
    assert isinstance(outcome(request(Origin="http://NATS.example:80"), listener), Accepted)
    assert isinstance(outcome(request(), listener), Accepted)


def test_the_absolute_form_overrules_the_host_field() -> None:
    listener = rules(WebsocketOptions(no_tls=True, same_origin=True))
    data = request("GET http://other.example/x HTTP/1.1", Origin="http://other.example")
    assert isinstance(outcome(data, listener), Accepted)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"CONNECT {}\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"\r\n\r\n", 400),
        (request("GET / HTTP/2.0"), 505),
        (request("GET * HTTP/1.1"), 400),
        (request("GET /%zz HTTP/1.1"), 400),
        (request(Host=None), 400),
        (request(Host="a/b"), 400),
        (request(Host="h\r\nHost: h"), 400),
        (request(X_Foo="a\x01b"), 400),
        (request(Transfer_Encoding="gzip"), 501),
    ],
)
def test_what_is_not_http_is_refused(data: bytes, status: int) -> None:
    assert refused(data)[0] == status
    assert refused(data)[1].startswith("invalid HTTP request: ")


def test_another_protocol_is_refused_at_its_first_line() -> None:
    assert refused(b"CONNECT {}\r\n") == (400, "invalid HTTP request: request line b'CONNECT {}\\r'")


def test_an_endless_request_line_is_cut_off() -> None:
    machine = UpgradeMachine(rules())
    assert machine.receive(b"GET /") == NeedMore()
    result = machine.receive(b"x" * REQUEST_LINE_BYTES_MAX)
    assert isinstance(result, Refused)
    assert result.response.startswith(b"HTTP/1.1 414 URI Too Long\r\n")


def test_an_endless_request_is_cut_off() -> None:
    machine = UpgradeMachine(rules())
    assert machine.receive(b"GET / HTTP/1.1\r\nX: ") == NeedMore()
    assert machine.receive(b"x" * (REQUEST_BYTES_MAX - 100)) == NeedMore()
    result = machine.receive(b"x" * 1000)
    assert isinstance(result, Refused)
    assert result.response.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("extra", [b"x", b"\x81\x80abcd"])
def test_data_before_the_answer_drops_the_connection(extra: bytes) -> None:
    expected = Refused(response=b"", reason="client sent data before handshake is complete")
    assert outcome(request() + extra) == expected
    assert outcome(request(Content_Length="3") + b"abc") == expected
    assert outcome(request(Content_Length="3")) == expected
    assert refused(request(Upgrade=None) + extra)[0] == 400


def test_a_refused_head_request_gets_no_body() -> None:
    result = outcome(request("HEAD / HTTP/1.1"))
    assert isinstance(result, Refused)
    assert result.response.endswith(b"\r\n\r\n")


def test_cookies_reach_the_outcome() -> None:
    listener = rules(WebsocketOptions(no_tls=True, user_cookie="u"))
    assert accepted(request(Cookie="x=y; u=alice"), listener).cookies.user == "alice"


@given(cuts=st.lists(st.integers(min_value=0, max_value=400), max_size=8), lf_only=st.booleans())
def test_cutting_a_request_changes_nothing(cuts: list[int], lf_only: bool) -> None:
    data = request("GET /x HTTP/1.1", Cookie="u=alice", User_Agent="Mozilla/5.0", Nats_No_Masking="true")
    data = data.replace(b"\r\n", b"\n") if lf_only else data
    ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
    machine = UpgradeMachine(rules())
    results = [machine.receive(data[start:end]) for start, end in zip([0, *ends], ends, strict=False) if start < end]
    assert results[-1] == outcome(data)
    assert all(result == NeedMore() for result in results[:-1])


@given(st.binary(max_size=300))
def test_random_bytes_never_raise(data: bytes) -> None:
    outcome(data)
    outcome(data + b"\r\n\r\n")
    outcome(b"GET " + data + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    outcome(request()[:-2] + data + b"\r\n\r\n")


@given(
    st.dictionaries(st.sampled_from(sorted({*FIELDS, "Origin", "Cookie", "X-Forwarded-For"})), st.text(max_size=40)),
    st.text(max_size=30),
)
def test_random_fields_never_raise(fields: dict[str, str], target: str) -> None:
    listener = rules(WebsocketOptions(same_origin=True, user_cookie="u", compression=True))
    lines = [f"GET /{target} HTTP/1.1", *(f"{name}: {value}" for name, value in {**FIELDS, **fields}.items()), "", ""]
    outcome("\r\n".join(lines).encode("latin-1", "replace"), listener)
