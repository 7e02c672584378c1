"""What the options of a file mean: the top-level table, and the way from a parsed map to `Options`.

Promise: every name that nats-server accepts is either read into a field or refused with a sentence (`unsupported`);
anything else is an unknown field (reference: operations 2.1). All problems of a pass are found in one go.
"""

from __future__ import annotations

from typing import Final

from services.shared.config.assembly import Fields, assemble
from services.shared.config.errors import Problems
from services.shared.config.includes import ReadFile
from services.shared.config.options import (
    AccountOptions,
    AuthorizationOptions,
    ClusterOptions,
    FleetOptions,
    Options,
    ProxiesOptions,
    SubjectMapping,
    TlsOptions,
    WebsocketOptions,
)
from services.shared.config.parser import ConfigMap
from services.shared.config.reading import (
    Entry,
    Reading,
    boolean,
    duration,
    go_type,
    host_port,
    int32,
    integer,
    map_of,
    read_block,
    string,
    string_of,
    table,
    unknown_field,
)
from services.shared.config.schema_logging import LOGGING
from services.shared.config.units import SECOND, DurationError, format_duration, parse_duration_ns

_LAME_DUCK_MIN_NS: Final = 30 * SECOND
_SUB_TOKENS_MAX: Final = 255
_WRITE_TIMEOUTS: Final = ("default", "close", "retry")


def interpret(config: ConfigMap, *, file: str, read_file: ReadFile, onto: Options) -> tuple[Options, Problems]:
    """`onto` with the options of the file, and everything there is to complain about."""
    problems = Problems()
    if not config:
        problems.warn_empty(file)
    fields = read_block(config, _RULES, Reading(problems=problems, read_file=read_file), unknown=_unknown)
    return assemble(onto, fields), problems


def _unknown(entry: Entry) -> None:
    from services.shared.config.unsupported import is_switched_off, refuse_unsupported

    refuse_unsupported("top level", entry)
    if not is_switched_off("top level", entry):
        unknown_field(entry)


# Blocks. A file pays for the tables of the blocks that it has.


def _accounts(entry: Entry) -> tuple[AccountOptions, ...]:
    from services.shared.config.schema_accounts import accounts

    return accounts(entry)


def _authorization(entry: Entry) -> AuthorizationOptions:
    from services.shared.config.schema_authorization import authorization

    return authorization(entry)


def _cluster(entry: Entry) -> ClusterOptions:
    from services.shared.config.schema_cluster import cluster

    return cluster(entry)


def _fleet(entry: Entry) -> FleetOptions:
    from services.shared.config.schema_fleet import fleet

    return fleet(entry)


def _mappings(entry: Entry) -> tuple[SubjectMapping, ...]:
    from services.shared.config.schema_mappings import mappings

    return mappings(entry)


def _proxies(entry: Entry) -> ProxiesOptions:
    from services.shared.config.schema_proxies import proxies

    return proxies(entry)


def _tls(entry: Entry) -> TlsOptions:
    from services.shared.config.schema_tls import tls

    return tls(entry)


def _websocket(entry: Entry) -> WebsocketOptions:
    from services.shared.config.schema_websocket import websocket

    return websocket(entry)


# Conversions that only the top level needs.


def _listen(entry: Entry) -> Fields:
    host, port = host_port(entry)
    return {"host": host, "port": port}


def _http(entry: Entry) -> Fields:
    host, port = host_port(entry)
    return {"http_host": host, "http_port": port}


def _https(entry: Entry) -> Fields:
    host, port = host_port(entry)
    return {"http_host": host, "https_port": port}


def _server_name(entry: Entry) -> str:
    name = string(entry)
    if " " in name:
        raise entry.problem("server name cannot contain spaces")
    return name


def _server_tags(entry: Entry) -> tuple[str, ...]:
    match entry.value.data:
        case str():
            tags = [entry.value.data]
        case list():
            tags = [element.data for element in entry.value.data if isinstance(element.data, str)]
            if len(tags) != len(entry.value.data):
                raise entry.problem("error parsing tags: unsupported type *conf.token where string is expected")
        case other:
            raise entry.problem(f"error parsing tags: unsupported type {go_type(other)}")
    return tuple(dict.fromkeys(tag.strip().lower() for tag in tags if tag.strip()))


def _server_metadata(entry: Entry) -> Fields:
    if not isinstance(entry.value.data, dict):
        raise entry.problem(f"error parsing metadata: unsupported type {go_type(entry.value.data)}")
    return {"server_metadata": {key: string_of(value) for key, value in map_of(entry.value).items()}}


def _max_connections(entry: Entry) -> int:
    return max(0, integer(entry))


def _max_sub_tokens(entry: Entry) -> int:
    tokens = integer(entry)
    if tokens > _SUB_TOKENS_MAX:
        raise entry.problem(f"{entry.key} value is too big")
    if tokens <= 0:
        raise entry.problem(f"{entry.key} value can not be negative")
    return tokens


def _write_timeout(entry: Entry) -> str:
    policy = string(entry)
    if policy not in _WRITE_TIMEOUTS:
        raise entry.problem("write_timeout must be 'default', 'close' or 'retry'")
    return policy


def _strict_duration(entry: Entry) -> int:
    try:
        return parse_duration_ns(string(entry))
    except DurationError as error:
        raise entry.problem(f"error parsing {entry.key.lower()}: {error}") from None


def _lame_duck_duration(entry: Entry) -> int:
    duration_ns = _strict_duration(entry)
    if duration_ns < _LAME_DUCK_MIN_NS:
        raise entry.problem(f"invalid lame_duck_duration of {format_duration(duration_ns)}, minimum is 30 seconds")
    return duration_ns


def _lame_duck_grace_period(entry: Entry) -> int:
    grace_ns = _strict_duration(entry)
    if grace_ns < 0:
        raise entry.problem("invalid lame_duck_grace_period, needs to be positive")
    return grace_ns


def _system_account(entry: Entry) -> str:
    if not isinstance(entry.value.data, str):
        raise entry.problem("system account name must be a string")
    return entry.value.data


def _store_dir(entry: Entry) -> str:
    if entry.reading.store_dir_seen:
        raise entry.problem("Duplicate 'store_dir' configuration")
    entry.reading.store_dir_seen = True
    return string(entry)


_RULES: Final = {
    **LOGGING,
    **table(
        ("listen", "*", _listen),
        ("host net", "host", string),
        ("port", "port", integer),
        ("client_advertise", "client_advertise", string),
        ("server_name", "server_name", _server_name),
        ("server_tags", "server_tags", _server_tags),
        ("server_metadata", "*", _server_metadata),
        ("pid_file pidfile", "pid_file", string),
        ("ports_file_dir", "ports_file_dir", string),
        ("http", "*", _http),
        ("https", "*", _https),
        ("http_port monitor_port", "http_port", integer),
        ("https_port", "https_port", integer),
        ("http_base_path", "http_base_path", string),
        ("max_connections max_conn", "max_connections", _max_connections),
        ("max_subscriptions max_subs", "max_subscriptions", integer),
        ("max_sub_tokens max_subscription_tokens", "max_sub_tokens", _max_sub_tokens),
        ("max_control_line", "max_control_line_bytes", int32),
        ("max_payload", "max_payload_bytes", int32),
        ("max_pending", "max_pending_bytes", integer),
        ("max_closed_clients", "max_closed_clients", integer),
        ("ping_interval", "ping_interval_ns", duration),
        ("ping_max", "ping_max", integer),
        ("write_deadline", "write_deadline_ns", duration),
        ("write_timeout", "write_timeout", _write_timeout),
        ("lame_duck_duration", "lame_duck_duration_ns", _lame_duck_duration),
        ("lame_duck_grace_period", "lame_duck_grace_ns", _lame_duck_grace_period),
        ("connect_error_reports", "connect_error_reports", integer),
        ("reconnect_error_reports", "reconnect_error_reports", integer),
        ("no_fast_producer_stall", "no_fast_producer_stall", boolean),
        ("proxy_protocol", "proxy_protocol", boolean),
        ("disable_sublist_cache no_sublist_cache", "no_sublist_cache", boolean),
        ("no_header_support", "no_header_support", boolean),
        ("authorization", "authorization", _authorization),
        ("no_auth_user", "no_auth_user", string),
        ("accounts", "accounts", _accounts),
        ("system_account system", "system_account", _system_account),
        ("no_system_account no_system no_sys_acc", "no_system_account", boolean),
        ("mappings maps", "mappings", _mappings),
        ("tls", "tls", _tls),
        ("allow_non_tls", "allow_non_tls", boolean),
        ("websocket ws", "websocket", _websocket),
        ("cluster", "cluster", _cluster),
        ("proxies", "proxies", _proxies),
        ("store_dir storedir", "store_dir", _store_dir),
        ("fleet", "fleet", _fleet),
    ),
}
