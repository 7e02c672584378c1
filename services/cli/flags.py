"""nats-server's command line: Go's flag syntax, every flag and alias, and what to do next (reference: operations 3).

Promise: `parse_command_line` is pure and returns one of four answers: print something and stop, signal a process, check
a file, or run with these flags. Flags of features that are not supported yet are parsed and refused with a sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from services.shared.config.overrides import FlagOverrides
from services.shared.config.unsupported_flags import UNSUPPORTED_FLAGS
from services.shared.records.record import fields, record
from services.shared.telemetry.release import SERVER_PROGRAM, VERSION_LINE
from services.shared.wire.quote import quote

if TYPE_CHECKING:
    from services.shared.config.includes import ReadFile

_TRUE: Final = frozenset(("1", "t", "T", "true", "TRUE", "True"))
_FALSE: Final = frozenset(("0", "f", "F", "false", "FALSE", "False"))
_INTEGER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO]?[0-7_]*|[1-9][0-9_]*)")
_DIGITS_MAX: Final = 100
_INT64_MAX: Final = 2**63 - 1


@record
class Stop:
    """Print this and exit with this code."""

    stdout: str = ""
    stderr: str = ""
    code: int = 0


@record
class SendSignal:
    """Signal another process; `request` is `command[=target]` as given."""

    request: str


@record
class CheckFile:
    """Check this configuration file and stop (`-t`)."""

    path: str


@record
class Run:
    """Run with these flags."""

    flags: FlagOverrides


CommandLine = Stop | SendSignal | CheckFile | Run


def parse_command_line(arguments: Sequence[str]) -> CommandLine:
    """What the arguments (without the program's name) ask for."""
    try:
        given, words = _parse_flags(arguments)
    except _FlagError as error:
        return _usage(stderr=f"{error}\n")
    if given.get("version"):
        return Stop(stdout=f"{VERSION_LINE}\n")
    if given.get("help"):
        return _usage()
    if given.get("help_tls"):
        from services.cli.usage import tls_help

        return Stop(stdout=tls_help())
    if words:
        return _bare_word(words[0])
    if given.get("signal"):
        return SendSignal(request=given["signal"])
    for name, value in given.items():
        if name in UNSUPPORTED_FLAGS and value:
            return failure(f'flag "-{name}" is not supported yet: {UNSUPPORTED_FLAGS[name]}')
    if not given.get("check"):
        return Run(flags=_overrides(given))
    if not given.get("config_file"):
        return failure("must specify [-c, --config] option to check configuration file syntax")
    return CheckFile(path=given["config_file"])


def check(path: str, *, environ: Mapping[str, str], read_file: ReadFile) -> Stop:
    """What `-t` prints about a file, and its exit code. Warnings count as errors here."""
    # Only `-t` comes here.
    from services.shared.config.errors import ConfigError
    from services.shared.config.load import check_file

    try:
        digest = check_file(path, environ=environ, read_file=read_file)
    except ConfigError as error:
        return failure(str(error))
    return Stop(stderr=f"{SERVER_PROGRAM}: configuration file {path} is valid ({digest})\n")


def failure(text: str) -> Stop:
    """The way every refusal is printed."""
    return Stop(stderr=f"{SERVER_PROGRAM}: {text}\n", code=1)


def _usage(stderr: str = "") -> Stop:
    from services.cli.usage import USAGE

    return Stop(stdout=USAGE, stderr=stderr)


def _bare_word(word: str) -> Stop:
    match word.lower():
        case "version":
            return Stop(stdout=f"{VERSION_LINE}\n")
        case "help":
            return _usage()
    return failure(f'unrecognized command: "{word}"')


# Go's flag syntax.


class _FlagError(Exception):
    """The command line breaks the syntax; the text is Go's."""


def _boolean(text: str, name: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise _FlagError(f"invalid boolean value {quote(text)} for -{name}: parse error")


def _integer(text: str, name: str) -> int:
    if not _INTEGER.fullmatch(text) or "__" in text or text.endswith("_"):
        raise _FlagError(f"invalid value {quote(text)} for flag -{name}: parse error")
    digits = text.replace("_", "").lstrip("+-").lower()
    base = {"0x": 16, "0b": 2, "0o": 8}.get(digits[:2], 8 if digits.startswith("0") else 10)
    digits = digits[2:] if digits[:2] in ("0x", "0b", "0o") else digits
    value = int(digits[:_DIGITS_MAX] or "0", base)
    value = -value if text.startswith("-") else value
    if len(digits) > _DIGITS_MAX or not -_INT64_MAX - 1 <= value <= _INT64_MAX:
        raise _FlagError(f"invalid value {quote(text)} for flag -{name}: value out of range")
    return value


def _text(text: str, name: str) -> str:
    return text


class _Flag(NamedTuple):
    """What a flag sets: one target, or several for the combined log flags."""

    targets: tuple[str, ...]
    convert: Callable[[str, str], Any]


def _rows() -> dict[str, _Flag]:
    rows: tuple[tuple[str, str, Callable[[str, str], Any]], ...] = (
        ("a addr net", "host", _text),
        ("p port", "port", _integer),
        ("n name server_name", "server_name", _text),
        ("client_advertise", "client_advertise", _text),
        ("P pid", "pid_file", _text),
        ("ports_file_dir", "ports_file_dir", _text),
        ("c config", "config_file", _text),
        ("t", "check", _boolean),
        ("sl signal", "signal", _text),
        ("m http_port", "http_port", _integer),
        ("ms https_port", "https_port", _integer),
        ("l log", "log_file", _text),
        ("T logtime", "logtime", _boolean),
        ("logtime_utc", "logtime_utc", _boolean),
        ("s syslog", "syslog", _boolean),
        ("r remote_syslog", "remote_syslog", _text),
        ("D debug", "debug", _boolean),
        ("V trace", "trace", _boolean),
        ("VV", "trace trace_verbose", _boolean),
        ("DV", "debug trace", _boolean),
        ("DVV", "debug trace trace_verbose", _boolean),
        ("log_size_limit", "log_size_limit", _integer),
        ("max_traced_msg_len", "max_traced_msg_len", _integer),
        ("sd store_dir", "store_dir", _text),
        ("user", "user", _text),
        ("pass", "password", _text),
        ("auth", "token", _text),
        ("tls", "tls", _boolean),
        ("tlscert", "tls_cert", _text),
        ("tlskey", "tls_key", _text),
        ("tlscacert", "tls_ca_cert", _text),
        ("tlsverify", "tls_verify", _boolean),
        ("js jetstream", "jetstream", _boolean),
        ("routes", "routes", _text),
        ("cluster cluster_listen", "cluster", _text),
        ("cluster_name", "cluster_name", _text),
        ("cluster_advertise", "cluster_advertise", _text),
        ("no_advertise", "no_advertise", _boolean),
        ("connect_retries", "connect_retries", _integer),
        ("profile", "profile", _integer),
        ("h help", "help", _boolean),
        ("v version", "version", _boolean),
        ("help_tls", "help_tls", _boolean),
    )
    return {name: _Flag(tuple(targets.split()), convert) for names, targets, convert in rows for name in names.split()}


FLAGS: Final = _rows()
"""Every flag by each of its names."""


def _parse_flags(arguments: Sequence[str]) -> tuple[dict[str, Any], Sequence[str]]:
    """What was given by target, and the words after the flags. The last one wins."""
    given: dict[str, Any] = {}
    index = 0
    while index < len(arguments):
        word = arguments[index]
        if len(word) < 2 or not word.startswith("-"):
            break
        index += 1
        if word == "--":
            break
        name, has_value, value = word[2 if word.startswith("--") else 1 :].partition("=")
        if not name or name.startswith("-"):
            raise _FlagError(f"bad flag syntax: {word}")
        flag = FLAGS.get(name)
        if flag is None:
            raise _FlagError(f"flag provided but not defined: -{name}")
        if not has_value and flag.convert is _boolean:
            value = "true"
        elif not has_value:
            if index == len(arguments):
                raise _FlagError(f"flag needs an argument: -{name}")
            value = arguments[index]
            index += 1
        given |= dict.fromkeys(flag.targets, flag.convert(value, name))
    return given, arguments[index:]


def _overrides(given: Mapping[str, Any]) -> FlagOverrides:
    return FlagOverrides(**{name: value for name, value in given.items() if name in _OVERRIDES})


_OVERRIDES: Final = frozenset(field.name for field in fields(FlagOverrides))
