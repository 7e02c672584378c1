"""Distinguished names: read from RFC 4514 text, compared the way certificate mapping needs (reference: security 1.7).

A name is a tuple of relative names, the most specific first as in the text form. A relative name is a set of
(type, value) pairs with types in upper case, so the order inside one never matters and `==` is the exact comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from services.shared.identity.errors import NameSyntaxError

RelativeName: TypeAlias = frozenset[tuple[str, str]]
DistinguishedName: TypeAlias = tuple[RelativeName, ...]

ATTRIBUTE_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "2.5.4.3": "CN",
        "2.5.4.5": "SERIALNUMBER",
        "2.5.4.6": "C",
        "2.5.4.7": "L",
        "2.5.4.8": "ST",
        "2.5.4.9": "STREET",
        "2.5.4.10": "O",
        "2.5.4.11": "OU",
        "2.5.4.17": "POSTALCODE",
        "0.9.2342.19200300.100.1.25": "DC",
    }
)
"""The attribute types that names are compared by. A certificate with others has no comparable name."""

_ESCAPABLE: Final = frozenset(b' "#+,;<=>\\')
_EQUALS, _COMMA, _PLUS, _SPACE, _HASH, _BACKSLASH = b"=,+ #\\"


def parse_name(text: str) -> DistinguishedName:
    """The name that `text` spells; raises NameSyntaxError when it spells none."""
    data = text.encode("utf-8", "surrogateescape")
    names: list[RelativeName] = []
    pairs: list[tuple[str, str]] = []
    position = 0
    while position < len(data) or pairs:
        kind, position = _read_type(data, position)
        value, position = _read_value(data, position)
        pairs.append((kind, value))
        if position == len(data) or data[position] == _COMMA:
            names.append(frozenset(pairs))
            pairs = []
        if position == len(data):
            break
        position += 1
    return tuple(names)


def same_relative_names(one: DistinguishedName, other: DistinguishedName) -> bool:
    """True when both consist of the same relative names, in whatever order."""
    return len(one) == len(other) and all(name in other for name in one)


def _read_type(data: bytes, position: int) -> tuple[str, int]:
    end = data.find(b"=", position)
    kind = data[position:end].strip(b" ").decode("ascii", "replace") if end >= 0 else ""
    if not kind or not all(c.isalnum() or c in "-." for c in kind):
        raise NameSyntaxError(f'wanted TYPE=value at byte {position} of "{data.decode("utf-8", "replace")}"')
    return ATTRIBUTE_TYPES.get(kind, kind.upper()), end + 1


def _read_value(data: bytes, position: int) -> tuple[str, int]:
    while position < len(data) and data[position] == _SPACE:
        position += 1
    if position < len(data) and data[position] == _HASH:
        return _read_encoded(data, position + 1)
    value = bytearray()
    kept = 0  # unescaped trailing spaces do not count
    while position < len(data) and data[position] not in (_COMMA, _PLUS):
        char = data[position]
        if char == _BACKSLASH:
            char, position = _read_escape(data, position)
            value.append(char)
            kept = len(value)
        else:
            value.append(char)
            kept = kept if char == _SPACE else len(value)
        position += 1
    return value[:kept].decode("utf-8", "surrogateescape"), position


def _read_escape(data: bytes, position: int) -> tuple[int, int]:
    """The byte that the escape at `position` stands for, and the position of its last byte."""
    following = data[position + 1 : position + 3]
    if following[:1] and following[0] in _ESCAPABLE:
        return following[0], position + 1
    try:
        (byte,) = bytes.fromhex(following.decode("ascii")) if len(following) == 2 else b""
    except ValueError:
        raise NameSyntaxError(f"a backslash at byte {position} of a name escapes nothing") from None
    return byte, position + 2


def _read_encoded(data: bytes, position: int) -> tuple[str, int]:
    """A value given as `#` and the hexadecimal digits of its BER encoding."""
    end = position
    while end < len(data) and data[end] not in (_COMMA, _PLUS):
        end += 1
    try:
        encoded = bytes.fromhex(data[position:end].decode("ascii"))
    except ValueError:
        raise NameSyntaxError(f"wanted hexadecimal digits after # at byte {position} of a name") from None
    if len(encoded) < 2 or encoded[1] >= 0x80 or len(encoded) != encoded[1] + 2:
        raise NameSyntaxError(f"the encoded value at byte {position} of a name is not one short string")
    return encoded[2:].decode("utf-8", "surrogateescape"), end
