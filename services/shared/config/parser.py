"""Turns configuration text into a tree of values.

Promise: `parse` returns the map a file stands for, variables and includes already resolved, or raises ParseError or
FileError with nats-server's wording (reference: operations 1.4 to 1.7). Every value knows where it was written: a value
of a map stands at its key, a value of an array at itself.

The environment and the files come in as arguments. Bounded: nesting (lexer), includes (includes), and `VALUES_MAX`
values after variables are expanded, so that a small text cannot unfold into an endless tree.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from services.shared.config.cursor import Item, Kind
from services.shared.config.errors import ConfigError, ParseError, Position
from services.shared.config.includes import IncludeTrail, ReadFile, read_text, resolve
from services.shared.config.lexer import Lexer
from services.shared.config.units import parse_integer

VALUES_MAX: Final = 5_000_000
_BCRYPT: Final = "2a$"
_ENVIRONMENT_KEY: Final = "pk"
_TRUE: Final = frozenset(("true", "on", "yes"))

ConfigMap = dict[str, "Value"]
Data = bool | int | float | str | datetime | list["Value"] | ConfigMap
"""What a value holds."""


class Value:
    """One value and where it was written. `referenced` is set once a variable has named it."""

    __slots__ = ("at", "data", "referenced", "size")

    def __init__(self, data: Data, *, at: Position, size: int = 1) -> None:
        self.data = data
        self.at = at
        self.size = size
        self.referenced = False


def parse(text: str, *, file: str, environ: Mapping[str, str], read_file: ReadFile) -> ConfigMap:
    """The map that `text`, the content of `file`, stands for."""
    return _Parser(file=file, session=_Session(environ, read_file, IncludeTrail(file))).run(text)


class _Session:
    """What the parsers of a file, its includes and its environment values share."""

    def __init__(self, environ: Mapping[str, str], read_file: ReadFile, trail: IncludeTrail) -> None:
        self.environ = environ
        self.read_file = read_file
        self.trail = trail
        self.resolving: set[str] = set()  # Environment variables whose text is being parsed right now.


class _Frame:
    """A map or an array that is still open. `key` is the key waiting for its value, with its position."""

    __slots__ = ("data", "key", "key_at", "size")

    def __init__(self, data: list[Value] | ConfigMap) -> None:
        self.data = data
        self.key = ""
        self.key_at = Position("", 0, 0)
        self.size = 1


class _Parser:
    def __init__(self, *, file: str, session: _Session) -> None:
        self._file = file
        self._session = session
        self._root: ConfigMap = {}
        self._frames = [_Frame(self._root)]

    def run(self, text: str) -> ConfigMap:
        previous: Item | None = None
        for item in Lexer(text).items():
            if item.kind is Kind.END:
                # A stray `}` at the very end is let through: generated files have it.
                if previous is not None and previous.kind is Kind.KEY and previous.text != "}":
                    raise ParseError(f"config is invalid ({self._file}:{item.line}:{item.column})")
                break
            self._take(item)
            previous = item
        return self._root

    def _take(self, item: Item) -> None:
        frame = self._frames[-1]
        match item.kind:
            case Kind.KEY:
                frame.key = item.text
                frame.key_at = self._position(item)
            case Kind.MAP_START:
                self._frames.append(_Frame({}))
            case Kind.ARRAY_START:
                self._frames.append(_Frame([]))
            case Kind.MAP_END | Kind.ARRAY_END:
                self._frames.pop()
                self._put(Value(frame.data, at=self._position(item), size=frame.size))
            case Kind.INCLUDE:
                self._include(item)
            case Kind.VARIABLE:
                self._put(self._variable(item))
            case _:
                self._put(Value(_scalar(item), at=self._position(item)))

    def _position(self, item: Item) -> Position:
        return Position(self._file, item.line, item.column)

    def _put(self, value: Value) -> None:
        frame = self._frames[-1]
        frame.size += value.size
        if frame.size > VALUES_MAX:
            raise ParseError(f"more than {VALUES_MAX} values after expanding variables")
        if isinstance(frame.data, list):
            frame.data.append(value)
        else:
            value.at = frame.key_at
            frame.data[frame.key] = value

    def _variable(self, item: Item) -> Value:
        """A value of its own that holds what the variable holds."""
        name, at = item.text, self._position(item)
        if name.startswith(_BCRYPT):
            return Value(f"${name}", at=at)
        for frame in reversed(self._frames):
            found = frame.data.get(name) if isinstance(frame.data, dict) else None
            if found is not None:
                found.referenced = True
                return Value(found.data, at=at, size=found.size)
        try:
            found = self._from_environment(name)
        except ConfigError as error:
            raise ParseError(
                f"variable reference for '{name}' on line {item.line} could not be parsed: {error}"
            ) from error
        if found is None:
            raise ParseError(f"variable reference for '{name}' on line {item.line} can not be found")
        return Value(found.data, at=at, size=found.size)

    def _from_environment(self, name: str) -> Value | None:
        resolving = self._session.resolving
        if name in resolving:
            raise ParseError(f"variable reference cycle for '{name}'")
        text = self._session.environ.get(name)
        if text is None:
            return None
        resolving.add(name)
        try:
            parsed = _Parser(file=f"${name}", session=self._session).run(f"{_ENVIRONMENT_KEY}={text}")
        finally:
            resolving.discard(name)
        return parsed.get(_ENVIRONMENT_KEY)

    def _include(self, item: Item) -> None:
        try:
            included = self._read_include(resolve(item.text, by=self._file))
        except ConfigError as error:
            raise ParseError(f"error parsing include file '{item.text}', {error}") from error
        frame = self._frames[-1]
        for key, value in included.items():
            frame.key, frame.key_at = key, value.at
            self._put(value)

    def _read_include(self, path: str) -> ConfigMap:
        session = self._session
        session.trail.enter(path)
        try:
            return _Parser(file=path, session=session).run(read_text(path, session.read_file))
        finally:
            session.trail.leave()


def _scalar(item: Item) -> Data:
    match item.kind:
        case Kind.STRING:
            return item.text
        case Kind.INTEGER:
            return parse_integer(item.text)
        case Kind.BOOLEAN:
            return item.text.lower() in _TRUE
        case Kind.FLOAT:
            return _parse_float(item.text)
        case Kind.DATE:
            return _parse_date(item.text)
    raise AssertionError(f"{item.kind} is not a scalar")


def _parse_float(text: str) -> float:
    if not text.isascii():
        raise ParseError(f"expected float, but got '{text}'")
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ParseError(f"float '{text}' is out of the range")
    return value


def _parse_date(text: str) -> datetime:
    try:
        if not text.isascii():
            raise ValueError(text)
        return datetime.fromisoformat(text)
    except ValueError:
        raise ParseError(f"expected Zulu formatted DateTime, but got '{text}'") from None
