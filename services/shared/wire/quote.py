"""Text in double quotes the way peers and log readers know it: Go's `%q`.

Subjects, queue names and user names reach `-ERR` lines and log lines in this form, so hostile bytes cannot break a
line. The engine has the same rule in `engine/core/src/quote.rs`; both are held to the same examples.
"""

from __future__ import annotations

from typing import Final

_SHORT: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def quote(text: str | bytes) -> str:
    """The text between double quotes, with quotes, backslashes and everything unprintable escaped.

    Bytes that are not UTF-8 become `\\xNN`; a str may carry them as lone surrogates (`surrogateescape`).
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    return '"' + "".join(map(_escape, text)) + '"'


def _escape(char: str) -> str:
    short = _SHORT.get(char)
    if short is not None:
        return short
    if char.isprintable():
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
