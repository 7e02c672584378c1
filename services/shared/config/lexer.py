"""Cuts configuration text into items: keys, values, brackets, includes, in reading order.

Promise: `Lexer(text).items()` yields items lazily and ends with one END item, or raises ParseError with nats-server's
wording (reference: operations 1.1). Scalars are read by `scalars`; their meaning (integer suffixes, variables, includes)
is the parser's.

Stricter than nats-server on purpose: a NUL byte is refused (it takes one for the end of the file), so are a key of a map
without a value (it drops the key), a quote that the file ends with, and nesting deeper than `NESTING_MAX`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Final

from services.shared.config.cursor import END_OF_TEXT, Cursor, Item, Kind
from services.shared.config.errors import ParseError
from services.shared.config.scalars import read_scalar

NESTING_MAX: Final = 100

# Unicode white space as Go sees it; Python's \s would add four control characters.
_SPACE: Final = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACES = re.compile(f"[{_SPACE}]*")
_BLANKS = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(f"[^:={_SPACE}]*")
_BARE_INCLUDE = re.compile(r"[^\n\r;} \t]*")

_NOT_AN_INCLUDE: Final = {
    "[": "start of an array",
    "{": "start of a map",
    "(": "start of a block",
    "-": "start of a number",
    "\\": "escape sequence",
    "\n": "new line",
    "\r": "new line",
}


class _Context(Enum):
    """What surrounds the current pair or value. WRAP is the optional `{ }` around a whole file."""

    TOP = "top"
    WRAP = "wrap"
    MAP = "map"
    ARRAY = "array"


class Lexer:
    """The items of one text. A state reads up to one item and names the next state."""

    def __init__(self, text: str) -> None:
        self._cursor = Cursor(text)
        self._contexts: list[_Context] = [_Context.TOP]
        self._state: Callable[[], Item | None] = self._pair_start

    def items(self) -> Iterator[Item]:
        """Yields every item, the last one being END."""
        cursor = self._cursor
        if END_OF_TEXT in cursor.text:
            cursor.advance(cursor.text.index(END_OF_TEXT))
            raise cursor.error("Unexpected NUL byte.")
        while True:
            item = self._state()
            if item is not None:
                yield item
                if item.kind is Kind.END:
                    return

    @property
    def _context(self) -> _Context:
        return self._contexts[-1]

    def _enter(self, context: _Context) -> None:
        if len(self._contexts) > NESTING_MAX:
            raise self._cursor.error(f"Nesting is deeper than {NESTING_MAX} levels.")
        self._contexts.append(context)
        self._cursor.pos += 1

    # Before a pair.

    def _pair_start(self) -> Item | None:
        """Before a key of the file, of the `{ }` around it, or of a map."""
        cursor = self._cursor
        char = cursor.skip(_SPACES)
        if cursor.skip_comment():
            return None
        if self._context is _Context.MAP:
            return self._map_pair_start(char)
        if char == END_OF_TEXT:
            return cursor.item(Kind.END)
        if char == "/":
            raise cursor.error("Unexpected EOF.")
        if char == "{":
            self._enter(_Context.WRAP)
        elif char == "}" and self._context is _Context.WRAP:
            self._leave_wrap()
        elif char in ":=":
            raise cursor.error(f"Unexpected key separator '{char}'")
        else:
            return self._key(char)
        return None

    def _map_pair_start(self, char: str) -> Item | None:
        match char:
            case "}":
                return self._end_container(Kind.MAP_END)
            case "\0":
                raise self._cursor.error("Unexpected EOF processing map.")
            case "]":
                raise self._cursor.error("Unexpected array end ']' processing map.")
            case ":" | "=":
                raise self._cursor.error(f"Unexpected key separator '{char}'.")
            case "/":
                raise self._cursor.error("Expected a key or a comment, but got '/' instead.")
        return self._key(char)

    def _leave_wrap(self) -> None:
        self._cursor.pos += 1
        self._contexts.pop()
        self._state = self._wrap_end if self._context is _Context.WRAP else self._pair_start

    def _wrap_end(self) -> Item | None:
        """After the inner `}` of a file wrapped twice."""
        cursor = self._cursor
        char = cursor.skip(_SPACES)
        if cursor.skip_comment():
            return None
        if char == "}":
            self._leave_wrap()
        elif char in ",;":
            cursor.pos += 1
            self._state = self._pair_start
        else:
            raise cursor.error(f"Expected a block-level to end with a '}}', but got '{char}' instead.")
        return None

    # Keys.

    def _key(self, char: str) -> Item | None:
        if char in "\"'":
            return self._quoted_key(char)
        cursor, start = self._cursor, self._cursor.pos
        # The first character belongs to the key whatever it is, as a lone `}` at the end of a file shows.
        match = _BARE_KEY.match(cursor.text, start + 1)
        end = match.end() if match is not None else start + 1
        if end == cursor.length and self._context is _Context.MAP:
            raise cursor.error("Unexpected EOF processing map key.")
        item = cursor.slice_item(Kind.KEY, cursor.text[start:end], start=start, end=end)
        if item.text.lower() == "include" and end < cursor.length and cursor.peek() not in ":=":
            self._state = self._include
            return None
        self._state = self._key_end
        return item

    def _quoted_key(self, quote: str) -> Item:
        cursor = self._cursor
        start, end = self._quoted(quote)
        if end < 0:
            if self._context is not _Context.MAP:
                raise cursor.error("Unexpected EOF.")
            double = "double " if quote == '"' else ""
            raise cursor.error(f"Unexpected EOF processing {double}quoted map key.")
        self._state = self._key_end
        return cursor.slice_item(Kind.KEY, cursor.text[start:end], start=start, end=end, after=end + 1)

    def _quoted(self, quote: str) -> tuple[int, int]:
        """Where the text in quotes starts and ends; at the end of the file when it has no end, -1."""
        cursor = self._cursor
        start = cursor.pos + 1
        end = cursor.text.find(quote, start)
        if end < 0:
            cursor.advance(cursor.length)
        return start, end

    def _key_end(self) -> Item | None:
        """Between a key and its value: white space, at most one separator."""
        cursor = self._cursor
        char = cursor.skip(_SPACES)
        in_map = self._context is _Context.MAP
        if char == END_OF_TEXT and not in_map:
            return cursor.item(Kind.END)
        if char in ":=":
            cursor.pos += 1
        self._state = self._value
        if in_map:
            char = cursor.skip(_SPACES)
            if char == ",":
                raise cursor.error('Unexpected map value terminator ",".')
            if char == "}":
                raise cursor.error("Expected a value for the key but found the end of the map.")
        return None

    def _include(self) -> Item:
        cursor = self._cursor
        char = cursor.skip(_BLANKS)
        self._state = self._value_end
        if char.isdecimal():
            raise cursor.error("Expected include value but found start of a number")
        if char in _NOT_AN_INCLUDE:
            raise cursor.error_at(char, f"Expected include value but found {_NOT_AN_INCLUDE[char]}")
        if char not in "\"'":
            start = cursor.pos
            match = _BARE_INCLUDE.match(cursor.text, start)
            end = match.end() if match is not None else start
            return cursor.slice_item(Kind.INCLUDE, cursor.text[start:end], start=start, end=end)
        start, end = self._quoted(char)
        if end < 0:
            raise cursor.error(f"Unexpected EOF in {'double ' if char == chr(34) else ''}quoted include")
        return cursor.slice_item(Kind.INCLUDE, cursor.text[start:end], start=start, end=end, after=end + 1)

    # Values and what may stand after them.

    def _value(self) -> Item | None:
        char = self._cursor.skip(_BLANKS)
        self._state = self._value_end
        if char == "[":
            return self._open(Kind.ARRAY_START, _Context.ARRAY, self._array_start)
        if char == "{":
            return self._open(Kind.MAP_START, _Context.MAP, self._pair_start)
        return read_scalar(self._cursor)

    def _open(self, kind: Kind, context: _Context, state: Callable[[], Item | None]) -> Item:
        self._enter(context)
        self._state = state
        return self._cursor.item(kind)

    def _end_container(self, kind: Kind) -> Item:
        self._cursor.pos += 1
        self._contexts.pop()
        self._state = self._value_end
        return self._cursor.item(kind)

    def _value_end(self) -> Item | None:
        match self._context:
            case _Context.MAP:
                return self._map_value_end()
            case _Context.ARRAY:
                return self._array_value_end()
            case context:
                return self._pair_end(wrapped=context is _Context.WRAP)

    def _pair_end(self, *, wrapped: bool) -> Item | None:
        cursor = self._cursor
        char = cursor.skip(_BLANKS)
        if cursor.skip_comment():
            self._state = self._pair_start
        elif char == "/":
            cursor.pos += 1
        elif char == "}" and wrapped:
            self._leave_wrap()
        elif char in "\n\r;,}" or (char == END_OF_TEXT and not wrapped):
            cursor.advance(min(cursor.pos + 1, cursor.length))
            self._state = self._pair_start
        else:
            level = "block" if wrapped else "top"
            raise cursor.error(
                f"Expected a {level}-level value to end with a new line, comment or EOF, but got '{char}' instead."
            )
        return None

    def _map_value_end(self) -> Item | None:
        cursor = self._cursor
        char = cursor.skip(_BLANKS)
        if cursor.skip_comment():
            return None
        if char == "}":
            return self._end_container(Kind.MAP_END)
        if char not in "\n\r;,/":
            raise self._unterminated("map value", "map", "}", char)
        cursor.advance(cursor.pos + 1)
        self._state = self._pair_start
        return None

    def _array_start(self) -> Item | None:
        """Before a value of an array, or its end."""
        cursor = self._cursor
        char = cursor.skip(_SPACES)
        if cursor.skip_comment():
            return None
        if char in ",/":
            raise cursor.error("Unexpected array value terminator ','.")
        if char == "]":
            return self._end_container(Kind.ARRAY_END)
        self._state = self._value
        return None

    def _array_value_end(self) -> Item | None:
        cursor = self._cursor
        char = cursor.skip(_BLANKS)
        if cursor.skip_comment():
            return None
        if char == "]":
            return self._end_container(Kind.ARRAY_END)
        if char not in ",\n\r":
            raise self._unterminated("array value", "array", "]", char)
        cursor.advance(cursor.pos + 1)
        self._state = self._array_start
        return None

    def _unterminated(self, value: str, container: str, end: str, char: str) -> ParseError:
        article = "an" if container == "array" else "a"
        return self._cursor.error(
            f'Expected {article} {value} terminator "," or {article} {container} terminator "{end}", '
            f"but got '{char}' instead."
        )
