"""Contradictions between options, in nats-server's words where it has some (reference: operations 2.13)."""

from __future__ import annotations

import pytest

from services.shared.config.errors import ValidationError
from services.shared.config.validation import validate_options
from tests.kit.config_files import load
from tests.kit.config_tables import tls_files

USERS = "authorization {users: [{user: a}]}\n"
WEBSOCKET = "websocket {port: 1, no_tls: true, %s}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{USERS}no_auth_user: a",
        "no_auth_user: a, accounts {A {users: [{user: a}]}}",
        "accounts {A {}}, system_account: A",
        'system_account: "$G"',
        "websocket {no_tls: false}",
        WEBSOCKET % 'allowed_origins: ["http://x", "https://x:1/y", "HTTP://z", "http://[::1]:5"], headers {Date: x}',
        "client_advertise: h, port: 65535",
        'client_advertise: "h:5"',
        "max_payload: 5, max_pending: 5",
        "http: 1",
        'cluster {compression {mode: s2_fast, rtts: ["3ms", "2ms"]}}',
        'cluster {compression {mode: s2_auto, rtts: ["-5ms", "0s", "10ms", "0s", "0s"]}}',
    ],
)
def test_sound_options_pass(text: str) -> None:
    validate_options(load(text).options)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("cluster {compression: zz}", 'unsupported compression mode "zz"'),
        ("cluster {compression: s2_uncompressed}", 'unsupported compression mode "s2_uncompressed"'),
        (
            'cluster {compression {mode: auto, rtts: ["10ms", "5ms"]}}',
            "RTT threshold values [10ms 5ms] should be in ascending order",
        ),
        (
            'cluster {compression {mode: auto, rtts: ["1ms", "2ms", "3ms", "4ms", "5ms"]}}',
            'compression mode "s2_auto" should have no more than 4 RTT thresholds: [1ms 2ms 3ms 4ms 5ms]',
        ),
        (
            'cluster {compression {mode: auto, rtts: ["0s", "-5ms"]}}',
            'compression mode "s2_auto" requires at least one RTT threshold',
        ),
        (
            "cluster {port: 1, tls {verify: true}}",
            "TLS of a cluster needs a certificate: each server shows its own, whoever dials",
        ),
        (
            'lame_duck_duration: "30s", lame_duck_grace_period: "30s"',
            "lame duck grace period (30s) should be strictly lower than lame duck duration (30s)",
        ),
        ("max_payload: 2000, max_pending: 1000", "max_payload (2000) cannot be higher than max_pending (1000)"),
        ("no_auth_user: zz", 'no_auth_user: "zz" present, but users/nkeys are not defined'),
        (
            f"{USERS}no_auth_user: zz",
            'no_auth_user: "zz" not present as user or nkey in authorization block or account configuration',
        ),
        ("system_account: zz", "error resolving system account: account missing"),
        ("websocket {port: 1}", "websocket requires TLS configuration"),
        (WEBSOCKET % "no_auth_user: zz", 'no_auth_user: "zz" present, but users/nkeys are not defined'),
        (
            USERS + WEBSOCKET % "authorization {user: b, password: c}",
            "websocket authentication username not compatible with presence of users/nkeys",
        ),
        (
            USERS + WEBSOCKET % "authorization {token: c}",
            "websocket authentication token not compatible with presence of users/nkeys",
        ),
        (
            WEBSOCKET % "jwt_cookie: x",
            'trusted operators or trusted keys configuration is required for JWT authentication via cookie "x"',
        ),
        (WEBSOCKET % "headers {Host: a}", 'websocket: invalid header "Host" not allowed'),
        (
            WEBSOCKET % 'headers {"Sec-WebSocket-Foo": a}',
            'websocket: invalid header "Sec-WebSocket-Foo", "Sec-WebSocket-" prefix not allowed',
        ),
        (WEBSOCKET % 'origin: "x"', 'unable to parse allowed origin: parse "x": invalid URI for request'),
        (WEBSOCKET % 'origin: ""', 'unable to parse allowed origin: parse "": empty url'),
        (
            WEBSOCKET % 'origin: "http://x:y"',
            'unable to parse allowed origin: parse "http://x:y": invalid port ":y" after host',
        ),
        (
            WEBSOCKET % 'origin: "http://a b"',
            'unable to parse allowed origin: parse "http://a b": invalid character " " in host name',
        ),
        (
            WEBSOCKET % 'origin: "http://[::1"',
            "unable to parse allowed origin: parse \"http://[::1\": missing ']' in host",
        ),
        (WEBSOCKET % 'origin: "http://"', 'unable to parse allowed origin "http://": host is required'),
        *(
            (
                WEBSOCKET % f'origin: "{origin}"',
                f'unable to parse allowed origin "{origin}": '
                "allowed origins must be absolute URLs with http or https scheme",
            )
            for origin in ("/z", "//x", "ftp://x", "file:///x", "*")
        ),
        (
            'client_advertise: "x:y"',
            'Error setting server INFO with ClientAdvertise value of x:y, err=strconv.Atoi: parsing "y": invalid syntax',
        ),
        (
            "http: 1, https: 2",
            "Can't start monitoring: can't specify both HTTP (1) and HTTPs (2) ports",
        ),
        (
            "cluster: {port: 1, pool_size: -1, accounts: [X]}",
            "pool_size cannot be negative if pinned accounts are specified",
        ),
        (
            'cluster: {port: 1, accounts: ["X", "X"]}',
            'found duplicate account name "X" in pinned accounts list ["X" "X" "$SYS"]',
        ),
        ("https: 2", "Can't start monitoring: TLS cert and key required for HTTPS"),
        ("port: 65536", "port wants a number from 0 to 65535, or -1 for a free one, got 65536"),
        ("http: -2", "http_port wants a number from 0 to 65535, or -1 for a free one, got -2"),
    ],
)
def test_contradictions_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        validate_options(load(text, files=tls_files()).options)
    assert str(refusal.value) == reason


@pytest.mark.parametrize("header", ['"X\\r\\nY": a', '"X Y": a', 'X: "a\\r\\nSet-Cookie: b"', '"": a'])
def test_headers_cannot_smuggle_others(header: str) -> None:
    options = load(WEBSOCKET % f"headers {{{header}}}").options
    with pytest.raises(ValidationError, match="websocket: invalid"):
        validate_options(options)
