"""What a reload changes: two sets of options, compared in nats-server's order (reference: operations 4.2).

Promise: `compare` is pure and says everything at once: either the one reason why a running node cannot follow, or the
log lines of the change, the names of the options that differ, and the options to run with from now on. All or nothing:
a refusal means that nothing of the new options may be applied. No text shows a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from services.shared.config.options import ClusterOptions, Options, TlsOptions, UserOptions, WebsocketOptions
from services.shared.config.units import SECOND, format_duration, format_float
from services.shared.config.validation import configured_users
from services.shared.records.record import fields, record, replace
from services.shared.wire.quote import quote

_DEFAULT_SYSTEM_ACCOUNT: Final = "$SYS"
_AUTH_TIMEOUT_DEFAULT_NS: Final = 2 * SECOND
_TLS_TIMEOUT_DEFAULT_NS: Final = 2 * SECOND
_REDACTED: Final = "[REDACTED]"


@record
class Refused:
    """The new configuration cannot be taken over by a running node."""

    reason: str


@record
class Accepted:
    """`lines` go to the log in this order; `changed` has the names of the fields of `Options` that differ."""

    options: Options
    lines: tuple[str, ...]
    changed: frozenset[str]


def compare(*, old: Options, new: Options) -> Refused | Accepted:
    """Decides whether a node that runs with `old` can go on with `new`.

    A port of -1 in `new` keeps the port of `old`, which may be the real one by now.
    """
    new = _keep_free_ports(old, new)
    for name, shown in _FIXED:
        before, after = shown(old), shown(new)
        if before != after:
            return _refuse(name, before, after)
    if _loses_no_auth_user(old, new):
        return _refuse("NoAuthUser", old.no_auth_user, new.no_auth_user)
    if _websocket_without_files(old.websocket) != _websocket_without_files(new.websocket):
        return _refuse("Websocket", _show_websocket(old.websocket), _show_websocket(new.websocket))
    if _fixed_part(old.cluster) != _fixed_part(new.cluster):
        return _refuse("Cluster", _show_cluster(old.cluster), _show_cluster(new.cluster))
    return Accepted(
        options=new,
        lines=(*_lines(old, new), f"Reloaded server configuration ({new.config_digest})"),
        changed=frozenset(
            item.name
            for item in fields(Options)
            if item.name != "config_digest" and getattr(old, item.name) != getattr(new, item.name)
        ),
    )


def _show_cluster(cluster: ClusterOptions | None) -> str:
    """Without credentials, which routes have too."""
    if cluster is None:
        return "none"
    return f"{cluster.name} {cluster.host}:{cluster.port} with {len(cluster.routes)} routes".lstrip()


def _refuse(name: str, old: str, new: str) -> Refused:
    return Refused(reason=f"config reload not supported for {name}: old={old}, new={new}")


def _keep_free_ports(old: Options, new: Options) -> Options:
    if new.port == -1:
        new = replace(new, port=old.port)
    if new.http_port == -1 and old.http_port:
        new = replace(new, http_port=old.http_port)
    if new.https_port == -1 and old.https_port:
        new = replace(new, https_port=old.https_port)
    if new.cluster is not None and new.cluster.port == -1:
        port = old.cluster.port if old.cluster is not None else 0
        new = replace(new, cluster=replace(new.cluster, port=port))
    if new.websocket is not None and new.websocket.port == -1:
        port = old.websocket.port if old.websocket is not None else 0
        new = replace(new, websocket=replace(new.websocket, port=port))
    return new


# What may not change, in the order in which nats-server looks at it.


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _tls_map(options: Options) -> str:
    return _flag(options.tls is not None and options.tls.verify_and_map)


def _tls_rate_limit(options: Options) -> str:
    return str(options.tls.connection_rate_limit if options.tls is not None else 0)


def _system_account(options: Options) -> str:
    return "" if options.system_account == _DEFAULT_SYSTEM_ACCOUNT else options.system_account


_FIXED: Final[tuple[tuple[str, Callable[[Options], str]], ...]] = (
    ("ServerName", lambda options: options.server_name),
    ("Host", lambda options: options.host),
    ("Port", lambda options: str(options.port)),
    ("NoSublistCache", lambda options: _flag(options.no_sublist_cache)),
    ("NoHeaderSupport", lambda options: _flag(options.no_header_support)),
    ("MaxSubs", lambda options: str(options.max_subscriptions)),
    ("MaxSubTokens", lambda options: str(options.max_sub_tokens)),
    ("SystemAccount", _system_account),
    ("NoSystemAccount", lambda options: _flag(options.no_system_account)),
    ("ProxyRequired", lambda options: _flag(options.authorization.proxy_required)),
    ("ProxyProtocol", lambda options: _flag(options.proxy_protocol)),
    ("HTTPHost", lambda options: options.http_host or options.host),
    ("HTTPPort", lambda options: str(options.http_port)),
    ("HTTPBasePath", lambda options: options.http_base_path),
    ("HTTPSPort", lambda options: str(options.https_port)),
    ("MaxPending", lambda options: str(options.max_pending_bytes)),
    ("LogSizeLimit", lambda options: str(options.log.log_size_limit_bytes)),
    ("LogMaxFiles", lambda options: str(options.log.log_max_num)),
    ("TLS", lambda options: _flag(options.tls_from_flags)),
    ("TLSMap", _tls_map),
    ("TLSRateLimit", _tls_rate_limit),
    ("AllowNonTLS", lambda options: _flag(options.allow_non_tls)),
    ("WriteTimeout", lambda options: "" if options.write_timeout == "default" else options.write_timeout),
    ("MaxClosedClients", lambda options: str(options.max_closed_clients)),
    ("LameDuckDuration", lambda options: format_duration(options.lame_duck_duration_ns)),
    ("LameDuckGracePeriod", lambda options: format_duration(options.lame_duck_grace_ns)),
    ("fleet routers", lambda options: str(options.fleet.routers)),
    ("fleet pending_bytes_max", lambda options: str(options.fleet.pending_bytes_max)),
    ("fleet engine_threads", lambda options: str(options.fleet.engine_threads)),
    ("fleet data_dir", lambda options: options.fleet.data_dir),
)


def _loses_no_auth_user(old: Options, new: Options) -> bool:
    """True unless the anonymous user stays the same, or goes together with the user it named."""
    if old.no_auth_user == new.no_auth_user:
        return False
    gone = old.no_auth_user not in {user.nkey or user.user for user in configured_users(new)}
    return not (gone and not new.no_auth_user)


def _fixed_part(cluster: ClusterOptions | None) -> ClusterOptions | None:
    """What must stay the same of the cluster: all but how many routes there are, and how their TLS is done, which holds for
    the next connections."""
    if cluster is None:
        return None
    return replace(cluster, pool_size=0, accounts=(), tls=None if cluster.tls is None else TlsOptions())


def _websocket_without_files(websocket: WebsocketOptions | None) -> WebsocketOptions:
    """What must stay the same of the listener: all but the content of its certificates."""
    if websocket is None:
        return WebsocketOptions(host="")
    if websocket.tls is None:
        return websocket
    tls = websocket.tls
    return replace(
        websocket,
        tls=TlsOptions(verify_and_map=tls.verify_and_map, pinned_certs=tuple(sorted(tls.pinned_certs))),
    )


def _show_websocket(websocket: WebsocketOptions | None) -> str:
    """The block as nats-server prints it, its secrets and its TLS configuration hidden."""
    shown = websocket or WebsocketOptions(host="")
    tls = shown.tls
    pins = " ".join(f"{pin}:{{}}" for pin in sorted(tls.pinned_certs)) if tls is not None else ""
    headers = " ".join(f"{name}:{shown.headers[name]}" for name in sorted(shown.headers))
    parts = (
        shown.host,
        str(shown.port),
        shown.advertise,
        shown.no_auth_user,
        shown.jwt_cookie,
        shown.user_cookie,
        shown.pass_cookie,
        shown.token_cookie,
        shown.user,
        _REDACTED if shown.password else "",
        _REDACTED if shown.token else "",
        _seconds(shown.auth_timeout_ns or 0),
        _flag(shown.no_tls),
        "<nil>" if tls is None else "<tls>",
        _flag(tls is not None and tls.verify_and_map),
        f"map[{pins}]",
        _flag(shown.same_origin),
        f"[{' '.join(shown.allowed_origins)}]",
        _flag(shown.compression),
        format_duration(shown.handshake_timeout_ns),
        format_duration(shown.ping_interval_ns),
        f"map[{headers}]",
        "<nil>" if tls is None else "<tls>",
    )
    return f"{{{' '.join(parts)}}}"


# What did change, in the order of nats-server's log.


def _seconds(duration_ns: int) -> str:
    return format_float(duration_ns / SECOND)


def _lines(old: Options, new: Options) -> Iterator[str]:
    if old.client_advertise != new.client_advertise:
        yield f"Reload: client_advertise = {new.client_advertise}"
    yield from _changed(old, new, _LOG_LINES)
    if old.max_connections != new.max_connections:
        yield f"Reloaded: max_connections = {new.max_connections or -1}"
    if _nkey_users_touched(old, new):
        yield "Reloaded: authorization nkey users"
    yield "Reloaded: authorization users"
    yield "Reloaded: accounts"
    for name, field in (("username", "user"), ("password", "password"), ("token", "token")):
        if getattr(old.authorization, field) != getattr(new.authorization, field):
            yield f"Reloaded: authorization {name}"
    yield from _changed(old, new, _LIMIT_LINES)
    if old.no_fast_producer_stall != new.no_fast_producer_stall:
        yield f"Reloaded: fast producers will {'not ' if new.no_fast_producer_stall else ''}be stalled"
    yield from _changed(old, new, _FILE_LINES)
    yield from _tls_lines(old.tls, new.tls)
    if old.cluster != new.cluster:
        yield "Reloaded: cluster"
    yield from _changed(old, new, _LATE_LINES)
    if old.server_tags != new.server_tags:
        yield "Reloaded: tags"
    if old.server_metadata != new.server_metadata:
        yield "Reloaded: metadata"
    yield from _proxy_lines(_trusted_proxies(old), _trusted_proxies(new))


_Line = tuple[str, Callable[[Options], str]]

_LOG_LINES: Final[tuple[_Line, ...]] = (
    ("trace", lambda options: _flag(options.log.trace)),
    ("debug", lambda options: _flag(options.log.debug)),
    ("trace_verbose", lambda options: _flag(options.log.trace_verbose)),
    ("trace_headers", lambda options: _flag(options.log.trace_headers)),
    ("logtime", lambda options: _flag(options.log.logtime)),
    ("logtime_utc", lambda options: _flag(options.log.logtime_utc)),
)
_LIMIT_LINES: Final[tuple[_Line, ...]] = (
    ("ping_interval", lambda options: format_duration(options.ping_interval_ns)),
    ("ping_max", lambda options: str(options.ping_max)),
    ("authorization timeout", lambda options: _seconds(_auth_timeout_ns(options))),
    ("max_control_line", lambda options: str(options.max_control_line_bytes)),
    ("max_payload", lambda options: str(options.max_payload_bytes)),
)
_FILE_LINES: Final[tuple[_Line, ...]] = (
    ("pid_file", lambda options: options.pid_file),
    ("ports_file_dir", lambda options: options.ports_file_dir),
    ("log_file", lambda options: options.log.log_file),
    ("syslog", lambda options: _flag(options.log.syslog)),
    ("remote_syslog", lambda options: options.log.remote_syslog),
)
_LATE_LINES: Final[tuple[_Line, ...]] = (
    ("write_deadline", lambda options: format_duration(options.write_deadline_ns)),
    ("max_traced_msg_len", lambda options: str(options.log.max_traced_msg_len)),
    ("connect_error_reports", lambda options: str(options.connect_error_reports)),
    ("reconnect_error_reports", lambda options: str(options.reconnect_error_reports)),
)


def _changed(old: Options, new: Options, rows: tuple[_Line, ...]) -> Iterator[str]:
    for name, shown in rows:
        if shown(old) != shown(new):
            yield f"Reloaded: {name} = {shown(new)}"


def _auth_timeout_ns(options: Options) -> int:
    """The time-out in force: the configured one, or two seconds, or what the TLS handshake may take and one more."""
    if options.authorization.timeout_ns:
        return options.authorization.timeout_ns
    return _AUTH_TIMEOUT_DEFAULT_NS if options.tls is None else options.tls.timeout_ns + SECOND


def _nkey_users_touched(old: Options, new: Options) -> bool:
    """nats-server rebuilds the nkey users of accounts on every reload and says so."""
    return _nkey_users(old.authorization.users) != _nkey_users(new.authorization.users) or any(
        _nkey_users(account.users) for account in (*old.accounts, *new.accounts)
    )


def _nkey_users(users: tuple[UserOptions, ...]) -> list[UserOptions]:
    return [user for user in users if user.nkey]


def _tls_lines(old: TlsOptions | None, new: TlsOptions | None) -> Iterator[str]:
    before, after = old or TlsOptions(), new or TlsOptions()
    if before.timeout_ns != after.timeout_ns:
        yield f"Reloaded: tls timeout = {_seconds(after.timeout_ns)}"
    if new is None and old is not None:
        yield "Reloaded: tls = disabled"
    elif new is not None and (old is None or _session_part(old) != _session_part(new)):
        yield "Reloaded: tls = enabled"
    if set(before.pinned_certs) != set(after.pinned_certs):
        yield f"Reloaded: {len(set(after.pinned_certs))} pinned_certs"
    first_before, first_after = before.handshake_first_delay_ns, after.handshake_first_delay_ns
    if (first_before is None) != (first_after is None):
        yield f"Reloaded: Client TLS handshake first: {_flag(first_after is not None)}"
    if (first_before or 0) != (first_after or 0):
        yield f"Reloaded: Client TLS handshake first fallback delay: {format_duration(first_after or 0)}"


def _trusted_proxies(options: Options) -> tuple[str, ...]:
    return () if options.proxies is None else options.proxies.trusted


def _proxy_lines(old: tuple[str, ...], new: tuple[str, ...]) -> Iterator[str]:
    for keys, others, change in ((old, new, "removed"), (new, old, "added")):
        touched = [quote(key) for key in keys if key not in others]
        if touched:
            yield f"Reloaded: proxies trusted keys [{' '.join(touched)}] were {change}"


def _session_part(tls: TlsOptions) -> TlsOptions:
    """What a handshake is made of: not its time-out, and not what is checked after it."""
    return replace(
        tls,
        certificates=(),
        certificates_listed=False,
        timeout_ns=0,
        pinned_certs=(),
        handshake_first_delay_ns=None,
    )
