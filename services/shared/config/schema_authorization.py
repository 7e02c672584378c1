"""The `authorization` block and lists of users, which `accounts` has too (reference: operations 2.6, security 1.5).

A user or an nkey may appear once in the whole file; the pass remembers which it has seen.
"""

from __future__ import annotations

from typing import Final

from services.shared.config.assembly import assemble
from services.shared.config.errors import OptionProblem, Position
from services.shared.config.options import AuthorizationOptions, UserOptions
from services.shared.config.parser import Value
from services.shared.config.reading import (
    Entry,
    Reading,
    boolean,
    go_type,
    last_position,
    map_of,
    read_block,
    seconds_or_duration,
    show,
    string,
    table,
    unknown_field,
    warn_high_timeout,
)
from services.shared.config.schema_permissions import permissions
from services.shared.config.unsupported import refuse_unsupported
from services.shared.identity.permissions import Permissions
from services.shared.records.record import replace
from services.shared.wire.quote import quote

CONNECTION_TYPES: Final = frozenset(
    ("STANDARD", "WEBSOCKET", "LEAFNODE", "LEAFNODE_WS", "MQTT", "MQTT_WS", "IN_PROCESS")
)


def authorization(entry: Entry) -> AuthorizationOptions:
    """The `authorization` block, its default permissions filled into the users that have none of their own."""
    block = map_of(entry.value)
    fields = read_block(block, _RULES, entry.reading, unknown=_unknown)
    has_users = "users" in fields or bool(entry.reading.users or entry.reading.nkeys)
    options = assemble(AuthorizationOptions(defined=True), fields)
    if (options.user or options.password) and options.token:
        raise entry.problem("Cannot have a user/pass and token")
    if has_users and options.user:
        raise entry.problem("Can not have a single user/pass and a users array")
    if has_users and options.token:
        raise entry.problem("Can not have a token and a users array")
    if options.user or options.token:
        entry.reading.single_identity = "single user/pass" if options.user else "token"
    claim_users(options.users, at=entry.value.at, reading=entry.reading)
    return replace(options, users=with_default_permissions(options.users, options.permissions))


def users(entry: Entry) -> tuple[UserOptions, ...]:
    """A `users` array. Entries that are wrong are reported one by one."""
    if not isinstance(entry.value.data, list):
        raise entry.problem(f"Expected users field to be an array, got {show(entry.value.data)}")
    parsed: list[UserOptions] = []
    for element in entry.value.data:
        try:
            user = _user(element, entry.reading)
            if user is not None:
                parsed.append(user)
        except OptionProblem as problem:
            entry.reading.problems.refuse(problem.message, at=problem.at)
    return tuple(parsed)


def claim_users(parsed: tuple[UserOptions, ...], *, at: Position, reading: Reading) -> None:
    """Refuses users and nkeys that this file has named before."""
    for user in parsed:
        kind, name, seen = ("nkey", user.nkey, reading.nkeys) if user.nkey else ("user", user.user, reading.users)
        if name in seen:
            raise OptionProblem(f"Duplicate {kind} {quote(name)} detected", at=at)
        seen.add(name)


def with_default_permissions(parsed: tuple[UserOptions, ...], default: Permissions | None) -> tuple[UserOptions, ...]:
    """The users, those without permissions of their own having the default ones."""
    if default is None:
        return parsed
    return tuple(user if user.permissions is not None else replace(user, permissions=default) for user in parsed)


def _user(element: Value, reading: Reading) -> UserOptions | None:
    """One user, or None when its name was refused already."""
    if not isinstance(element.data, dict):
        raise OptionProblem(f"Expected user entry to be a map/struct, got {show(element.data)}", at=element.at)
    refused_before = reading.problems.refused
    user = assemble(UserOptions(), read_block(element.data, _USER_RULES, reading))
    if reading.problems.refused > refused_before:
        return user if user.user or user.nkey else None
    at = last_position(element.data, element.at)
    if not user.user and not user.nkey:
        raise OptionProblem("User entry requires a user", at=at)
    if not user.nkey:
        return user
    if not _is_user_key(user.nkey):
        raise OptionProblem("Not a valid public nkey for a user", at=at)
    if user.user or user.password:
        raise OptionProblem("Nkey users do not take usernames or passwords", at=at)
    return user


def _is_user_key(text: str) -> bool:
    from services.shared.identity.nkeys import KeyKind, is_public  # Only files with nkeys pay for it.

    return is_public(text, KeyKind.USER)


def _unknown(entry: Entry) -> None:
    refuse_unsupported("authorization", entry)
    unknown_field(entry)


def timeout(entry: Entry) -> int:
    """The authentication time-out in nanoseconds."""
    timeout_ns = seconds_or_duration(entry, what="authorization")
    warn_high_timeout(entry, timeout_ns=timeout_ns)
    return timeout_ns


def _connection_types(entry: Entry) -> tuple[str, ...]:
    match entry.value.data:
        case str():
            names = [entry.value.data]
        case list():
            names = [_connection_type(element) for element in entry.value.data]
        case other:
            raise entry.problem(f"error parsing allowed connection types: unsupported type {go_type(other)}")
    types = tuple(name.upper() for name in names)
    unknown = [name for name in types if name not in CONNECTION_TYPES]
    if unknown:
        raise entry.problem(f"invalid connection types [{' '.join(map(quote, unknown))}]")
    return types


def _connection_type(element: Value) -> str:
    if isinstance(element.data, str):
        return element.data
    raise OptionProblem(
        f"error parsing allowed connection types: unsupported type in array {go_type(element.data)}", at=element.at
    )


_USER_RULES: Final = table(
    ("user username", "user", string),
    ("password pass", "password", string),
    ("nkey", "nkey", string),
    ("permissions permission authorization", "permissions", permissions),
    ("allowed_connection_types connection_types clients", "connection_types", _connection_types),
    ("proxy_required", "proxy_required", boolean),
)
_RULES: Final = table(
    ("user username", "user", string),
    ("password pass", "password", string),
    ("token", "token", string),
    ("timeout", "timeout_ns", timeout),
    ("users", "users", users),
    ("default_permissions default_permission permissions", "permissions", permissions),
    ("proxy_required", "proxy_required", boolean),
)
