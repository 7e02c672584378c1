"""The `proxies` block: whose signature counts for a proxy in front of clients (reference: operations 2.12, security 1.11).

Every kind of public nkey will do. An entry without a key is left in: it is for the validation before a start to refuse.
"""

from __future__ import annotations

from typing import Final

from services.shared.config.assembly import assemble
from services.shared.config.errors import OptionProblem
from services.shared.config.options import ProxiesOptions
from services.shared.config.parser import Value
from services.shared.config.reading import Entry, Reading, go_type, read_block, string, table
from services.shared.wire.quote import quote


def proxies(entry: Entry) -> ProxiesOptions:
    """The block; keys that are none are reported one by one."""
    data = entry.value.data
    if not isinstance(data, dict):
        raise entry.problem(f"expected proxies to be a map/struct, got {go_type(data)}")
    return assemble(ProxiesOptions(), read_block(data, _RULES, entry.reading))


def _trusted(entry: Entry) -> tuple[str, ...]:
    data = entry.value.data
    if not isinstance(data, list):
        raise entry.problem(f"expected proxies' trusted field to be an array, got {go_type(data)}")
    keys: list[str] = []
    for element in data:
        try:
            keys.append(_key_of(element, entry.reading))
        except OptionProblem as problem:
            entry.reading.problems.refuse(problem.message, at=problem.at)
    return tuple(keys)


def _key_of(element: Value, reading: Reading) -> str:
    if not isinstance(element.data, dict):
        raise OptionProblem(
            f"expected proxies' trusted entry to be a map/struct, got {go_type(element.data)}", at=element.at
        )
    return str(read_block(element.data, _ENTRY_RULES, reading).get("key", ""))


def _key(entry: Entry) -> str:
    from services.shared.identity.nkeys import is_public  # Only files with proxies pay for it.

    key = string(entry)
    if not is_public(key):
        raise entry.problem(f"invalid proxy key {quote(key)}")
    return key


_ENTRY_RULES: Final = table(("key public_key", "key", _key))
_RULES: Final = table(("trusted", "trusted", _trusted))
