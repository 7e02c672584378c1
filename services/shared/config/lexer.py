"""Cuts configuration text into items: keys, values, brackets, includes, in reading order.

Promise: `Lexer(text).items()` yields items lazily and ends with one END item, or raises ParseError with
nats-server's wording (reference: operations 1.1 to 1.3). Every item has the line and column nats-server would report.

A value is classified by its first character; a value that starts with a digit is read as a number or a date and
turns into a string as soon as it cannot be one. Meaning (integer suffixes, variables, includes) is the parser's.

Absent on purpose: a NUL byte is refused (nats-server takes it for the end of the file), and so is nesting deeper than
`NESTING_MAX`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Final, NamedTuple

from services.shared.config.errors import ParseError

NESTING_MAX: Final = 100

# Unicode white space as Go sees it; Python's \s would add four control characters.
_SPACE: Final = "\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_SPACES = re.compile(f"[{_SPACE}]*")
_BLANKS = re.compile(r"[ \t]*")
_COMMENT = re.compile(r"[^\r\n]*")
_BARE_KEY = re.compile(f"[^:={_SPACE}]*")
_BARE_STRING = re.compile(r"[^\n\r;,\]} \t'\\]*")
_BARE_INCLUDE = re.compile(r"[^\n\r;} \t]*")
_QUOTED = re.compile(r'[^"\\]*')
_BLOCK_END = re.compile(r"\n\)(?=\r?\n|\r?\Z)")
_DIGITS = re.compile(r"\d+")
_SUFFIX = re.compile(r"[kKmMgGtTpPeE][bBiI]*")
_ADDRESS = re.compile(r"[\d.:\-]*")

_DATE_AFTER_YEAR: Final = "00-00T00:00:00Z"
_ESCAPES: Final = {"t": "\t", "n": "\n", "r": "\r", '"': '"', "\\": "\\"}
_BOOLEANS: Final = frozenset(("true", "false", "on", "off", "yes", "no"))
_ENDS_NUMBER: Final = frozenset("\n\r};, \t")
_NOT_AN_INCLUDE: Final = {
    "[": "start of an array",
    "{": "start of a map",
    "(": "start of a block",
    "-": "start of a number",
    "\\": "escape sequence",
    "\n": "new line",
    "\r": "new line",
}


class Kind(Enum):
    """What an item is."""

    KEY = "key"
    STRING = "string"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    FLOAT = "float"
    DATE = "date"
    VARIABLE = "variable"
    INCLUDE = "include"
    MAP_START = "map start"
    MAP_END = "map end"
    ARRAY_START = "array start"
    ARRAY_END = "array end"
    END = "end"


class Item(NamedTuple):
    """One item: its text (escapes already resolved) and where it stands."""

    kind: Kind
    text: str
    line: int
    column: int


class _Context(Enum):
    """What surrounds the current pair or value. WRAP is the optional `{ }` around a whole file."""

    TOP = "top"
    WRAP = "wrap"
    MAP = "map"
    ARRAY = "array"


class Lexer:
    """The items of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._length = len(text)
        self._ascii = text.isascii()
        self._pos = 0
        self._line = 1
        self._line_start = 0  # Index of the newline before the current line, hence columns that start at 1 there.
        self._contexts: list[_Context] = [_Context.TOP]
        self._state: Callable[[], Item | None] = self._pair_start

    def items(self) -> Iterator[Item]:
        """Yields every item, the last one being END."""
        if "\0" in self._text:
            self._advance(self._text.index("\0"))
            raise self._error("Unexpected NUL byte.")
        while True:
            item = self._state()
            if item is not None:
                yield item
                if item.kind is Kind.END:
                    return

    # Positions.

    def _advance(self, end: int) -> None:
        newlines = self._text.count("\n", self._pos, end)
        if newlines:
            self._line += newlines
            self._line_start = self._text.rfind("\n", self._pos, end)
        self._pos = end

    def _column(self, index: int) -> int:
        if self._ascii:
            return index - self._line_start
        return _byte_length(self._text[self._line_start : index])

    def _peek(self) -> str:
        """The character at the current position; NUL at the end, since no text contains one."""
        return self._text[self._pos] if self._pos < self._length else "\0"

    def _skip(self, pattern: re.Pattern[str]) -> str:
        """Skips what `pattern` matches and returns the character after it."""
        match = pattern.match(self._text, self._pos)
        if match is not None:
            self._advance(match.end())
        return self._peek()

    def _skip_comment(self) -> bool:
        """Skips `# ...` and `// ...` up to the end of the line; False when there is no comment here."""
        if self._peek() != "#" and not self._text.startswith("//", self._pos):
            return False
        self._skip(_COMMENT)
        return True

    def _error(self, detail: str) -> ParseError:
        return ParseError(f"Parse error on line {self._line}: '{detail}'")

    def _error_at(self, char: str, detail: str) -> ParseError:
        """An error about `char`, which counts as read: a newline belongs to the line after it."""
        if char == "\n":
            self._line += 1
        return self._error(detail.replace("%c", "\\n" if char == "\n" else char))

    # Pairs.

    def _enter(self, context: _Context) -> None:
        if len(self._contexts) > NESTING_MAX:
            raise self._error(f"Nesting is deeper than {NESTING_MAX} levels.")
        self._contexts.append(context)

    def _pair_start(self) -> Item | None:
        """Before a key of the file, of the `{ }` around it, or of a map."""
        char = self._skip(_SPACES)
        if self._skip_comment():
            return None
        if self._contexts[-1] is _Context.MAP:
            return self._map_pair_start(char)
        wrapped = self._contexts[-1] is _Context.WRAP
        if char == "\0":
            return Item(Kind.END, "", self._line, self._column(self._pos))
        if char == "/":
            raise self._error("Unexpected EOF.")
        if char == "{":
            self._enter(_Context.WRAP)
            self._pos += 1
            return None
        if char == "}" and wrapped:
            self._pos += 1
            self._leave_wrap()
            return None
        if char in ":=":
            raise self._error(f"Unexpected key separator '{char}'")
        return self._key(char)

    def _map_pair_start(self, char: str) -> Item | None:
        if char == "}":
            return self._end_container(Kind.MAP_END)
        if char == "\0":
            raise self._error("Unexpected EOF processing map.")
        if char == "]":
            raise self._error("Unexpected array end ']' processing map.")
        if char in ":=":
            raise self._error(f"Unexpected key separator '{char}'.")
        if char == "/":
            raise self._error("Expected a key or a comment, but got '/' instead.")
        return self._key(char)

    def _leave_wrap(self) -> None:
        self._contexts.pop()
        self._state = self._wrap_end if self._contexts[-1] is _Context.WRAP else self._pair_start

    def _wrap_end(self) -> Item | None:
        """After the inner `}` of a file wrapped twice."""
        char = self._skip(_SPACES)
        if self._skip_comment():
            return None
        if char == "}":
            self._pos += 1
            self._leave_wrap()
        elif char in ",;":
            self._pos += 1
            self._state = self._pair_start
        else:
            raise self._error(f"Expected a block-level to end with a '}}', but got '{char}' instead.")
        return None

    def _key(self, char: str) -> Item | None:
        if char in "\"'":
            return self._quoted_key(char)
        start = self._pos
        column = self._column(start)
        # The first character belongs to the key whatever it is, as a lone `}` at the end of a file shows.
        match = _BARE_KEY.match(self._text, start + 1)
        self._pos = match.end() if match is not None else start + 1
        if self._pos == self._length and self._contexts[-1] is _Context.MAP:
            raise self._error("Unexpected EOF processing map key.")
        text = self._text[start : self._pos]
        if text.lower() == "include" and self._pos < self._length and self._peek() not in ":=":
            self._state = self._include
            return None
        self._state = self._key_end
        return Item(Kind.KEY, text, self._line, column)

    def _quoted_key(self, quote: str) -> Item:
        start = self._pos + 1
        column = self._column(start)
        end = self._text.find(quote, start)
        if end < 0:
            self._advance(self._length)
            if self._contexts[-1] is not _Context.MAP:
                raise self._error("Unexpected EOF.")
            double = "double " if quote == '"' else ""
            raise self._error(f"Unexpected EOF processing {double}quoted map key.")
        self._advance(end)
        item = Item(Kind.KEY, self._text[start:end], self._line, column)
        self._pos = end + 1
        self._state = self._key_end
        return item

    def _key_end(self) -> Item | None:
        """Between a key and its value: white space, at most one separator."""
        char = self._skip(_SPACES)
        in_map = self._contexts[-1] is _Context.MAP
        if char == "\0" and not in_map:
            return Item(Kind.END, "", self._line, self._column(self._pos))
        if char in ":=":
            self._pos += 1
        if not in_map:
            self._state = self._value
            return None
        char = self._skip(_SPACES)
        if char == ",":
            raise self._error('Unexpected map value terminator ",".')
        if char == "}":
            raise self._error("Expected a value for the key but found the end of the map.")
        self._state = self._value
        return None

    def _include(self) -> Item:
        char = self._skip(_BLANKS)
        if char.isdecimal():
            raise self._error("Expected include value but found start of a number")
        if char in _NOT_AN_INCLUDE:
            raise self._error_at(char, f"Expected include value but found {_NOT_AN_INCLUDE[char]}")
        if char in "\"'":
            start = self._pos + 1
            end = self._text.find(char, start)
            if end < 0:
                self._advance(self._length)
                double = "double " if char == '"' else ""
                raise self._error(f"Unexpected EOF in {double}quoted include")
            after = end + 1
        else:
            start = self._pos
            match = _BARE_INCLUDE.match(self._text, start)
            end = after = match.end() if match is not None else start
        column = self._column(start)
        self._advance(after)
        self._state = self._value_end
        return Item(Kind.INCLUDE, self._text[start:end], self._line, column)

    # Ends of values.

    def _value_end(self) -> Item | None:
        match self._contexts[-1]:
            case _Context.MAP:
                return self._map_value_end()
            case _Context.ARRAY:
                return self._array_value_end()
            case context:
                return self._pair_end(wrapped=context is _Context.WRAP)

    def _pair_end(self, *, wrapped: bool) -> Item | None:
        char = self._skip(_BLANKS)
        if self._skip_comment():
            self._state = self._pair_start
            return None
        if char == "/":
            self._pos += 1
            return None
        if char == "}" and wrapped:
            self._pos += 1
            self._leave_wrap()
            return None
        if char in "\n\r;,}" or (char == "\0" and not wrapped):
            self._advance(min(self._pos + 1, self._length))
            self._state = self._pair_start
            return None
        level = "block" if wrapped else "top"
        raise self._error(
            f"Expected a {level}-level value to end with a new line, comment or EOF, but got '{char}' instead."
        )

    def _map_value_end(self) -> Item | None:
        char = self._skip(_BLANKS)
        if self._skip_comment():
            return None
        if char == "}":
            return self._end_container(Kind.MAP_END)
        if char in "\n\r;,/":
            self._advance(self._pos + 1)
            self._state = self._pair_start
            return None
        raise self._error(f'Expected a map value terminator "," or a map terminator "}}", but got \'{char}\' instead.')

    def _array_start(self) -> Item | None:
        """Before a value of an array, or its end."""
        char = self._skip(_SPACES)
        if self._skip_comment():
            return None
        if char in ",/":
            raise self._error("Unexpected array value terminator ','.")
        if char == "]":
            return self._end_container(Kind.ARRAY_END)
        self._state = self._value
        return None

    def _array_value_end(self) -> Item | None:
        char = self._skip(_BLANKS)
        if self._skip_comment():
            return None
        if char == "]":
            return self._end_container(Kind.ARRAY_END)
        if char in ",\n\r":
            self._advance(self._pos + 1)
            self._state = self._array_start
            return None
        raise self._error(
            f'Expected an array value terminator "," or an array terminator "]", but got \'{char}\' instead.'
        )

    def _end_container(self, kind: Kind) -> Item:
        self._pos += 1
        self._contexts.pop()
        self._state = self._value_end
        return Item(kind, "", self._line, self._column(self._pos))

    # Values.

    def _value(self) -> Item | None:
        char = self._skip(_BLANKS)
        start = self._pos
        self._state = self._value_end
        match char:
            case "[":
                return self._open(Kind.ARRAY_START, _Context.ARRAY, self._array_start)
            case "{":
                return self._open(Kind.MAP_START, _Context.MAP, self._pair_start)
            case "'":
                return self._raw_string(start + 1)
            case '"':
                return self._quoted_string(start + 1)
            case "(":
                return self._block(start + 1)
            case "-":
                return self._negative_number(start)
            case ".":
                raise self._error("Floats must start with a digit")
            case "\n" | "\r":
                raise self._error_at(char, "Expected value but found new line")
        if char.isdecimal():
            return self._number(start)
        return self._bare_string(start, read=start)

    def _open(self, kind: Kind, context: _Context, state: Callable[[], Item | None]) -> Item:
        self._enter(context)
        self._pos += 1
        self._state = state
        return Item(kind, "", self._line, self._column(self._pos))

    def _scalar(self, kind: Kind, text: str, *, start: int, end: int) -> Item:
        """An item whose text is written between `start` and `end`; reading goes on at `end`."""
        column = self._column(start)
        shorter = _byte_length(self._text[start:end]) - _byte_length(text) if end - start != len(text) else 0
        self._advance(end)
        # nats-server measures back from the end by the decoded length, so escapes move the column.
        return Item(kind, text, self._line, column + shorter)

    def _raw_string(self, start: int) -> Item:
        end = self._text.find("'", start)
        if end < 0:
            self._advance(self._length)
            raise self._error("Unexpected EOF.")
        item = self._scalar(Kind.STRING, self._text[start:end], start=start, end=end)
        self._pos = end + 1
        return item

    def _quoted_string(self, start: int) -> Item:
        parts: list[str] = []
        at = start
        while True:
            end = _end_of(_QUOTED, self._text, at)
            parts.append(self._text[at:end])
            if end == self._length:
                self._advance(end)
                raise self._error("Unexpected EOF.")
            if self._text[end] == '"':
                break
            decoded, at = self._escape(end + 1)
            parts.append(decoded)
        item = self._scalar(Kind.STRING, _join(parts), start=start, end=end)
        self._pos = end + 1
        return item

    def _bare_string(self, start: int, *, read: int) -> Item:
        """A string without quotes; the characters up to `read` belong to it whatever they are."""
        parts = [self._text[start:read]]
        escaped = False
        at = read
        while True:
            end = _end_of(_BARE_STRING, self._text, at)
            parts.append(self._text[at:end])
            if self._text[end : end + 1] != "\\":
                break
            escaped = True
            decoded, at = self._escape(end + 1)
            parts.append(decoded)
        text = _join(parts)
        if self._text[end : end + 1] == "'":
            item = self._scalar(Kind.STRING, text, start=start, end=end)
            self._pos = end + 1
            return item
        if not escaped and text.lower() in _BOOLEANS:
            return self._scalar(Kind.BOOLEAN, text, start=start, end=end)
        if not escaped and text.startswith("$"):
            return self._scalar(Kind.VARIABLE, text[1:], start=start, end=end)
        return self._scalar(Kind.STRING, text, start=start, end=end)

    def _escape(self, at: int) -> tuple[str, int]:
        """What the escape after a backslash stands for, and where reading goes on. Bytes above 0x7f stay bytes."""
        char = self._text[at : at + 1] or "\0"
        if char in _ESCAPES:
            return _ESCAPES[char], at + 1
        self._advance(at)
        if char != "x":
            raise self._error_at(
                char,
                "Invalid escape character '%c'. Only the following escape characters are allowed: "
                '\\xXX, \\t, \\n, \\r, \\", \\\\.',
            )
        end = min(at + 3, self._length)
        digits = self._text[end - 2 : end]
        if "\n" in digits or "\r" in digits:
            raise self._error_at("\n", "Expected two hexadecimal digits after '\\x', but hit end of line")
        try:
            if not digits.isalnum():
                raise ValueError(digits)
            code = int(digits, 16)
        except ValueError:
            raise self._error(f"Expected two hexadecimal digits after '\\x', but got '{digits}'") from None
        return (chr(code) if code < 0x80 else chr(0xDC00 + code)), end

    def _block(self, start: int) -> Item:
        match = _BLOCK_END.search(self._text, start)
        if match is None:
            self._advance(self._length)
            raise self._error("Unexpected EOF processing block.")
        end = match.start() + 1
        item = self._scalar(Kind.STRING, self._text[start:end], start=start, end=end)
        self._pos = end + 1
        return item

    # Numbers, dates and what only looks like them.

    def _negative_number(self, start: int) -> Item:
        after = self._text[start + 1 : start + 2] or "\0"
        if after == ".":
            raise self._error("Floats must start with a digit, not '.'.")
        if not after.isdecimal():
            raise self._error_at(after, "Expected a digit but got '%c'.")
        end = _end_of(_DIGITS, self._text, start + 1)
        char = self._text[end : end + 1]
        if char == ".":
            return self._float(start, dot=end)
        suffix = _SUFFIX.match(self._text, end)
        if suffix is not None:
            return self._suffixed(start, end=suffix.end())
        return self._scalar(Kind.INTEGER, self._text[start:end], start=start, end=end)

    def _number(self, start: int) -> Item:
        end = _end_of(_DIGITS, self._text, start)
        char = self._text[end : end + 1]
        if char == "" or char in _ENDS_NUMBER:
            return self._scalar(Kind.INTEGER, self._text[start:end], start=start, end=end)
        if char == "-":
            return self._date(start, dash=end)
        if char == ".":
            return self._float(start, dot=end)
        suffix = _SUFFIX.match(self._text, end)
        if suffix is not None:
            return self._suffixed(start, end=suffix.end())
        return self._bare_string(start, read=end + 1)

    def _suffixed(self, start: int, *, end: int) -> Item:
        char = self._text[end : end + 1]
        if char == "" or char in _ENDS_NUMBER:
            return self._scalar(Kind.INTEGER, self._text[start:end], start=start, end=end)
        return self._bare_string(start, read=end)

    def _float(self, start: int, *, dot: int) -> Item:
        after = self._text[dot + 1 : dot + 2] or "\0"
        if not after.isdecimal():
            raise self._error_at(after, "Floats must have a digit after the '.', but got '%c' instead.")
        end = _end_of(_DIGITS, self._text, dot + 1)
        if self._text[end : end + 1] != ".":
            return self._scalar(Kind.FLOAT, self._text[start:end], start=start, end=end)
        end = _end_of(_ADDRESS, self._text, end)
        return self._scalar(Kind.STRING, self._text[start:end], start=start, end=end)

    def _date(self, start: int, *, dash: int) -> Item:
        if _byte_length(self._text[start:dash]) != 4:
            raise self._error("All ISO8601 dates must be in full Zulu form.")
        at = dash + 1
        for wanted in _DATE_AFTER_YEAR:
            char = self._text[at : at + 1] or "\0"
            if wanted == "0" and not char.isdecimal():
                raise self._error_at(char, "Expected digit in ISO8601 datetime, but found '%c' instead.")
            if wanted not in ("0", char):
                raise self._error_at(char, f"Expected '{wanted}' in ISO8601 datetime, but found '%c' instead.")
            at += 1
        return self._scalar(Kind.DATE, self._text[start:at], start=start, end=at)


def _end_of(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return start if match is None else match.end()


def _byte_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))


def _join(parts: list[str]) -> str:
    """The decoded string; bytes written as `\\xHH` may complete a UTF-8 sequence."""
    text = "".join(parts)
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
