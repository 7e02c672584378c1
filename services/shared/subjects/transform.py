"""What is wrong with a subject mapping, in nats-server's words (reference: wire protocol 1.18, security 5.7).

The engine compiles mappings by the same rules (`engine/core/src/mapping`), and applies them; here they are only judged,
early, where the file and line are known. Two destinations are refused that nats-server accepts: the empty one, which
crashes it at the first message, and one of more tokens than the engine matches.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import count
from typing import Final, Protocol

from services.shared.records.record import record
from services.shared.subjects.tokens import FORBIDDEN, has_full_wildcard, is_valid_subject, wildcard_count
from services.shared.wire.quote import quote

TOKENS_MAX: Final = 255
WEIGHT_MAX: Final = 100
_INVALID_SUBJECT: Final = "invalid subject"
_INT32_MIN: Final = -(2**31)
_INT32_MAX: Final = 2**31 - 1
_INT64_MAX: Final = 2**63 - 1
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_ASCII_SPACE: Final = " \t\n\r\f\v"


@record(kw_only=False)
class _Function:
    """A function of destinations; every word of its name may begin with a capital."""

    words: str
    takes_size: bool = False


@cache
def _call(function: _Function) -> re.Pattern[str]:
    """Finds `{{ name ( arguments ) }}` in a token; the arguments are its group. Compiled when first asked for."""
    name = "".join(f"[{word[0]}{word[0].upper()}]{word[1:]}" for word in function.words.split())
    return re.compile(r"\{\{\s*" + name + r"\s*\((.*)\)\s*\}\}", re.ASCII)


_WILDCARD: Final = _Function("wildcard")
_PARTITION: Final = _Function("partition")
_RANDOM: Final = _Function("random")
_SPLIT: Final = _Function("split")
_CUTS: Final = tuple(
    _Function(words, takes_size=True)
    for words in ("split from left", "split from right", "slice from left", "slice from right", "left", "right")
)
_FUNCTIONS: Final = (_WILDCARD, _PARTITION, _RANDOM, *_CUTS, _SPLIT)


class Destination(Protocol):
    """One destination of a mapping, as the configuration or a claim gives it."""

    @property
    def subject(self) -> str:
        """Where to, with `$n` and functions."""

    @property
    def weight(self) -> int:
        """Share in percent."""

    @property
    def cluster(self) -> str:
        """The cluster it is meant for; empty for all others."""


class _Fault(Exception):
    """Something is wrong; the text says what."""


def find_mapping_fault(*, source: str, destinations: Iterable[Destination]) -> str | None:
    """The first thing wrong with a mapping, or None. The caller says which mapping and where."""
    seen: set[str] = set()
    totals: Counter[str] = Counter()
    for destination in destinations:
        if destination.subject in seen:
            return f"duplicate entry for {quote(destination.subject)}"
        seen.add(destination.subject)
        if not 0 <= destination.weight <= WEIGHT_MAX:
            return "individual weights need to be <= 100"
        totals[destination.cluster] += destination.weight
        if totals[destination.cluster] > WEIGHT_MAX:
            return "total weight needs to be <= 100"
        fault = find_transform_fault(source=source, destination=destination.subject)
        if fault is not None:
            return fault
    return None


def find_transform_fault(*, source: str, destination: str) -> str | None:
    """The reason why subjects of `source` cannot be mapped to `destination`, or None when they can."""
    try:
        _check_tokens(destination.split("."))
        if (
            not is_valid_subject(source)
            or source.count(".") >= TOKENS_MAX
            or wildcard_count(destination)
            or has_full_wildcard(source) != has_full_wildcard(destination)
        ):
            return _INVALID_SUBJECT
        for token in destination.split("."):
            _check_references(token, source=source)
    except _Fault as fault:
        return str(fault)
    return None


def find_import_fault(*, subject: str, to: str) -> str | None:
    """The reason why an import of `subject` cannot be called `to`, or None. Every wildcard has to be used, once.

    `to` names the wildcards by number (`numbered`).
    """
    fault = find_transform_fault(source=subject, destination=to)
    if fault is not None:
        return fault
    # Requests are mapped from `to` to the subject, where such a token would stand for a wildcard.
    if any(_is_reference(token) for token in subject.split(".")):
        return _INVALID_SUBJECT
    used: list[int] = []
    for token in to.split("."):
        called = _find_call(token) if _is_braced(token) else None
        if called is not None and called[0] is not _WILDCARD:
            what = "the only mapping function allowed for import transforms is {{Wildcard()}}"
            return f"invalid mapping destination: {what} in {token}"
        number = _integer(token[1:]) if token.startswith("$") else None
        if number is None and called is not None:
            number = _integer(called[1][0].strip(_ASCII_SPACE))
        if number is not None:
            used.append(number)
    if set(used) != set(range(1, wildcard_count(subject) + 1)):
        return f"invalid mapping destination: not using all of the token wildcard(s) in {to}"
    if len(set(used)) < len(used):
        return f"invalid mapping destination: a token wildcard is used twice in {to}"
    return None


def numbered(pattern: str) -> str:
    """The pattern with `$1`, `$2` and so on in place of its `*`."""
    numbers = count(1)
    return ".".join(f"${next(numbers)}" if token == "*" else token for token in pattern.split("."))


def local_pattern(to: str) -> str:
    """The subjects that an import's `to` stands for: `*` for every wildcard that it names."""
    return ".".join("*" if _is_reference(token) else token for token in to.split("."))


def _is_reference(token: str) -> bool:
    return _is_braced(token) or (token.startswith("$") and _integer(token[1:]) is not None)


def _check_tokens(tokens: list[str]) -> None:
    """What can be said without the source."""
    for index, token in enumerate(tokens):
        if not token:
            raise _fault("invalid transform")
        if ">" in tokens[:index] or index >= TOKENS_MAX:
            raise _fault("invalid transform", token)
        if _is_braced(token):
            if _find_call(token) is None:
                raise _fault("unknown function", token)
        elif not FORBIDDEN.isdisjoint(token):
            raise _fault("invalid transform")


def _is_braced(token: str) -> bool:
    return len(token) > 4 and token.startswith("{{") and token.endswith("}}")


def _find_call(token: str) -> tuple[_Function, list[str]] | None:
    """The function that a token calls, and its arguments; white space after a comma belongs to the comma."""
    for function in _FUNCTIONS:
        match = _call(function).search(token)
        if match is not None:
            first, *others = match[1].split(",")
            return function, [first, *(other.lstrip(_ASCII_SPACE) for other in others)]
    return None


def _check_references(token: str, *, source: str) -> None:
    """Checks `$n` and the arguments of functions; every other token is copied as it is."""
    if token.startswith("$"):
        number = _integer(token[1:])
        if number is not None:
            _check_index(number, token, source=source)
        return
    called = _find_call(token) if _is_braced(token) else None
    if called is None:
        return
    function, arguments = called
    if function is _PARTITION:
        indexes = [_number(argument, token) for argument in arguments[1:]]
        _number(arguments[0], token, most=_INT32_MAX)
        if has_full_wildcard(source) or wildcard_count(source):
            for index in indexes:
                _check_index(index, token, source=source)
    elif function is _RANDOM:
        if len(arguments) > 1:  # nats-server's words for too many as well
            raise _fault("not enough arguments passed to the function", token)
        _number(arguments[0], token, most=_INT32_MAX)
    elif function is _WILDCARD:
        if arguments == [""]:
            raise _fault("not enough arguments passed to the function", token)
        _check_count(arguments, token, wanted=1)
        _check_index(_number(arguments[0], token), token, source=source)
    else:
        _check_count(arguments, token, wanted=2)
        index = _number(arguments[0], token)
        if function.takes_size:
            _number(arguments[1], token, least=_INT32_MIN, most=_INT32_MAX)
        elif not {" ", "."}.isdisjoint(arguments[1]):
            raise _bad_argument(token)
        _check_index(index, token, source=source)


def _check_count(arguments: list[str], token: str, *, wanted: int) -> None:
    if len(arguments) < wanted:
        raise _fault("not enough arguments passed to the function", token)
    if len(arguments) > wanted:
        raise _fault("too many arguments passed to the function", token)


def _check_index(index: int, token: str, *, source: str) -> None:
    """Numbers below 1 mean the first token of the subject, whichever it is: nats-server's habit."""
    count = wildcard_count(source)
    if not count and not has_full_wildcard(source):
        raise _fault("wildcard index out of range", token)
    if index > count:
        raise _Fault(f"invalid mapping destination: wildcard index out of range in {token}: [{index}]")


def _number(text: str, token: str, *, least: int = -_INT64_MAX - 1, most: int = _INT64_MAX) -> int:
    number = _integer(text.strip(_ASCII_SPACE))
    if number is None or not least <= number <= most:
        raise _bad_argument(token)
    return number


def _integer(text: str) -> int | None:
    """A decimal integer of 64 bits with an optional sign; longer ones are no numbers here."""
    if _INTEGER.fullmatch(text) is None or len(text) > TOKENS_MAX:
        return None
    number = int(text)
    return number if -_INT64_MAX - 1 <= number <= _INT64_MAX else None


def _bad_argument(token: str) -> _Fault:
    return _fault("function argument is invalid or in the wrong format", token)


def _fault(what: str, token: str | None = None) -> _Fault:
    where = "" if token is None else f" in {token}"
    return _Fault(f"invalid mapping destination: {what}{where}")
