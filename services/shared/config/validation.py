"""Contradictions between options, found before a node starts and before a reload (reference: operations 2.13).

Not part of `-t`, as with nats-server. Everything here depends on the options alone: whether a port is free or a
directory exists is found out by whoever opens it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from services.shared.config.addresses import split_host_port
from services.shared.config.errors import ValidationError
from services.shared.config.options import ClusterOptions, Options, UserOptions, WebsocketOptions
from services.shared.config.units import format_duration
from services.shared.wire.quote import quote

_PORT_MAX: Final = 65_535
_FORBIDDEN_HEADERS: Final = frozenset(("host", "content-length", "connection", "upgrade", "nats-no-masking"))
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_RESERVED_PREFIX: Final = "Sec-WebSocket-"
_GLOBAL_ACCOUNT: Final = "$G"


def validate_options(options: Options) -> None:
    """Raises ValidationError with the first contradiction."""
    _check_limits(options)
    _check_no_auth_user(options.no_auth_user, options)
    _check_system_account(options)
    if options.websocket is not None and options.websocket.port:
        _check_websocket(options.websocket, options)
    if options.cluster is not None:
        _check_cluster(options.cluster)
        _check_pinned_accounts(options.cluster, "" if options.no_system_account else options.system_account or "$SYS")
    _check_ports(options)
    _check_advertised("Error setting server INFO with ClientAdvertise value of %s, err=", options.client_advertise)
    _check_monitoring(options)
    _check_proxies(options)


def configured_users(options: Options) -> Iterator[UserOptions]:
    """Every user of the configuration, of the authorization block and of all accounts."""
    yield from options.authorization.users
    for account in options.accounts:
        yield from account.users


def _check_limits(options: Options) -> None:
    grace_ns, duration_ns = options.lame_duck_grace_ns, options.lame_duck_duration_ns
    if grace_ns >= duration_ns > 0:
        raise ValidationError(
            f"lame duck grace period ({format_duration(grace_ns)}) should be strictly lower than lame duck duration "
            f"({format_duration(duration_ns)})"
        )
    if options.max_payload_bytes > options.max_pending_bytes:
        raise ValidationError(
            f"max_payload ({options.max_payload_bytes}) cannot be higher than max_pending ({options.max_pending_bytes})"
        )
    if " " in options.server_name:
        raise ValidationError("server name cannot contain spaces")


def _check_proxies(options: Options) -> None:
    """Every trusted proxy has a key: the file may have left one out."""
    if options.proxies is not None and "" in options.proxies.trusted:
        raise ValidationError('proxy trusted key "" is invalid')


def _check_no_auth_user(name: str, options: Options) -> None:
    if not name:
        return
    known = {user.nkey or user.user for user in configured_users(options)}
    if not known:
        raise ValidationError(f"no_auth_user: {quote(name)} present, but users/nkeys are not defined")
    if name not in known:
        raise ValidationError(
            f"no_auth_user: {quote(name)} not present as user or nkey in authorization block or account configuration"
        )


def _check_system_account(options: Options) -> None:
    name = options.system_account
    if name and name != _GLOBAL_ACCOUNT and name not in {account.name for account in options.accounts}:
        raise ValidationError("error resolving system account: account missing")


def _check_websocket(websocket: WebsocketOptions, options: Options) -> None:
    if websocket.tls is None and not websocket.no_tls:
        raise ValidationError("websocket requires TLS configuration")
    for origin in websocket.allowed_origins:
        _check_origin(origin)
    _check_no_auth_user(websocket.no_auth_user, options)
    if any(configured_users(options)):
        for what, value in (("username", websocket.user), ("token", websocket.token)):
            if value:
                raise ValidationError(f"websocket authentication {what} not compatible with presence of users/nkeys")
    if websocket.jwt_cookie:
        raise ValidationError(
            "trusted operators or trusted keys configuration is required for JWT authentication via cookie "
            f"{quote(websocket.jwt_cookie)}"
        )
    for header, value in websocket.headers.items():
        _check_header(header, value)
    _check_advertised("Unable to get websocket connect URLs: ", websocket.advertise)


def _check_cluster(cluster: ClusterOptions) -> None:
    if " " in cluster.name:
        raise ValidationError("cluster name cannot contain spaces")
    if cluster.name == "_":
        raise ValidationError('cluster name "_" is reserved')
    if cluster.compression.mode != "accept":
        # Imported here: few clusters say anything of it.
        from services.shared.config.schema_compression import check_compression

        check_compression(cluster.compression)
    if cluster.tls is not None and not cluster.tls.certificates:
        raise ValidationError("TLS of a cluster needs a certificate: each server shows its own, whoever dials")
    if cluster.routes and not cluster.port:
        raise ValidationError("solicited routes require cluster capabilities, e.g. --cluster")
    _check_advertised("Error setting cluster address with ClusterAdvertise value of %s, err=", cluster.advertise)


def _check_pinned_accounts(cluster: ClusterOptions, system_account: str) -> None:
    """Accounts with a connection of their own; the system account is one by itself."""
    if not cluster.accounts:
        return
    if cluster.pool_size < 0:
        raise ValidationError("pool_size cannot be negative if pinned accounts are specified")
    pinned = cluster.accounts
    if system_account and system_account not in pinned:
        pinned = (*pinned, system_account)
    for name in pinned:
        if pinned.count(name) > 1:
            shown = " ".join(map(quote, pinned))
            raise ValidationError(f"found duplicate account name {quote(name)} in pinned accounts list [{shown}]")


def _check_origin(origin: str) -> None:
    """An origin must be an absolute URL with scheme http or https."""
    scheme, separator, rest = origin.partition("://")
    authority = rest.partition("/")[0]
    reason = ""
    if not origin:
        reason = "empty url"
    elif origin != "*" and not origin.startswith("/") and not (separator and scheme.isascii() and scheme.isalnum()):
        reason = "invalid URI for request"
    elif " " in authority:
        reason = 'invalid character " " in host name'
    elif authority.startswith("[") and "]" not in authority:
        reason = "missing ']' in host"
    elif (
        (port := authority.rpartition(":")[2]) != authority and not port.endswith("]") and port and not port.isdecimal()
    ):
        reason = f"invalid port {quote(':' + port)} after host"
    if reason:
        raise ValidationError(f"unable to parse allowed origin: parse {quote(origin)}: {reason}")
    unfit = f"unable to parse allowed origin {quote(origin)}"
    if scheme.lower() not in ("http", "https") or not separator:
        raise ValidationError(f"{unfit}: allowed origins must be absolute URLs with http or https scheme")
    if not authority:
        raise ValidationError(f"{unfit}: host is required")


def _check_header(header: str, value: str) -> None:
    if header.lower() in _FORBIDDEN_HEADERS:
        raise ValidationError(f"websocket: invalid header {quote(header)} not allowed")
    if header.lower().startswith(_RESERVED_PREFIX.lower()):
        raise ValidationError(
            f"websocket: invalid header {quote(header)}, {quote(_RESERVED_PREFIX)} prefix not allowed"
        )
    # nats-server sends any text as a header, and whatever follows a line break in it.
    if not _HEADER_NAME.fullmatch(header):
        raise ValidationError(f"websocket: invalid header {quote(header)}, wanted the name of a header")
    if not {"\r", "\n", "\0"}.isdisjoint(value):
        raise ValidationError(f"websocket: invalid value {quote(value)} of header {quote(header)}, wanted one line")


def _check_advertised(prefix: str, address: str) -> None:
    """An advertised address is a host or `host:port`."""
    split = split_host_port(address) if address else None
    if split is None or not split[1] or split[1].isdecimal():
        return
    raise ValidationError(f"{prefix.replace('%s', address)}strconv.Atoi: parsing {quote(split[1])}: invalid syntax")


def _check_ports(options: Options) -> None:
    ports = [("port", options.port), ("http_port", options.http_port), ("https_port", options.https_port)]
    if options.websocket is not None:
        ports.append(("websocket port", options.websocket.port))
    if options.cluster is not None:
        ports.append(("cluster port", options.cluster.port))
    for name, port in ports:
        if not -1 <= port <= _PORT_MAX:
            raise ValidationError(f"{name} wants a number from 0 to {_PORT_MAX}, or -1 for a free one, got {port}")


def _check_monitoring(options: Options) -> None:
    if options.http_port and options.https_port:
        raise ValidationError(
            f"Can't start monitoring: can't specify both HTTP ({options.http_port}) and HTTPs ({options.https_port}) "
            "ports"
        )
    if options.https_port and options.tls is None:
        raise ValidationError("Can't start monitoring: TLS cert and key required for HTTPS")
