"""The JSON options of a system request, checked against what the endpoint knows (reference: security 8.4). Pure.

Members of the wrong type are refused with the text that Go's decoder has for them, since people and tools have seen
it; unknown members and nulls are ignored, as there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from services.shared.wire.quote import quote

FILTERS: Final[Mapping[str, str]] = {
    "server_name": "string",
    "cluster": "string",
    "host": "string",
    "exact_match": "bool",
    "tags": "[]string",
    "domain": "string",
}
"""Options that every request may have: which servers are meant."""

_PLACES: Final = (
    ("Expecting property name", "looking for beginning of object key string"),
    ("Expecting ':'", "after object key"),
    ("Expecting ','", "after object key:value pair"),
    ("Extra data", "after top-level value"),
)
"""What Python's and Go's decoders say about the place of a wrong character."""

_UINT64_MAX: Final = (1 << 64) - 1
_INT64_MAX: Final = (1 << 63) - 1
_DEPTH_MAX_BYTES: Final = 1 << 20
"""A request is a handful of options; more than this is refused unread."""


class OptionsError(Exception):
    """The request cannot be read; the text is that of error 400."""


def read_options(body: bytes, *, kind: str, members: Mapping[str, str]) -> dict[str, Any]:
    """The options of a request; an empty body has none. Raises OptionsError.

    `members` maps names to Go types; `kind` is the name of the options in error texts. Absent ones have no entry.
    """
    if not body:
        return {}
    if len(body) > _DEPTH_MAX_BYTES:
        raise OptionsError(f"a request of {len(body)} bytes, at most {_DEPTH_MAX_BYTES} wanted")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise OptionsError(_syntax_text(body, error)) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise OptionsError(f"json: cannot unmarshal {_kind_of(value)} into Go value of type server.{kind}")
    return {name: member for name, member in value.items() if _is_wanted(name, member, kind=kind, members=members)}


def _is_wanted(name: str, member: object, *, kind: str, members: Mapping[str, str]) -> bool:
    wanted = members.get(name)
    if wanted is None or member is None:
        return False
    if not _fits(member, wanted):
        seen = _kind_of(member)
        if isinstance(member, int | float) and not isinstance(member, bool) and "int" in wanted:
            seen = f"number {member}"
        shown = wanted.rpartition(":")[2]
        raise OptionsError(f"json: cannot unmarshal {seen} into Go struct field {kind}.{name} of type {shown}")
    return True


def _fits(member: object, wanted: str) -> bool:
    match wanted.partition(":")[0]:
        case "string":
            return isinstance(member, str)
        case "bool":
            return isinstance(member, bool)
        case "int":
            return _is_int(member) and -_INT64_MAX - 1 <= member <= _INT64_MAX  # type: ignore[operator]
        case "uint64":
            return _is_int(member) and 0 <= member <= _UINT64_MAX  # type: ignore[operator]
        case "[]string":
            return isinstance(member, list) and all(isinstance(entry, str) for entry in member)
        case "map":
            return isinstance(member, dict)
    raise ValueError(f"no options are of type {wanted!r}")


def _is_int(member: object) -> bool:
    return isinstance(member, int) and not isinstance(member, bool)


def _kind_of(value: object) -> str:
    match value:
        case str():
            return "string"
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case list():
            return "array"
        case _:
            return "object"


def _syntax_text(body: bytes, error: Exception) -> str:
    at = error.pos if isinstance(error, json.JSONDecodeError) else len(body)
    text = body.decode(errors="replace")
    if not text.strip() or at >= len(text.rstrip()):
        return "unexpected end of JSON input"
    message = error.msg if isinstance(error, json.JSONDecodeError) else ""
    where = next((go for python, go in _PLACES if message.startswith(python)), "looking for beginning of value")
    return f"invalid character {_character(text[at])} {where}"


def _character(character: str) -> str:
    return {"'": "'\\''", '"': "'\"'"}.get(character) or f"'{quote(character)[1:-1]}'"


def concerns(
    filters: Mapping[str, Any], *, name: str, cluster: str, host: str, tags: tuple[str, ...], domain: str
) -> bool:
    """Whether a server is meant by the filters of a request (reference: security 8.4)."""
    exact = filters.get("exact_match", False)
    for wanted, own in (
        (filters.get("server_name", ""), name), (filters.get("cluster", ""), cluster), (filters.get("host", ""), host),
    ):  # fmt: skip
        if wanted and (wanted != own if exact else wanted not in own):
            return False
    folded = {tag.casefold() for tag in tags}
    if any(tag.casefold() not in folded for tag in filters.get("tags", ())):
        return False
    return filters.get("domain", "") in ("", domain)
