"""The `exports` and `imports` of an account (reference: operations 2.7, security 5.2, 5.3).

Here each entry is read by itself; what it means beside the others, `crossings` judges.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from services.shared.config.assembly import Fields, assemble
from services.shared.config.errors import OptionProblem
from services.shared.config.options import (
    Export,
    Import,
    ServiceExport,
    ServiceImport,
    ServiceLatency,
    StreamExport,
    StreamImport,
)
from services.shared.config.parser import ConfigMap, Value
from services.shared.config.reading import (
    Entry,
    Reading,
    boolean,
    go_type,
    integer,
    list_of,
    read_block,
    string,
    string_of,
    table,
)
from services.shared.config.units import DurationError, parse_duration_ns
from services.shared.subjects.tokens import has_wildcard
from services.shared.subjects.transform import numbered
from services.shared.wire.quote import quote

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,9}")
RESPONSE_TYPES: Final = {
    "single": "Singleton",
    "singleton": "Singleton",
    "stream": "Streamed",
    "chunk": "Chunked",
    "chunked": "Chunked",
}


def exports(entry: Entry) -> Fields:
    """The fields `stream_exports` and `service_exports`."""
    streams: list[StreamExport] = []
    services: list[ServiceExport] = []
    for item in _items(entry, "Export"):
        try:
            export = _export(_block(item, "Export"), entry.reading)
        except OptionProblem as problem:
            entry.reading.problems.refuse(problem.message, at=problem.at)
            continue
        if isinstance(export, ServiceExport):
            services.append(export)
        elif export is not None:
            streams.append(export)
    return {"stream_exports": tuple(streams), "service_exports": tuple(services)}


def imports(entry: Entry) -> Fields:
    """The fields `stream_imports` and `service_imports`."""
    streams: list[StreamImport] = []
    services: dict[tuple[str, str], ServiceImport] = {}
    for item in _items(entry, "Import"):
        try:
            imported = _import(_block(item, "Import"), entry.reading)
            if isinstance(imported, ServiceImport):
                _check_duplicate(imported, services, item)
        except OptionProblem as problem:
            entry.reading.problems.refuse(problem.message, at=problem.at)
            continue
        if isinstance(imported, ServiceImport):
            services[imported.account, imported.to] = imported
        elif imported is not None:
            streams.append(imported)
    return {"stream_imports": tuple(streams), "service_imports": tuple(services.values())}


def _items(entry: Entry, what: str) -> list[Value]:
    data = entry.value.data
    if not isinstance(data, list):
        raise entry.problem(f"{what}s should be an array, got {go_type(data)}")
    return data


def _block(item: Value, what: str) -> ConfigMap:
    if not isinstance(item.data, dict):
        raise OptionProblem(f"{what} Items should be a map with type entry, got {go_type(item.data)}", at=item.at)
    return item.data


def _values(block: ConfigMap) -> dict[str, Value]:
    return {key.lower(): value for key, value in block.items()}


def _export(block: ConfigMap, reading: Reading) -> Export | None:
    refused_before = reading.problems.refused
    fields = read_block(block, _EXPORT_RULES, reading)
    if reading.problems.refused > refused_before:
        return None
    values = _values(block)
    kinds = [key for key in values if key in ("stream", "service") and key in fields]
    if len(kinds) > 1:
        first, second = kinds
        message = f"Detected {second} {quote(str(fields[second]))} but already saw a {first}"
        raise OptionProblem(message, at=values[second].at)
    if not kinds:
        return None
    subject = str(fields.pop(kinds[0]))
    if kinds == ["service"]:
        return assemble(ServiceExport(subject=subject), fields)
    for key, value in values.items():
        if key in _RESPONSE_DIRECTIVES:
            raise OptionProblem("Detected response directive on non-service", at=value.at)
        if key in ("latency", "allow_trace"):
            raise OptionProblem(f"Detected {key} directive on non-service", at=value.at)
    return assemble(StreamExport(subject=subject), fields)


def _import(block: ConfigMap, reading: Reading) -> Import | None:
    refused_before = reading.problems.refused
    fields = read_block(block, _IMPORT_RULES, reading)
    if reading.problems.refused > refused_before:
        return None
    values = _values(block)
    kinds = [key for key in values if key in ("stream", "service") and key in fields]
    if len(kinds) > 1:
        first, second = kinds
        raise OptionProblem(f"Detected {second} but already saw a {first}", at=values[second].at)
    if not kinds:
        return None
    source = fields[kinds[0]]
    assert isinstance(source, tuple)
    account, subject = source
    to, prefix = str(fields.get("to", "")), str(fields.get("prefix", ""))
    if kinds == ["service"] and "allow_trace" in values:
        raise OptionProblem("Detected allow_trace directive on a non-stream", at=values["allow_trace"].at)
    if kinds == ["service"]:
        return ServiceImport(account=account, subject=subject, to=to or subject, share=fields.get("share") is True)
    if to and prefix:
        raise OptionProblem("Stream import can not have a 'prefix' and a 'to' property", at=values["prefix"].at)
    if has_wildcard(prefix):
        message = f"Error adding stream import {quote(subject)}: stream import prefix can not contain wildcard tokens"
        raise OptionProblem(message, at=values["prefix"].at)
    if prefix:
        to = f"{prefix.removesuffix('.')}.{numbered(subject)}"
    return StreamImport(
        account=account, subject=subject, to=to or subject, allow_trace=fields.get("allow_trace") is True
    )


def _check_duplicate(imported: ServiceImport, known: Mapping[tuple[str, str], ServiceImport], item: Value) -> None:
    other = known.get((imported.account, imported.to))
    if other is not None:
        raise OptionProblem(
            f"Duplicate service import subject {quote(imported.to)}, previously used in import for account "
            f"{quote(other.account)}, subject {quote(other.subject)}",
            at=item.at,
        )


def _export_subject(entry: Entry) -> str:
    if not isinstance(entry.value.data, str):
        raise entry.problem(f"Expected {entry.key.lower()} name to be string, got {go_type(entry.value.data)}")
    return entry.value.data


def _accounts(entry: Entry) -> tuple[str, ...]:
    return tuple(string_of(element) for element in list_of(entry.value))


def _response_type(entry: Entry) -> str:
    data = entry.value.data
    if not isinstance(data, str):
        raise entry.problem(f"Expected response type to be string, got {go_type(data)}")
    known = RESPONSE_TYPES.get(data.lower())
    if known is None:
        raise entry.problem(f"Unknown response type: {quote(data)}")
    return known


def _response_threshold(entry: Entry) -> int:
    data = entry.value.data
    wanted = "Expected response threshold to be a parseable time duration, got"
    if not isinstance(data, str):
        raise entry.problem(f"{wanted} {go_type(data)}")
    try:
        threshold_ns = parse_duration_ns(data)
    except DurationError:
        raise entry.problem(f"{wanted} {quote(data)}") from None
    if threshold_ns < 0:
        raise entry.problem(f"{wanted} {quote(data)}, which is negative")
    return threshold_ns or ServiceExport(subject="").response_threshold_ns


def _latency(entry: Entry) -> ServiceLatency:
    data = entry.value.data
    if isinstance(data, str):
        return ServiceLatency(results=data)
    if not isinstance(data, dict):
        raise entry.problem(f"Expected latency entry to be a map/struct or string, got {go_type(data)}")
    values = _values(data)
    sampling = _sampling(values["sampling"]) if "sampling" in values else 100
    subject = values.get("subject")
    if subject is None:
        raise entry.problem("Latency subject required, but missing")
    if not isinstance(subject.data, str):
        raise OptionProblem(f"Expected latency subject to be a string, got {go_type(subject.data)}", at=subject.at)
    return ServiceLatency(results=subject.data, sampling=sampling)


def _sampling(value: Value) -> int:
    """The percentage of requests; 0 for those whose headers ask for it."""
    match value.data:
        case bool() | float():
            wrong = f"Expected latency sample to be a string or map/struct, got {go_type(value.data)}"
            raise OptionProblem(wrong, at=value.at)
        case int():
            percent = value.data
        case str():
            if value.data.lower() == "headers":
                return 0
            digits = value.data.removesuffix("%")
            if not _NUMBER.fullmatch(digits):
                fault = f"strconv.Atoi: parsing {quote(digits)}: invalid syntax"
                raise OptionProblem(f"Failed to parse latency sample: {fault}", at=value.at)
            percent = int(digits)
        case other:
            wrong = f"Expected latency sample to be a string or map/struct, got {go_type(other)}"
            raise OptionProblem(wrong, at=value.at)
    if not 1 <= percent <= 100:
        raise OptionProblem("bad sampling percentage, should be 1-100", at=value.at)
    return percent


def _source(entry: Entry) -> tuple[str, str]:
    """The account and the subject that an import names."""
    if not isinstance(entry.value.data, dict):
        kind = entry.key.capitalize()
        raise entry.problem(f"{kind} entry should be an account map, got {go_type(entry.value.data)}")
    fields = read_block(entry.value.data, _SOURCE_RULES, entry.reading)
    account, subject = fields.get("account", ""), fields.get("subject", "")
    if not account or not subject:
        raise entry.problem("Expect an account name and a subject")
    return str(account), str(subject)


_RESPONSE_DIRECTIVES: Final = frozenset(
    ["response", "response_type", "threshold", "response_threshold", "response_max_time", "response_time"]
)
_EXPORT_RULES: Final = table(
    ("stream", "stream", _export_subject),
    ("service", "service", _export_subject),
    ("accounts", "accounts", _accounts),
    ("account_token_position", "account_token_position", integer),
    ("response response_type", "response_type", _response_type),
    ("latency", "latency", _latency),
    ("allow_trace", "allow_trace", boolean),
    ("threshold response_threshold response_max_time response_time", "response_threshold_ns", _response_threshold),
)
_IMPORT_RULES: Final = table(
    ("stream", "stream", _source),
    ("service", "service", _source),
    ("prefix", "prefix", string),
    ("to", "to", string),
    ("share", "share", boolean),
    ("allow_trace", "allow_trace", boolean),
)
_SOURCE_RULES: Final = table(
    ("account", "account", string),
    ("subject", "subject", string),
)
