"""The fingerprint of a configuration: equal for files that say the same thing in different ways.

SHA-256 over the parsed map as JSON the way Go encodes it: sorted keys, no spaces, `< > &` escaped, a newline at the
end (reference: operations 1.8).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.shared.config.parser import ConfigMap, Data, Date

if TYPE_CHECKING:
    from collections.abc import Callable


def config_digest(config: ConfigMap) -> str:
    """`sha256:` and 64 hex digits."""
    from hashlib import sha256  # Loads OpenSSL: a start without a configuration file does not need it.

    parts: list[str] = []
    _encode(config, parts.append)
    text = "".join(parts) + "\n"
    return f"sha256:{sha256(text.encode('utf-8')).hexdigest()}"


def _encode(data: Data, emit: Callable[[str], None]) -> None:
    match data:
        case bool():
            emit("true" if data else "false")
        case int():
            emit(str(data))
        case float():
            emit(_go_float(data))
        case str():
            emit(_go_string(data))
        case list():
            separator = "["
            for element in data:
                emit(separator)
                _encode(element.data, emit)
                separator = ","
            emit("]" if data else "[]")
        case dict():
            separator = "{"
            for key in sorted(data, key=_bytes):
                emit(separator)
                emit(_go_string(key))
                emit(":")
                _encode(data[key].data, emit)
                separator = ","
            emit("}" if data else "{}")
        case Date():
            emit(f'"{data.text}"')


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _go_string(text: str) -> str:
    if text.isascii() and text.isprintable() and _SPECIAL.isdisjoint(text):
        return f'"{text}"'
    return f'"{text.translate(_ESCAPES)}"'


def _escapes() -> dict[int, str]:
    escapes = {code: f"\\u{code:04x}" for code in (*range(0x20), *map(ord, "<>&\u2028\u2029"))}
    # A byte that was not UTF-8 is written as the replacement character.
    escapes |= dict.fromkeys(range(0xDC80, 0xDD00), "\ufffd")
    return escapes | {ord(char): short for char, short in _SHORT.items()}


_SHORT: Final = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_SPECIAL: Final = frozenset('"\\<>&')
_ESCAPES: Final = _escapes()


def _go_float(value: float) -> str:
    """The shortest form, with an exponent below 1e-6 and from 1e21 on."""
    if value == 0:
        return "-0" if str(value).startswith("-") else "0"
    digits, exponent = _shortest(value)
    sign = "-" if value < 0 else ""
    point = len(digits) + exponent  # Where the decimal point stands, counted from the first digit.
    if not -6 < point <= 21:
        mantissa = digits[0] + (f".{digits[1:]}" if len(digits) > 1 else "")
        power = point - 1
        return f"{sign}{mantissa}e{'-' if power < 0 else '+'}{abs(power)}"
    if point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    if point >= len(digits):
        return f"{sign}{digits}{'0' * (point - len(digits))}"
    return f"{sign}{digits[:point]}.{digits[point:]}"


def _shortest(value: float) -> tuple[str, int]:
    """The digits of a float without zeros at either end, and the power of ten of the last one."""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    power = int(exponent or "0") - len(fraction)
    digits = (whole + fraction).lstrip("0")
    stripped = digits.rstrip("0")
    return stripped, power + len(digits) - len(stripped)
