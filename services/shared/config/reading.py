"""How one option is read: a table per block says which names it knows and how each value is converted.

A `Rule` names the field and the conversion; `read_block` walks a block in the order of the file and collects the
fields. What a conversion refuses becomes one line of the report, and the rest of the block is still read, so that one
pass shows everything (reference: operations 1.7).

A rule whose field is `*` returns several fields at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from services.shared.config.addresses import split_host_port
from services.shared.config.assembly import Fields
from services.shared.config.errors import OptionProblem, Position, Problems
from services.shared.config.includes import ReadFile
from services.shared.config.parser import ConfigMap, Data, Date, Value
from services.shared.config.units import SECOND, DurationError, format_float, parse_duration_ns
from services.shared.wire.quote import quote

INT32_MAX: Final = 2**31 - 1
_PORT = re.compile(r"[+-]?[0-9]{1,18}")
_SEVERAL: Final = "*"


class Reading:
    """What one pass over a file shares: the problems, the files, and the users seen so far."""

    def __init__(self, *, problems: Problems, read_file: ReadFile) -> None:
        self.problems = problems
        self.read_file = read_file
        self.users: set[str] = set()
        self.nkeys: set[str] = set()
        self.single_identity = ""  # "single user/pass" or "token" once the authorization block has one.
        self.store_dir_seen = False


class Entry(NamedTuple):
    """One key of a block, as written, with its value."""

    key: str
    value: Value
    reading: Reading

    def problem(self, message: str) -> OptionProblem:
        """What is wrong with the value, and where it stands."""
        return OptionProblem(message, at=self.value.at)


Convert = Callable[[Entry], object]


class Rule(NamedTuple):
    """Where a value goes and how it gets there."""

    field: str
    convert: Convert


Table = Mapping[str, Rule]
Unknown = Callable[[Entry], None]


def table(*rows: tuple[str, str, Convert]) -> dict[str, Rule]:
    """A table from rows `("name alias alias", field, conversion)`."""
    return {name: Rule(field, convert) for names, field, convert in rows for name in names.split()}


def unknown_field(entry: Entry) -> None:
    """The usual answer to a name that no table has. A helper key that a variable used is no option."""
    if not entry.value.referenced:
        raise entry.problem(f"unknown field {quote(entry.key)}")


def read_block(block: ConfigMap, rules: Table, reading: Reading, *, unknown: Unknown = unknown_field) -> Fields:
    """The fields of a block; what cannot be read is reported and left out."""
    fields: Fields = {}
    for key, value in block.items():
        entry = Entry(key, value, reading)
        rule = rules.get(key.lower())
        try:
            if rule is None:
                unknown(entry)
                continue
            converted = rule.convert(entry)
        except OptionProblem as problem:
            reading.problems.refuse(problem.message, at=problem.at)
            continue
        if rule.field == _SEVERAL and isinstance(converted, dict):
            fields.update(converted)
        else:
            fields[rule.field] = converted
    return fields


# Go's names and notation, for the texts.

_GO_TYPES: Final = (
    (bool, "bool"),
    (int, "int64"),
    (float, "float64"),
    (str, "string"),
    (list, "[]interface {}"),
    (dict, "map[string]interface {}"),
    (Date, "time.Time"),
)


def go_type(data: Data) -> str:
    """The name of the type in nats-server's messages."""
    return next(name for kind, name in _GO_TYPES if isinstance(data, kind))


def show(data: Data) -> str:
    """The value as Go's %v prints it."""
    match data:
        case bool():
            return "true" if data else "false"
        case float():
            return format_float(data)
        case list():
            return f"[{' '.join(show(element.data) for element in data)}]"
        case dict():
            return f"map[{' '.join(f'{key}:{show(data[key].data)}' for key in sorted(data))}]"
        case Date():
            return f"{data.text[:10]} {data.text[11:19]} +0000 UTC"
    return str(data)


def wrong_type(value: Value, wanted: str) -> OptionProblem:
    """A value of another type than `wanted`, in Go's words."""
    return OptionProblem(f"interface conversion: interface {{}} is {go_type(value.data)}, not {wanted}", at=value.at)


# Conversions. Each refuses a value of another type with the text of `wrong_type`.


def string_of(value: Value) -> str:
    """The text of a value."""
    if isinstance(value.data, str):
        return value.data
    raise wrong_type(value, "string")


def integer_of(value: Value) -> int:
    """The whole number of a value."""
    if isinstance(value.data, int) and not isinstance(value.data, bool):
        return value.data
    raise wrong_type(value, "int64")


def map_of(value: Value) -> ConfigMap:
    """The block that a value holds."""
    if isinstance(value.data, dict):
        return value.data
    raise wrong_type(value, "map[string]interface {}")


def list_of(value: Value) -> list[Value]:
    """The array that a value holds."""
    if isinstance(value.data, list):
        return value.data
    raise wrong_type(value, "[]interface {}")


def boolean_of(value: Value) -> bool:
    """The truth value of a value."""
    if isinstance(value.data, bool):
        return value.data
    raise wrong_type(value, "bool")


def string(entry: Entry) -> str:
    """An option that is a text."""
    return string_of(entry.value)


def integer(entry: Entry) -> int:
    """An option that is a whole number."""
    return integer_of(entry.value)


def boolean(entry: Entry) -> bool:
    """An option that is true or false."""
    return boolean_of(entry.value)


def int32(entry: Entry) -> int:
    """An integer that fits into 32 bits."""
    number = integer_of(entry.value)
    if number > INT32_MAX:
        raise entry.problem(f"{entry.key} value is too big")
    return number


def duration(entry: Entry) -> int:
    """Nanoseconds. A bare integer counts as seconds, with a warning."""
    value, name = entry.value, entry.key.lower()
    if isinstance(value.data, str):
        try:
            return parse_duration_ns(value.data)
        except DurationError as error:
            raise entry.problem(f"error parsing {name}: {error}") from None
    entry.reading.problems.warn(name, f"{name} should be converted to a duration", at=value.at)
    return integer_of(value) * SECOND


class HostPort(NamedTuple):
    """An address to listen on; an empty host stands for the default one."""

    host: str
    port: int


def host_port(entry: Entry) -> HostPort:
    """The value of a `listen` option: a port, or `"host:port"`."""
    data = entry.value.data
    if isinstance(data, int) and not isinstance(data, bool):
        return HostPort("", data)
    if not isinstance(data, str):
        raise entry.problem(f"expected port or host:port, got {go_type(data)}")
    split = split_host_port(data)
    if split is None:
        raise entry.problem(f"could not parse address string {quote(data)}")
    host, port = split
    if not _PORT.fullmatch(port):
        raise entry.problem(f"could not parse port {quote(port)}")
    return HostPort(host, int(port))


def warn_high_timeout(entry: Entry, *, timeout_ns: int) -> None:
    """Warns about an authentication time-out above a minute, which is usually an unquoted duration."""
    if timeout_ns <= 60 * SECOND:
        return
    entry.reading.problems.warn(
        entry.key.lower(),
        f"timeout of {show(entry.value.data)} ({timeout_ns / SECOND:.6f} seconds) is high, consider keeping it under "
        "60 seconds. possibly caused by unquoted duration; use '1m' instead of 1m, for example",
        at=entry.value.at,
    )


def seconds_or_duration(entry: Entry, *, what: str) -> int:
    """Nanoseconds from a number of seconds or a duration; `what` names the block in the texts."""
    data = entry.value.data
    if isinstance(data, str):
        try:
            return parse_duration_ns(data)
        except DurationError as error:
            raise entry.problem(f"error parsing {what} config, 'timeout' {error}") from None
    if isinstance(data, int | float) and not isinstance(data, bool):
        return round(data * SECOND)
    raise entry.problem(f"error parsing {what} config, 'timeout' wrong type")


def last_position(block: ConfigMap, otherwise: Position) -> Position:
    """Where the last value of a block stands, which is where nats-server points when a whole block is wrong."""
    return next(reversed(block.values())).at if block else otherwise
