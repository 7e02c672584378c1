"""JSON as the server writes it (reference: operations 6.1): compact, or indented without a newline at the end.

Strings are escaped so that the text may stand inside HTML; numbers that are whole have no fraction. Values are dicts,
lists, tuples, strings, numbers, booleans and None; keys are strings and keep their order.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

_compact: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_string: Final[Callable[[str], str]] = json.JSONEncoder(ensure_ascii=False).encode
_ESCAPES: Final = (
    ("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029"),
)  # fmt: skip


def compact(value: object) -> bytes:
    """The value on one line."""
    return _finish(_compact(value))


def indented(value: object, *, indent: str = "  ") -> bytes:
    """The value over many lines, one member each; empty dicts and lists stay on theirs."""
    parts: list[str] = []
    _write(value, "\n", indent, parts.append)
    return _finish("".join(parts))


def _finish(text: str) -> bytes:
    # These characters occur in JSON only inside strings.
    for character, escape in _ESCAPES:
        if character in text:
            text = text.replace(character, escape)
    return text.encode(errors="replace")


def _write(value: object, margin: str, indent: str, put: Callable[[str], None]) -> None:
    # The encoder of the standard library is slow when it indents; this one is a few times faster.
    match value:
        case str():
            put(_string(value))
        case bool():
            put("true" if value else "false")
        case int():
            put(int.__repr__(value))
        case None:
            put("null")
        case float():
            put(_number(value))
        case dict():
            inner = margin + indent
            separator = "{" + inner
            for key, member in value.items():
                put(f"{separator}{_string(key)}: ")
                _write(member, inner, indent, put)
                separator = "," + inner
            put(margin + "}" if value else "{}")
        case list() | tuple():
            inner = margin + indent
            separator = "[" + inner
            for member in value:
                put(separator)
                _write(member, inner, indent, put)
                separator = "," + inner
            put(margin + "]" if value else "[]")
        case _:
            raise TypeError(f"a {type(value).__name__} has no JSON form")


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
