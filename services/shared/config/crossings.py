"""What is wrong with exports and imports beside each other (reference: security 5.2, 5.3).

Every import must name a known account whose exports cover its subject and admit the importer, and no message may come
back by imports to where it crossed already. Cycles are found exactly: a chain of imports is followed with the subjects
that get through, while nats-server compares neighbours only and finds some that are none. Mappings of the accounts on the
way are not looked at, since weights may decide about them; the engine bounds what they could bring back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Final, Generic, TypeVar

from services.shared.config.options import AccountOptions, Export, Import, ServiceExport, ServiceImport, StreamImport
from services.shared.records.record import record
from services.shared.subjects.tokens import covers, has_wildcard, is_valid_subject
from services.shared.subjects.transform import find_import_fault, local_pattern, numbered
from services.shared.wire.quote import quote

CYCLE_STEPS_MAX: Final = 100_000
"""How many crossings a search for cycles looks at; configurations that need more are refused."""
TOKENS_MAX: Final = 255

SomeExport = TypeVar("SomeExport", bound=Export)
SomeImport = TypeVar("SomeImport", StreamImport, ServiceImport)
_Accounts = Mapping[str, AccountOptions]


def find_crossing_faults(accounts: Sequence[AccountOptions]) -> Iterator[str]:
    """Everything that is wrong, in nats-server's order: exports first, streams before services."""
    known = {account.name: account for account in accounts}
    for account in accounts:
        for stream in account.stream_exports:
            yield from _export_faults(stream, "stream", known)
    for account in accounts:
        for service in account.service_exports:
            yield from _export_faults(service, "service", known)
            yield from _latency_faults(service, account.service_exports)
    of_streams: _Kind[StreamImport] = _Kind(
        name="stream",
        imports=lambda account: account.stream_imports,
        exports=lambda account: account.stream_exports,
        fault=_stream_fault,
    )
    of_services: _Kind[ServiceImport] = _Kind(
        name="service",
        imports=lambda account: account.service_imports,
        exports=lambda account: account.service_exports,
        fault=_service_fault,
    )
    yield from _import_faults(of_streams, known)
    yield from _import_faults(of_services, known)


def _latency_faults(service: ServiceExport, exports: Sequence[ServiceExport]) -> Iterator[str]:
    """Measurements go to one subject, which is no service itself, and there is one answer to wait for."""
    if service.latency is None:
        return
    results = service.latency.results
    fault = None
    if has_wildcard(results) or not is_valid_subject(results) or covering_export(exports, results) is not None:
        fault = "invalid publish subject"
    elif service.response_type != "Singleton":
        fault = "bad service response type"
    if fault is not None:
        named = f"Error adding service latency sampling for {quote(service.subject)}"
        yield f"{named} on subject {quote(results)}: {fault}"


class _Accepted(Generic[SomeImport]):
    """The imports that nothing is wrong with, so far."""

    def __init__(self, names: Iterable[str]) -> None:
        self.of: dict[str, list[SomeImport]] = {name: [] for name in names}
        self._names: set[tuple[str, str, str]] = set()

    def add(self, imported: SomeImport, importer: str) -> None:
        """One more."""
        self.of[importer].append(imported)
        self._names.add((importer, imported.account, imported.subject))

    def has_same_subject(self, imported: SomeImport, importer: str) -> bool:
        """Has this account imported that already?"""
        return (importer, imported.account, imported.subject) in self._names


@record
class _Kind(Generic[SomeImport]):
    """What imports of streams, or of services, have of their own. `fault` judges those that an export grants."""

    name: str
    imports: Callable[[AccountOptions], Sequence[SomeImport]]
    exports: Callable[[AccountOptions], Sequence[Export]]
    fault: Callable[[SomeImport, str, _Accepted[SomeImport]], str | None]


def _import_faults(kind: _Kind[SomeImport], known: _Accounts) -> Iterator[str]:
    """Imports come one after another, so that a cycle is the fault of the one that closes it."""
    accepted: _Accepted[SomeImport] = _Accepted(known)
    for account in known.values():
        for imported in kind.imports(account):
            exporter = known.get(imported.account)
            if exporter is None:
                yield f"{quote(imported.account)} account not defined for {kind.name} import"
                continue
            fault: str | None = f"{kind.name} import not authorized"
            if is_granted(kind.exports(exporter), imported, importer=account.name):
                fault = kind.fault(imported, account.name, accepted)
            if fault is None:
                accepted.add(imported, account.name)
            else:
                yield f"Error adding {kind.name} import {quote(imported.subject)}: {fault}"


def is_granted(exports: Sequence[Export], imported: Import, *, importer: str) -> bool:
    """Does one of another account's exports cover the import, and admit who imports?"""
    if not is_valid_subject(imported.subject):
        return False
    export = covering_export(exports, imported.subject)
    return export is not None and admits(export, importer=importer, subject=imported.subject)


def covering_export(exports: Sequence[SomeExport], subject: str) -> SomeExport | None:
    """The export that decides about an import: the one of just that subject, or the narrowest that covers it."""
    found: SomeExport | None = None
    for export in exports:
        if export.subject == subject:
            return export
        if covers(export.subject, subject) and (found is None or covers(found.subject, export.subject)):
            found = export
    return found


def admits(export: Export, *, importer: str, subject: str) -> bool:
    """May this account import this subject, which the export covers?"""
    if export.account_token_position:
        tokens = subject.split(".")
        at = export.account_token_position - 1
        return at < len(tokens) and tokens[at] == importer
    return not export.accounts or importer in export.accounts


def _export_faults(export: Export, kind: str, known: _Accounts) -> Iterator[str]:
    for name in export.accounts:
        if name not in known:
            yield f"{quote(name)} account not defined for {kind} export"
    position = export.account_token_position
    tokens = export.subject.split(".")
    fits = position == 0 or (0 < position <= len(tokens) and tokens[position - 1] == "*")
    if not fits or not is_valid_subject(export.subject):
        yield f"Error adding {kind} export {quote(export.subject)}: sublist: invalid subject"


def _stream_fault(imported: StreamImport, importer: str, accepted: _Accepted[StreamImport]) -> str | None:
    fault = find_import_fault(subject=imported.subject, to=numbered(imported.to))
    if fault is not None:
        shown = f"from {quote(imported.subject)} to {quote(imported.to)}"
        return f"failed to create mapping transform for stream import subject {shown}: {fault}"
    # A stream crosses one border only, so that its importers come back to each other in one way: directly.
    if _is_mutual(imported, importer, accepted.of[imported.account]):
        return "import forms a cycle"
    return "stream import already exists" if accepted.has_same_subject(imported, importer) else None


def _is_mutual(imported: StreamImport, importer: str, of_exporter: Sequence[StreamImport]) -> bool:
    return any(
        other.account == importer
        and intersection(local_pattern(other.to), imported.subject) is not None
        and intersection(local_pattern(imported.to), other.subject) is not None
        for other in of_exporter
    )


def _service_fault(imported: ServiceImport, importer: str, accepted: _Accepted[ServiceImport]) -> str | None:
    if has_wildcard(imported.subject):
        fault = find_import_fault(subject=imported.subject, to=numbered(imported.to))
        if fault is not None:
            shown = f"from {quote(imported.to)} to {quote(imported.subject)}"
            return f"failed to create mapping transform for service import subject {shown}: {fault}"
    elif not is_valid_subject(imported.to) or max(imported.to.count("."), imported.subject.count(".")) >= TOKENS_MAX:
        return "sublist: invalid subject"
    return _cycle_fault(imported, importer, accepted.of)


# Cycles of services: a request goes on wherever it arrives on the local subject of another import.


def _cycle_fault(imported: ServiceImport, importer: str, earlier: Mapping[str, Sequence[ServiceImport]]) -> str | None:
    """Follows requests through all imports they can come to. The first import is where they must not come back."""
    waiting = [(imported.account, imported.subject, frozenset({(importer, imported.account, imported.to)}))]
    steps = 0
    while waiting:
        account, subject, passed = waiting.pop()
        for following in (*earlier[account], *((imported,) if account == importer else ())):
            steps += 1
            if steps > CYCLE_STEPS_MAX:
                return "import forms too many chains"
            through = intersection(local_pattern(following.to), subject)
            if through is None:
                continue
            name = (account, following.account, following.to)
            if name in passed:
                return "import forms a cycle"
            waiting.append((following.account, _crossed(following, through), passed | {name}))
    return None


def _crossed(imported: ServiceImport, through: str) -> str:
    """What requests on `through`, within the import's local subject, are called in the exporting account."""
    if not has_wildcard(imported.subject):
        return imported.subject
    local, tokens = numbered(imported.to).split("."), through.split(".")
    values: dict[int, str] = {}
    for at, token in enumerate(local):
        if token != ">":
            digits = "".join(character for character in token if character.isdigit())
            if token.startswith(("$", "{{")) and digits:
                values[int(digits)] = tokens[at] if at < len(tokens) else "*"
    crossed, number = list[str](), 0
    for token in imported.subject.split("."):
        if token == "*":
            number += 1
            crossed.append(values.get(number, "*"))
        elif token == ">":
            crossed.extend(tokens[len(local) - 1 :])
        else:
            crossed.append(token)
    return ".".join(crossed)


def intersection(one: str, other: str) -> str | None:
    """The pattern of the subjects that both patterns match; None when there are none."""
    tokens: list[str] = []
    left, right = one.split("."), other.split(".")
    for at, (a, b) in enumerate(zip_longest(left, right)):
        if a is None or b is None:
            return None
        if a == ">":
            return ".".join([*tokens, *right[at:]])
        if b == ">":
            return ".".join([*tokens, *left[at:]])
        if a != b and "*" not in (a, b):
            return None
        tokens.append(b if a == "*" else a)
    return ".".join(tokens)
