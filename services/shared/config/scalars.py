"""Reads one scalar value: strings in all their forms, booleans, numbers, dates, variables (reference: operations 1.2, 1.3).

A value is classified by its first character. One that starts with a digit is read as a number or a date, and turns into
a string as soon as it cannot be one. Each function gets the cursor and where the value starts, and returns its item.
"""

from __future__ import annotations

import re
from typing import Final

from services.shared.config.cursor import END_OF_TEXT, Cursor, Item, Kind, byte_length

_BARE_STRING = re.compile(r"[^\n\r;,\]} \t'\\]*")
_QUOTED = re.compile(r'[^"\\]*')
_BLOCK_END = re.compile(r"\n\)(?=\r?\n|\r?\Z)")
_DIGITS = re.compile(r"\d+")
_SUFFIX = re.compile(r"[kKmMgGtTpPeE][bBiI]*")
_ADDRESS = re.compile(r"[\d.:\-]*")

_DATE_AFTER_YEAR: Final = "00-00T00:00:00Z"
_ESCAPES: Final = {"t": "\t", "n": "\n", "r": "\r", '"': '"', "\\": "\\"}
_BOOLEANS: Final = frozenset(("true", "false", "on", "off", "yes", "no"))
_ENDS_NUMBER: Final = frozenset("\n\r};, \t")


def read_scalar(cursor: Cursor) -> Item:
    """The scalar that starts at the cursor. Raises ParseError when there is none."""
    char, start = cursor.peek(), cursor.pos
    match char:
        case "'":
            return _raw_string(cursor, start + 1)
        case '"':
            return _quoted_string(cursor, start + 1)
        case "(":
            return _block(cursor, start + 1)
        case "-":
            return _negative_number(cursor, start)
        case ".":
            raise cursor.error("Floats must start with a digit")
        case "\n" | "\r":
            raise cursor.error_at(char, "Expected value but found new line")
    if char.isdecimal():
        return _number(cursor, start)
    return _bare_string(cursor, start, read=start)


def _raw_string(cursor: Cursor, start: int) -> Item:
    end = cursor.text.find("'", start)
    if end < 0:
        cursor.advance(cursor.length)
        raise cursor.error("Unexpected EOF.")
    item = cursor.slice_item(Kind.STRING, cursor.text[start:end], start=start, end=end)
    cursor.pos = end + 1
    return item


def _quoted_string(cursor: Cursor, start: int) -> Item:
    parts: list[str] = []
    at = start
    while True:
        end = _end_of(_QUOTED, cursor.text, at)
        parts.append(cursor.text[at:end])
        if end == cursor.length:
            cursor.advance(end)
            raise cursor.error("Unexpected EOF.")
        if cursor.text[end] == '"':
            break
        decoded, at = _escape(cursor, end + 1)
        parts.append(decoded)
    item = cursor.slice_item(Kind.STRING, _join(parts), start=start, end=end)
    cursor.pos = end + 1
    return item


def _bare_string(cursor: Cursor, start: int, *, read: int) -> Item:
    """A string without quotes; the characters up to `read` belong to it whatever they are."""
    parts = [cursor.text[start:read]]
    escaped = False
    at = read
    while True:
        end = _end_of(_BARE_STRING, cursor.text, at)
        parts.append(cursor.text[at:end])
        if cursor.text[end : end + 1] != "\\":
            break
        escaped = True
        decoded, at = _escape(cursor, end + 1)
        parts.append(decoded)
    text = _join(parts)
    if cursor.text[end : end + 1] == "'":
        item = cursor.slice_item(Kind.STRING, text, start=start, end=end)
        cursor.pos = end + 1
        return item
    if not escaped and text.lower() in _BOOLEANS:
        return cursor.slice_item(Kind.BOOLEAN, text, start=start, end=end)
    if not escaped and text.startswith("$"):
        return cursor.slice_item(Kind.VARIABLE, text[1:], start=start, end=end)
    return cursor.slice_item(Kind.STRING, text, start=start, end=end)


def _escape(cursor: Cursor, at: int) -> tuple[str, int]:
    """What the escape after a backslash stands for, and where reading goes on. Bytes above 0x7f stay bytes."""
    char = cursor.text[at : at + 1] or END_OF_TEXT
    if char in _ESCAPES:
        return _ESCAPES[char], at + 1
    cursor.advance(at)
    if char != "x":
        raise cursor.error_at(
            char,
            "Invalid escape character '%c'. Only the following escape characters are allowed: "
            '\\xXX, \\t, \\n, \\r, \\", \\\\.',
        )
    end = min(at + 3, cursor.length)
    digits = cursor.text[end - 2 : end]
    if "\n" in digits or "\r" in digits:
        raise cursor.error_at("\n", "Expected two hexadecimal digits after '\\x', but hit end of line")
    try:
        if not digits.isalnum():
            raise ValueError(digits)
        code = int(digits, 16)
    except ValueError:
        raise cursor.error(f"Expected two hexadecimal digits after '\\x', but got '{digits}'") from None
    return (chr(code) if code < 0x80 else chr(0xDC00 + code)), end


def _block(cursor: Cursor, start: int) -> Item:
    match = _BLOCK_END.search(cursor.text, start)
    if match is None:
        cursor.advance(cursor.length)
        raise cursor.error("Unexpected EOF processing block.")
    end = match.start() + 1
    item = cursor.slice_item(Kind.STRING, cursor.text[start:end], start=start, end=end)
    cursor.pos = end + 1
    return item


# Numbers, dates and what only looks like them.


def _negative_number(cursor: Cursor, start: int) -> Item:
    after = cursor.text[start + 1 : start + 2] or END_OF_TEXT
    if after == ".":
        raise cursor.error("Floats must start with a digit, not '.'.")
    if not after.isdecimal():
        raise cursor.error_at(after, "Expected a digit but got '%c'.")
    end = _end_of(_DIGITS, cursor.text, start + 1)
    char = cursor.text[end : end + 1]
    if char == ".":
        return _float(cursor, start, dot=end)
    suffix = _SUFFIX.match(cursor.text, end)
    if suffix is not None:
        return _suffixed(cursor, start, end=suffix.end())
    return cursor.slice_item(Kind.INTEGER, cursor.text[start:end], start=start, end=end)


def _number(cursor: Cursor, start: int) -> Item:
    end = _end_of(_DIGITS, cursor.text, start)
    char = cursor.text[end : end + 1]
    if char == "" or char in _ENDS_NUMBER:
        return cursor.slice_item(Kind.INTEGER, cursor.text[start:end], start=start, end=end)
    if char == "-":
        return _date(cursor, start, dash=end)
    if char == ".":
        return _float(cursor, start, dot=end)
    suffix = _SUFFIX.match(cursor.text, end)
    if suffix is not None:
        return _suffixed(cursor, start, end=suffix.end())
    return _bare_string(cursor, start, read=end + 1)


def _suffixed(cursor: Cursor, start: int, *, end: int) -> Item:
    char = cursor.text[end : end + 1]
    if char == "" or char in _ENDS_NUMBER:
        return cursor.slice_item(Kind.INTEGER, cursor.text[start:end], start=start, end=end)
    return _bare_string(cursor, start, read=end)


def _float(cursor: Cursor, start: int, *, dot: int) -> Item:
    after = cursor.text[dot + 1 : dot + 2] or END_OF_TEXT
    if not after.isdecimal():
        raise cursor.error_at(after, "Floats must have a digit after the '.', but got '%c' instead.")
    end = _end_of(_DIGITS, cursor.text, dot + 1)
    if cursor.text[end : end + 1] != ".":
        return cursor.slice_item(Kind.FLOAT, cursor.text[start:end], start=start, end=end)
    end = _end_of(_ADDRESS, cursor.text, end)
    return cursor.slice_item(Kind.STRING, cursor.text[start:end], start=start, end=end)


def _date(cursor: Cursor, start: int, *, dash: int) -> Item:
    if byte_length(cursor.text[start:dash]) != 4:
        raise cursor.error("All ISO8601 dates must be in full Zulu form.")
    at = dash + 1
    for wanted in _DATE_AFTER_YEAR:
        char = cursor.text[at : at + 1] or END_OF_TEXT
        if wanted == "0" and not char.isdecimal():
            raise cursor.error_at(char, "Expected digit in ISO8601 datetime, but found '%c' instead.")
        if wanted not in ("0", char):
            raise cursor.error_at(char, f"Expected '{wanted}' in ISO8601 datetime, but found '%c' instead.")
        at += 1
    return cursor.slice_item(Kind.DATE, cursor.text[start:at], start=start, end=at)


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return start if match is None else match.end()


def _join(parts: list[str]) -> str:
    """The decoded string; bytes written as `\\xHH` may complete a UTF-8 sequence."""
    text = "".join(parts)
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
