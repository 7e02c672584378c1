"""The `accounts` block (reference: operations 2.7, security 5.1)."""

from __future__ import annotations

from typing import Final

from services.shared.config.assembly import Fields, assemble
from services.shared.config.errors import OptionProblem, Position
from services.shared.config.options import AccountLimits, AccountOptions, UserOptions
from services.shared.config.parser import ConfigMap, Value
from services.shared.config.reading import (
    INT32_MAX,
    Entry,
    Reading,
    go_type,
    integer_of,
    read_block,
    show,
    string_of,
    table,
    unknown_field,
)
from services.shared.config.schema_authorization import claim_users, users, with_default_permissions
from services.shared.config.schema_mappings import mappings
from services.shared.config.schema_permissions import permissions
from services.shared.config.unsupported import is_switched_off, refuse_unsupported
from services.shared.identity.permissions import Permissions
from services.shared.records.record import replace
from services.shared.wire.quote import quote

GLOBAL_ACCOUNT: Final = "$G"


def accounts(entry: Entry) -> tuple[AccountOptions, ...]:
    """Accounts by name, or an array of names of empty accounts."""
    match entry.value.data:
        case list():
            return _named(entry.value.data)
        case dict():
            parsed = _described(entry.value.data, entry.reading)
            _check_crossings(parsed, entry)
            return parsed
        case other:
            raise entry.problem(f"Expected accounts to be a map or an array of names, got {go_type(other)}")


def _named(elements: list[Value]) -> tuple[AccountOptions, ...]:
    names: list[str] = []
    for element in elements:
        name = string_of(element)
        _check_name(name, at=element.at)
        if name in names:
            raise OptionProblem(f"Duplicate Account Entry: {name}", at=element.at)
        names.append(name)
    return tuple(AccountOptions(name=name) for name in names)


def _described(block: ConfigMap, reading: Reading) -> tuple[AccountOptions, ...]:
    parsed: list[AccountOptions] = []
    for name, value in block.items():
        try:
            if not isinstance(value.data, dict):
                raise OptionProblem("Expected map entries for accounts", at=value.at)
            _check_name(name, at=value.at)
            parsed.append(_account(name, value.data, reading))
        except OptionProblem as problem:
            reading.problems.refuse(problem.message, at=problem.at)
    return tuple(parsed)


def _check_crossings(parsed: tuple[AccountOptions, ...], entry: Entry) -> None:
    """Exports and imports can only be judged together; nats-server points to the whole block then."""
    if not any(
        account.stream_exports or account.service_exports or account.stream_imports or account.service_imports
        for account in parsed
    ):
        return
    from services.shared.config.crossings import find_crossing_faults  # Only files with exports or imports pay for it.

    for fault in find_crossing_faults(parsed):
        entry.reading.problems.refuse(fault, at=entry.value.at)


def _check_name(name: str, *, at: Position) -> None:
    if name == GLOBAL_ACCOUNT:
        raise OptionProblem(f"{quote(name)} is a Reserved Account", at=at)


def _account(name: str, block: ConfigMap, reading: Reading) -> AccountOptions:
    fields = read_block(block, _RULES, reading, unknown=_unknown)
    default = fields.pop("default_permissions", None)
    account = assemble(AccountOptions(name=name), fields)
    if isinstance(default, Permissions):
        account = replace(account, users=with_default_permissions(account.users, default))
    return account


def _unknown(entry: Entry) -> None:
    refuse_unsupported("account", entry)
    if not is_switched_off("account", entry):
        unknown_field(entry)


def _nkey(entry: Entry) -> str:
    from services.shared.identity.nkeys import KeyKind, is_public  # Only files with nkeys pay for it.

    data = entry.value.data
    if isinstance(data, str) and is_public(data, KeyKind.ACCOUNT):
        return data
    seen = quote(data) if isinstance(data, str) else show(data)
    raise entry.problem(f"Not a valid public nkey for an account: {seen}")


def _users(entry: Entry) -> tuple[UserOptions, ...]:
    parsed = users(entry)
    if parsed and entry.reading.single_identity:
        raise entry.problem(f"Can not have a {entry.reading.single_identity} and accounts")
    claim_users(parsed, at=entry.value.at, reading=entry.reading)
    return parsed


def _limits(entry: Entry) -> AccountLimits:
    if not isinstance(entry.value.data, dict):
        raise entry.problem(f"Expected account limits to be a map/struct, got {show(entry.value.data)}")
    fields: Fields = read_block(entry.value.data, _LIMIT_RULES, entry.reading, unknown=_unknown_limit)
    return assemble(AccountLimits(), fields)


def _unknown_limit(entry: Entry) -> None:
    if not entry.value.referenced:
        raise entry.problem(f"Unknown field {quote(entry.key)} parsing account limits")


def _limit(entry: Entry) -> int:
    """Limits are kept in 32 bits by every server."""
    return min(integer_of(entry.value), INT32_MAX)


def _exports(entry: Entry) -> Fields:
    from services.shared.config.schema_crossings import exports  # Only files with exports pay for it.

    return exports(entry)


def _imports(entry: Entry) -> Fields:
    from services.shared.config.schema_crossings import imports  # Only files with imports pay for it.

    return imports(entry)


_RULES: Final = table(
    ("nkey", "nkey", _nkey),
    ("users", "users", _users),
    ("limits", "limits", _limits),
    ("mappings maps", "mappings", mappings),
    ("exports", "*", _exports),
    ("imports", "*", _imports),
    ("default_permissions", "default_permissions", permissions),
)
_LIMIT_RULES: Final = table(
    ("max_connections max_conn", "max_connections", _limit),
    ("max_subscriptions max_subs", "max_subscriptions", _limit),
    ("max_payload max_pay", "max_payload_bytes", _limit),
    ("max_leafnodes max_leafs", "max_leafnodes", _limit),
)
