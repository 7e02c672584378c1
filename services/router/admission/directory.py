"""Everybody who may connect, compiled from the options into one immutable value (reference: security 1.2, 1.8, 5.1).

A reload compiles another one and swaps the reference; connections keep what they were admitted with until `recheck`.
Absent on purpose: JWTs and auth callout, which the configuration refuses until they are built.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from services.router.admission.errors import DirectoryError
from services.shared.identity.distinguished_names import DistinguishedName, parse_name
from services.shared.identity.errors import NameSyntaxError
from services.shared.identity.passwords import is_bcrypt
from services.shared.identity.permissions import UNLIMITED, Permissions
from services.shared.records.record import field, record
from services.shared.wire.quote import quote

if TYPE_CHECKING:
    from services.shared.config.options import (
        AccountOptions,
        AuthorizationOptions,
        Options,
        TlsOptions,
        UserOptions,
        WebsocketOptions,
    )

GLOBAL_ACCOUNT: Final = "$G"
SYSTEM_ACCOUNT: Final = "$SYS"
SYNTHETIC_SECRET_CHARS: Final = 8

AUTH_TIMEOUT_NS: Final = 2_000_000_000
TLS_GRACE_NS: Final = 1_000_000_000
"""Added to the timeout of the TLS handshake to make the default time for CONNECT."""

PLAINTEXT_WARNING: Final = "Plaintext passwords detected, use nkeys or bcrypt"


class Listener(Enum):
    """Where a connection came in; each has its own rules."""

    CLIENT = "client"
    WEBSOCKET = "websocket"


class ConnectionType(Enum):
    """How a connection speaks; users may be limited to some (reference: security 1.13)."""

    STANDARD = "STANDARD"
    WEBSOCKET = "WEBSOCKET"
    LEAFNODE = "LEAFNODE"
    LEAFNODE_WS = "LEAFNODE_WS"
    MQTT = "MQTT"
    MQTT_WS = "MQTT_WS"
    IN_PROCESS = "IN_PROCESS"


class UserKind(Enum):
    """What proves that somebody is this user."""

    PASSWORD = "password"
    NKEY = "nkey"
    SINGLE = "single"
    """The one user of an `authorization` or `websocket` block."""
    TOKEN = "token"


@record
class Account:
    """An account that connections can be bound to. Limits are -1 where there is none."""

    name: str
    max_connections: int = UNLIMITED
    max_subscriptions: int = UNLIMITED
    max_payload_bytes: int = UNLIMITED
    is_system: bool = False


@record
class User:
    """Somebody who may connect. `name` is the user name, the public nkey, or empty for a token.

    `secret` is the password or token as configured: plain or bcrypt. An empty `connection_types` allows all of them.
    `certificate_only`: there is no password, and some listener could map a certificate to this user, so that an empty
    password proves nothing elsewhere.
    """

    kind: UserKind
    name: str
    secret: str = field(default="", repr=False)
    account: str = GLOBAL_ACCOUNT
    permissions: Permissions | None = None
    connection_types: frozenset[ConnectionType] = frozenset()
    proxy_required: bool = False
    certificate_only: bool = False

    def allows(self, connection_type: ConnectionType) -> bool:
        """True when this user may connect that way."""
        return not self.connection_types or connection_type in self.connection_types


@record
class ListenerPolicy:
    """What one listener asks of those who connect.

    `auth_advertised` is `auth_required` of the first INFO, which a no_auth_user hides. `single` is the user or token
    that counts where there are no users. `auth_timeout_ns` is None when nothing is asked for.
    """

    auth_required: bool
    auth_advertised: bool
    auth_timeout_ns: int | None
    map_certificates: bool = False
    no_auth_user: str = ""
    single: User | None = None
    proxy_required: bool = False


@record
class Directory:
    """Accounts, users and listeners of one configuration.

    `users` are found by name and `nkeys` by public key; `names` are the users whose name is a distinguished name, kept
    only where certificates are mapped. `max_subscriptions` and `max_payload_bytes` are the server's own limits.
    `trusted_proxies` are the public nkeys of proxies that may stand before clients.
    """

    accounts: Mapping[str, Account]
    system_account: str | None
    users: Mapping[str, User]
    nkeys: Mapping[str, User]
    names: tuple[tuple[DistinguishedName, User], ...]
    listeners: Mapping[Listener, ListenerPolicy]
    nonce_required: bool
    headers_supported: bool
    max_payload_bytes: int
    max_subscriptions: int
    plaintext_passwords: bool
    trusted_proxies: tuple[str, ...] = ()

    @property
    def auth_required(self) -> bool:
        """`auth_required` of every INFO after the first."""
        return self.listeners[Listener.CLIENT].auth_required


def compile_directory(options: Options, *, synthetic_secret: str) -> Directory:
    """Compiles the options; raises DirectoryError when they cannot be enforced together.

    `synthetic_secret`: 8 random base62 characters that stay the same for the life of the process. They name the user
    that anonymous clients become when nothing but a system account is configured (reference: security 1.8).
    """
    system = _system_account(options)
    accounts = {account.name: account for account in _accounts(options, system=system)}
    if system is not None and system not in accounts:
        raise DirectoryError("error resolving system account: account missing")
    mapped_types = frozenset(_mapped_types(options))
    configured = list(_configured_users(options, mapped_types=mapped_types))
    _refuse_contradictions(options, configured)
    synthetic = _synthetic_user(options, system=system, secret=synthetic_secret)
    users = _by_name((*configured, *synthetic))
    trusted_proxies = options.proxies.trusted if options.proxies is not None else ()
    return Directory(
        accounts=MappingProxyType(accounts),
        system_account=system,
        users=MappingProxyType({name: user for name, user in users.items() if user.kind is UserKind.PASSWORD}),
        nkeys=MappingProxyType({name: user for name, user in users.items() if user.kind is UserKind.NKEY}),
        names=tuple(_names(configured)) if mapped_types else (),
        listeners=MappingProxyType(_listeners(options, users=users, synthetic=synthetic)),
        nonce_required=bool(trusted_proxies) or any(user.kind is UserKind.NKEY for user in configured),
        headers_supported=not options.no_header_support,
        max_payload_bytes=options.max_payload_bytes,
        max_subscriptions=options.max_subscriptions or UNLIMITED,
        plaintext_passwords=_has_plaintext(options, configured),
        trusted_proxies=trusted_proxies,
    )


def _system_account(options: Options) -> str | None:
    declared = any(account.name == SYSTEM_ACCOUNT for account in options.accounts)
    if options.system_account:
        return options.system_account
    return SYSTEM_ACCOUNT if declared or not options.no_system_account else None


def _accounts(options: Options, *, system: str | None) -> Iterator[Account]:
    yield Account(name=GLOBAL_ACCOUNT, is_system=system == GLOBAL_ACCOUNT)
    for account in options.accounts:
        if account.name == GLOBAL_ACCOUNT:
            raise DirectoryError(f'"{GLOBAL_ACCOUNT}" is a Reserved Account')
        yield _account(account, is_system=account.name == system)
    declared = {account.name for account in options.accounts}
    if not options.system_account and system is not None and system not in declared:
        yield Account(name=system, is_system=True)


def _account(account: AccountOptions, *, is_system: bool) -> Account:
    limits = account.limits
    return Account(
        name=account.name,
        max_connections=limits.max_connections,
        max_subscriptions=limits.max_subscriptions,
        max_payload_bytes=limits.max_payload_bytes,
        is_system=is_system,
    )


def _mapped_types(options: Options) -> Iterator[ConnectionType]:
    """The connection types that some listener maps certificates for."""
    if _maps(options.tls):
        yield ConnectionType.STANDARD
    if options.websocket is not None and _maps(options.websocket.tls):
        yield ConnectionType.WEBSOCKET


def _maps(tls: TlsOptions | None) -> bool:
    return tls is not None and tls.verify_and_map


def _configured_users(options: Options, *, mapped_types: frozenset[ConnectionType]) -> Iterator[User]:
    for user in options.authorization.users:
        yield _user(user, account=GLOBAL_ACCOUNT, mapped_types=mapped_types)
    for account in options.accounts:
        for user in account.users:
            yield _user(user, account=account.name, mapped_types=mapped_types)


def _user(user: UserOptions, *, account: str, mapped_types: frozenset[ConnectionType]) -> User:
    types = _connection_types(user.connection_types)
    mappable = bool(mapped_types & types if types else mapped_types)
    return User(
        kind=UserKind.NKEY if user.nkey else UserKind.PASSWORD,
        name=user.nkey or user.user,
        secret="" if user.nkey else user.password,
        account=account,
        permissions=user.permissions,
        connection_types=types,
        proxy_required=user.proxy_required,
        certificate_only=mappable and not user.nkey and not user.password,
    )


def _connection_types(names: tuple[str, ...]) -> frozenset[ConnectionType]:
    wanted = [name.upper() for name in names]
    unknown = [name for name in wanted if name not in ConnectionType.__members__]
    if unknown:
        raise DirectoryError(f"invalid connection types [{' '.join(map(quote, unknown))}]")
    return frozenset(ConnectionType[name] for name in wanted)


def _by_name(users: Iterable[User]) -> dict[str, User]:
    found: dict[str, User] = {}
    for user in users:
        if user.name in found:
            what = "nkey" if user.kind is UserKind.NKEY else "user"
            raise DirectoryError(f"Duplicate {what} {quote(user.name)} detected")
        found[user.name] = user
    return found


def _names(users: Iterable[User]) -> Iterator[tuple[DistinguishedName, User]]:
    for user in users:
        if user.kind is UserKind.PASSWORD:
            try:
                yield parse_name(user.name), user
            except NameSyntaxError:
                continue  # an ordinary user name


def _synthetic_user(options: Options, *, system: str | None, secret: str) -> tuple[User, ...]:
    """The invented user, or nothing: only for a configuration of exactly the system account, without more."""
    only_system = [account.name for account in options.accounts] == [system]
    block = options.authorization
    without_block = not block.defined and block == type(block)()
    if not only_system or not without_block or options.no_auth_user:
        return ()
    return (User(kind=UserKind.PASSWORD, name=f"nats-{secret}", secret=secret),)


def _listeners(
    options: Options, *, users: Mapping[str, User], synthetic: tuple[User, ...]
) -> dict[Listener, ListenerPolicy]:
    block = options.authorization
    single = _single(block, proxy_required=block.proxy_required)
    required = bool(users) or single is not None
    timeout_ns = block.timeout_ns or _default_timeout_ns(options.tls)
    client = ListenerPolicy(
        auth_required=required,
        auth_advertised=required and not options.no_auth_user,
        auth_timeout_ns=timeout_ns if required else None,
        map_certificates=_maps(options.tls),
        no_auth_user=options.no_auth_user or "".join(user.name for user in synthetic),
        single=single,
        proxy_required=block.proxy_required,
    )
    listeners = {Listener.CLIENT: client}
    websocket = options.websocket
    if websocket is not None:
        own = _single(websocket, proxy_required=block.proxy_required)
        overrides = own is not None or bool(websocket.no_auth_user)
        required = required or overrides
        listeners[Listener.WEBSOCKET] = ListenerPolicy(
            auth_required=required,
            auth_advertised=required,
            auth_timeout_ns=(websocket.auth_timeout_ns or timeout_ns) if required else None,
            map_certificates=_maps(websocket.tls),
            no_auth_user=websocket.no_auth_user if overrides else client.no_auth_user,
            single=own if overrides else single,
            proxy_required=client.proxy_required,
        )
    return listeners


def _single(block: AuthorizationOptions | WebsocketOptions, *, proxy_required: bool) -> User | None:
    if block.token:
        return User(kind=UserKind.TOKEN, name="", secret=block.token, proxy_required=proxy_required)
    if not block.user:
        return None
    return User(kind=UserKind.SINGLE, name=block.user, secret=block.password, proxy_required=proxy_required)


def _default_timeout_ns(tls: TlsOptions | None) -> int:
    return AUTH_TIMEOUT_NS if tls is None else tls.timeout_ns + TLS_GRACE_NS


def _refuse_contradictions(options: Options, users: list[User]) -> None:
    block, websocket = options.authorization, options.websocket
    if block.user and block.token:
        raise DirectoryError("Cannot have a user/pass and token")
    if block.users and block.token:
        raise DirectoryError("Can not have a token and a users array")
    if block.users and block.user:
        raise DirectoryError("Can not have a single user/pass and a users array")
    _refuse_unknown_no_auth_user(options.no_auth_user, users)
    if websocket is None:
        return
    _refuse_unknown_no_auth_user(websocket.no_auth_user, users)
    if users and websocket.user:
        raise DirectoryError("websocket authentication username not compatible with presence of users/nkeys")
    if users and websocket.token:
        raise DirectoryError("websocket authentication token not compatible with presence of users/nkeys")
    if websocket.jwt_cookie:
        raise DirectoryError(
            "trusted operators or trusted keys configuration is required for JWT authentication via cookie "
            + quote(websocket.jwt_cookie)
        )


def _refuse_unknown_no_auth_user(name: str, users: list[User]) -> None:
    if not name or any(user.name == name for user in users):
        return
    if not users:
        raise DirectoryError(f'no_auth_user: "{name}" present, but users/nkeys are not defined')
    raise DirectoryError(
        f'no_auth_user: "{name}" not present as user or nkey in authorization block or account configuration'
    )


def _has_plaintext(options: Options, users: list[User]) -> bool:
    """Whether the start-up warning is due. Tokens do not count, nor users that only a certificate can reach."""
    password = options.authorization.password
    return bool(password and not is_bcrypt(password)) or any(
        user.kind is UserKind.PASSWORD and not user.certificate_only and not is_bcrypt(user.secret) for user in users
    )
