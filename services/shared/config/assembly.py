"""Puts fields that were read one by one into frozen records.

A field may be written `log.debug`: it belongs to the record in the field `log`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from services.shared.records.record import replace

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Record = TypeVar("Record", bound=DataclassInstance)

Fields = dict[str, object]


def assemble(record: Record, fields: Fields) -> Record:
    """`record` with the fields replaced; `log.debug` goes one record deeper."""
    flat: dict[str, Any] = {}
    nested: dict[str, Fields] = {}
    for name, value in fields.items():
        outer, dot, inner = name.partition(".")
        if dot:
            nested.setdefault(outer, {})[inner] = value
        else:
            flat[name] = value
    for outer, inner_fields in nested.items():
        flat[outer] = assemble(flat.get(outer, getattr(record, outer)), inner_fields)
    return replace(record, **flat)
