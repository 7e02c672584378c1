"""Problems of a `websocket` block."""

from __future__ import annotations

import pytest

from services.router.websocket.checks import websocket_problem
from services.shared.config.options import TlsOptions, WebsocketOptions


def problem_of_header(name: str, value: str = "x") -> str | None:
    return websocket_problem(WebsocketOptions(no_tls=True, headers={name: value}))


def test_tls_is_required_unless_waived() -> None:
    assert websocket_problem(WebsocketOptions()) == "websocket requires TLS configuration"
    assert websocket_problem(WebsocketOptions(no_tls=True)) is None
    assert websocket_problem(WebsocketOptions(tls=TlsOptions())) is None


@pytest.mark.parametrize("origin", ["garbage", "", "//a.com", "http://", "http://a.com:x", "ftp://a", "*"])
def test_allowed_origins_must_be_origins(origin: str) -> None:
    problem = websocket_problem(WebsocketOptions(no_tls=True, allowed_origins=("http://ok.example", origin)))
    assert problem is not None
    assert problem.startswith("unable to parse allowed origin: ")
    assert repr(origin) in problem


def test_headers_of_the_handshake_are_reserved() -> None:
    assert problem_of_header("Upgrade") == 'websocket: invalid header "Upgrade" not allowed'
    assert problem_of_header("nats-no-masking") == 'websocket: invalid header "nats-no-masking" not allowed'
    assert problem_of_header("Sec-WebSocket-Foo") == (
        'websocket: invalid header "Sec-WebSocket-Foo", "Sec-WebSocket-" prefix not allowed'
    )
    assert problem_of_header("X-Foo") is None


def test_headers_cannot_break_the_response() -> None:
    assert problem_of_header("a b") == 'websocket: invalid header "a b": not a header name'
    assert "characters that a header cannot carry" in (problem_of_header("a", "f\r\ng: h") or "")
