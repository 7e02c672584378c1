"""The place in a configuration text, and the items that are cut out of it there.

Lines count from 1; columns are byte offsets, from 0 on the first line and from 1 below it, as nats-server counts them
(reference: operations 1.7). The text has no NUL, so NUL stands for its end.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, NamedTuple

from services.shared.config.errors import ParseError

END_OF_TEXT: Final = "\0"
_COMMENT = re.compile(r"[^\r\n]*")


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


class Cursor:
    """A position that only moves forward. `pos` may be set directly when no newline is passed over."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.length = len(text)
        self.pos = 0
        self.is_ascii = text.isascii()
        self._line = 1
        self._line_start = 0  # Index of the newline before the current line, hence columns that start at 1 there.
        self._known = (0, 0)  # The last index whose column was asked for, and that column: lines may be long.

    def advance(self, end: int) -> None:
        """Moves to `end`, counting lines."""
        newlines = self.text.count("\n", self.pos, end)
        if newlines:
            self._line += newlines
            self._line_start = self.text.rfind("\n", self.pos, end)
            self._known = (self._line_start, 0)
        self.pos = end

    def column(self, index: int) -> int:
        """The column of `index`, which stands on the current line."""
        if self.is_ascii:
            return index - self._line_start
        known_index, known_column = self._known
        if known_index > index:
            known_index, known_column = self._line_start, 0
        self._known = index, known_column + byte_length(self.text[known_index:index])
        return self._known[1]

    def peek(self) -> str:
        """The character at the current position; NUL at the end, since no text contains one."""
        return self.text[self.pos] if self.pos < self.length else END_OF_TEXT

    def skip(self, pattern: re.Pattern[str]) -> str:
        """Skips what `pattern` matches and returns the character after it."""
        match = pattern.match(self.text, self.pos)
        if match is not None:
            self.advance(match.end())
        return self.peek()

    def skip_comment(self) -> bool:
        """Skips `# ...` and `// ...` up to the end of the line; False when there is no comment here."""
        if self.peek() != "#" and not self.text.startswith("//", self.pos):
            return False
        self.skip(_COMMENT)
        return True

    def error(self, detail: str) -> ParseError:
        """What is wrong, at the current line."""
        return ParseError(f"Parse error on line {self._line}: '{detail}'")

    def error_at(self, char: str, detail: str) -> ParseError:
        """An error about `char`, which counts as read: a newline belongs to the line after it."""
        if char == "\n":
            self._line += 1
        return self.error(detail.replace("%c", "\\n" if char == "\n" else char))

    def item(self, kind: Kind, text: str = "") -> Item:
        """An item that stands here."""
        return Item(kind, text, self._line, self.column(self.pos))

    def slice_item(self, kind: Kind, text: str, *, start: int, end: int, after: int = 0) -> Item:
        """An item written between `start` and `end`, decoded to `text`; reading goes on at `end`, or at `after`.

        nats-server measures back from the end by the decoded length, so escapes move the column.
        """
        column = self.column(start)
        if end - start != len(text):
            column += byte_length(self.text[start:end]) - byte_length(text)
        self.advance(end)
        item = Item(kind, text, self._line, column)
        if after > end:
            self.advance(after)
        return item


def byte_length(text: str) -> int:
    """How many bytes the text has in UTF-8, bytes that were none included."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogateescape"))
