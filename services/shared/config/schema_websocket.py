"""The `websocket` block (reference: operations 2.10)."""

from __future__ import annotations

from typing import Final

from services.shared.config.assembly import assemble
from services.shared.config.errors import OptionProblem
from services.shared.config.options import AuthorizationOptions, WebsocketOptions
from services.shared.config.parser import Value
from services.shared.config.reading import (
    Entry,
    boolean,
    duration,
    go_type,
    host_port,
    integer,
    map_of,
    read_block,
    seconds_or_duration,
    string,
    table,
)
from services.shared.config.schema_tls import tls
from services.shared.config.units import SECOND, DurationError, parse_duration_ns

DEFAULT_HOST: Final = "0.0.0.0"


def websocket(entry: Entry) -> WebsocketOptions:
    """The listener for WebSocket clients; port 0 means there is none."""
    if not isinstance(entry.value.data, dict):
        raise entry.problem(f"Expected websocket to be a map, got {go_type(entry.value.data)}")
    return assemble(WebsocketOptions(), read_block(entry.value.data, _RULES, entry.reading))


def _listen(entry: Entry) -> dict[str, object]:
    host, port = host_port(entry)
    return {"host": host or DEFAULT_HOST, "port": port}


def _host(entry: Entry) -> str:
    return string(entry) or DEFAULT_HOST


def _allowed_origins(entry: Entry) -> tuple[str, ...]:
    match entry.value.data:
        case str():
            return (entry.value.data,)
        case list():
            return tuple(_origin(element) for element in entry.value.data)
        case other:
            raise entry.problem(f"error parsing allowed origins: unsupported type {go_type(other)}")


def _origin(element: Value) -> str:
    if isinstance(element.data, str):
        return element.data
    raise OptionProblem(
        f"error parsing allowed origins: unsupported type in array {go_type(element.data)}", at=element.at
    )


def _handshake_timeout(entry: Entry) -> int:
    data = entry.value.data
    if isinstance(data, int) and not isinstance(data, bool):
        return data * SECOND
    if not isinstance(data, str):
        raise entry.problem(f"error parsing handshake timeout: unsupported type {go_type(data)}")
    try:
        return parse_duration_ns(data)
    except DurationError as error:
        raise entry.problem(str(error)) from None


def _authorization(entry: Entry) -> dict[str, object]:
    fields = read_block(map_of(entry.value), _AUTHORIZATION_RULES, entry.reading)
    options = assemble(AuthorizationOptions(), fields)
    return {
        "user": options.user,
        "password": options.password,
        "token": options.token,
        "auth_timeout_ns": options.timeout_ns,
    }


def _timeout(entry: Entry) -> int:
    return seconds_or_duration(entry, what="authorization")


def _headers(entry: Entry) -> dict[str, object]:
    if not isinstance(entry.value.data, dict):
        raise entry.problem(f"error parsing headers: unsupported type {go_type(entry.value.data)}")
    headers: dict[str, str] = {}
    for key, value in entry.value.data.items():
        if not isinstance(value.data, str):
            raise OptionProblem(f"error parsing header key {key}: unsupported type {go_type(value.data)}", at=value.at)
        headers[key] = value.data
    return {"headers": headers}


_RULES: Final = table(
    ("listen", "*", _listen),
    ("host net", "host", _host),
    ("port", "port", integer),
    ("advertise", "advertise", string),
    ("no_tls", "no_tls", boolean),
    ("tls", "tls", tls),
    ("same_origin", "same_origin", boolean),
    ("allowed_origins allowed_origin allow_origins allow_origin origins origin", "allowed_origins", _allowed_origins),
    ("compression compress", "compression", boolean),
    ("handshake_timeout", "handshake_timeout_ns", _handshake_timeout),
    ("no_auth_user", "no_auth_user", string),
    ("jwt_cookie", "jwt_cookie", string),
    ("user_cookie", "user_cookie", string),
    ("pass_cookie", "pass_cookie", string),
    ("token_cookie", "token_cookie", string),
    ("authorization authentication", "*", _authorization),
    ("headers", "*", _headers),
    ("ping_interval", "ping_interval_ns", duration),
)
_AUTHORIZATION_RULES: Final = table(
    ("user username", "user", string),
    ("password pass", "password", string),
    ("token", "token", string),
    ("timeout", "timeout_ns", _timeout),
)
