"""Subject mappings, at top level and per account (reference: operations 2.7, security 5.7)."""

from __future__ import annotations

import re
from typing import Final

from services.shared.config.assembly import assemble
from services.shared.config.errors import OptionProblem
from services.shared.config.options import MappingDestination, SubjectMapping
from services.shared.config.parser import Value
from services.shared.config.reading import (
    Entry,
    Reading,
    map_of,
    read_block,
    show,
    string,
    table,
)
from services.shared.subjects.tokens import is_valid_subject
from services.shared.subjects.transform import WEIGHT_MAX, find_mapping_fault, find_transform_fault
from services.shared.wire.quote import quote

_WEIGHT = re.compile(r"[+-]?[0-9]{1,18}")


def mappings(entry: Entry) -> tuple[SubjectMapping, ...]:
    """A `mappings` block. Each source maps to one destination, or to several with weights."""
    parsed: list[SubjectMapping] = []
    for source, value in map_of(entry.value).items():
        try:
            if not is_valid_subject(source):
                raise entry.problem(f"Subject {quote(source)} is not a valid subject")
            parsed.append(_mapping(source, value, entry.reading))
        except OptionProblem as problem:
            entry.reading.problems.refuse(problem.message, at=problem.at)
    return tuple(parsed)


def _mapping(source: str, value: Value, reading: Reading) -> SubjectMapping:
    match value.data:
        case str():
            fault = find_transform_fault(source=source, destination=value.data)
            if fault is not None:
                raise OptionProblem(
                    f"Error adding mapping for {quote(source)} to {quote(value.data)} : {fault}", at=value.at
                )
            return SubjectMapping(source=source, destinations=(MappingDestination(subject=value.data),))
        case dict():
            elements = [value]
        case list():
            elements = value.data
        case _:
            raise OptionProblem("Expected an entry for the mapping destination", at=value.at)
    refused_before = reading.problems.refused
    destinations = tuple(_destination(element, reading) for element in elements)
    if reading.problems.refused > refused_before:
        return SubjectMapping(source=source, destinations=())
    fault = find_mapping_fault(source=source, destinations=destinations)
    if fault is not None:
        raise OptionProblem(f"Error adding mapping for {quote(source)} : {fault}", at=value.at)
    return SubjectMapping(source=source, destinations=destinations)


def _destination(value: Value, reading: Reading) -> MappingDestination:
    if not isinstance(value.data, dict):
        raise OptionProblem("Expected an entry for the mapping destination", at=value.at)
    fields = read_block(value.data, _RULES, reading, unknown=_unknown)
    subject = fields.get("subject", "")
    if "weight" not in fields and "weight" not in {key.lower() for key in value.data}:
        raise OptionProblem(f"Missing weight for mapping destination {quote(str(subject))}", at=value.at)
    return assemble(MappingDestination(subject=""), fields)


def _unknown(entry: Entry) -> None:
    if not entry.value.referenced:
        raise entry.problem(f"Unknown field {quote(entry.key)} for mapping destination")


def _weight(entry: Entry) -> int:
    data = entry.value.data
    if isinstance(data, str):
        text = data.removesuffix("%")
        if not _WEIGHT.fullmatch(text):
            raise entry.problem(f"Invalid weight {quote(text)} for mapping destination")
        weight = int(text)
    elif isinstance(data, int) and not isinstance(data, bool):
        weight = data
    else:
        raise entry.problem(f"Unknown entry type for weight of {show(data)}")
    if not 0 <= weight <= WEIGHT_MAX:
        raise entry.problem(f"Invalid weight {weight} for mapping destination")
    return weight


_RULES: Final = table(
    ("destination dest", "subject", string),
    ("weight", "weight", _weight),
    ("cluster", "cluster", string),
)
