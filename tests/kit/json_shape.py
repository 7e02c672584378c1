"""Compares JSON values by shape: which keys, in which order, of which types, and whether texts have the same form.

Figures and names differ between two servers, shapes must not. A path looks like `connections[].tls_peer_certs[].subject`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any, Final

_FORMS: Final = (
    ("time", re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z")),
    ("uptime", re.compile(r"(\d+y)?(\d+d)?(\d+h)?(\d+m)?\d+s")),
    ("duration", re.compile(r"(\d+h)?(\d+m)?\d+(\.\d*[1-9])?(s|ms|µs|ns)")),
    ("server id", re.compile(r"N[A-Z2-7]{55}")),
)


def form(value: Any) -> str:
    """The type of a scalar; for a text also its form, where that is one of those that tools parse."""
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return next((name for name, pattern in _FORMS if pattern.fullmatch(value)), "text")
        case None:
            return "null"
        case dict():
            return "object"
        case _:
            return "list"


def differences(seen: Any, wanted: Any, *, but: Collection[str] = (), path: str = "") -> list[str]:
    """Where `seen` has another shape than `wanted`; empty when nowhere. Paths in `but` are not looked at.

    A key of `but` that ends in `?` may be absent on either side. Lists are compared element by element as far as both
    go, and must both be empty or both not.
    """
    return list(_differences(seen, wanted, but=but, path=path))


def _differences(seen: Any, wanted: Any, *, but: Collection[str], path: str) -> Iterator[str]:
    if path in but:
        return
    if form(seen) != form(wanted) and {form(seen), form(wanted)} != {"uptime", "duration"}:
        yield f"{path or 'the value'}: wanted a {form(wanted)} like {wanted!r}, got the {form(seen)} {seen!r}"
        return
    if isinstance(wanted, dict):
        yield from _of_objects(seen, wanted, but=but, path=path)
    elif isinstance(wanted, list):
        if bool(seen) != bool(wanted):
            yield f"{path}[]: wanted {len(wanted)} elements, got {len(seen)}"
        for one, other in zip(seen, wanted, strict=False):
            yield from _differences(one, other, but=but, path=f"{path}[]")


def _of_objects(seen: dict[str, Any], wanted: dict[str, Any], *, but: Collection[str], path: str) -> Iterator[str]:
    def within(key: str) -> str:
        return f"{path}.{key}" if path else key

    for key in [key for key in wanted if key not in seen and f"{within(key)}?" not in but]:
        yield f"{within(key)}: missing"
    for key in [key for key in seen if key not in wanted and f"{within(key)}?" not in but]:
        yield f"{within(key)}: unwanted, {seen[key]!r}"
    ours, theirs = [key for key in seen if key in wanted], [key for key in wanted if key in seen]
    if ours != theirs and within("*") not in but:
        yield f"{path or 'the value'}: wanted the order {theirs}, got {ours}"
    for key in ours:
        yield from _differences(seen[key], wanted[key], but=but, path=within(key))
