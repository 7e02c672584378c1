"""What accounts import from each other, as the engine wants it.

An import takes how it is answered from the export that decides about it. Only accounts whose imports changed are
compiled and installed again, all in one step, so that no mixture of two configurations is ever in force.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from services.router.rib.accounts import AccountNumbers
from services.shared.config.options import AccountOptions, Options, ServiceLatency
from services.shared.engine.forwarding import EngineControl, compile_imports
from services.shared.records.record import record

_SINGLE: Final = "Singleton"


@record(kw_only=False)
class ImportedStream:
    """Subjects of another account, and what they are here."""

    exporter: str
    subject: str
    to: str
    allow_trace: bool = False


@record(kw_only=False)
class ImportedService:
    """Where requests on `to` go, and how they are answered."""

    exporter: str
    subject: str
    to: str
    streamed: bool
    threshold_ns: int
    share: bool
    latency: ServiceLatency | None = None
    allow_trace: bool = False


@record
class AccountImports:
    """Everything that one account imports."""

    streams: tuple[ImportedStream, ...] = ()
    services: tuple[ImportedService, ...] = ()

    @property
    def shares(self) -> bool:
        """Whether some service may know which client asks."""
        return any(service.share for service in self.services)


NOTHING: Final = AccountImports()


def imports_by_account(options: Options) -> dict[str, AccountImports]:
    """The imports of every account that has any. The options have been checked."""
    importers = [account for account in options.accounts if account.stream_imports or account.service_imports]
    if not importers:
        return {}
    known = {account.name: account for account in options.accounts}
    return {account.name: _of_account(account, known) for account in importers}


def _of_account(account: AccountOptions, known: Mapping[str, AccountOptions]) -> AccountImports:
    from services.shared.config.crossings import covering_export  # Only nodes with imports pay for it.
    from services.shared.subjects.transform import numbered

    streams = tuple(
        ImportedStream(stream.account, stream.subject, numbered(stream.to), stream.allow_trace)
        for stream in account.stream_imports
    )
    services = []
    for service in account.service_imports:
        export = covering_export(known[service.account].service_exports, service.subject)
        if export is None:
            raise ValueError(f"account {service.account} does not export {service.subject} to {account.name}")
        streamed, threshold_ns = export.response_type != _SINGLE, export.response_threshold_ns
        to = numbered(service.to) if "*" in service.subject.split(".") else service.to
        services.append(
            ImportedService(
                service.account,
                service.subject,
                to,
                streamed,
                threshold_ns,
                service.share,
                export.latency,
                export.allow_trace,
            )
        )
    return AccountImports(streams=streams, services=tuple(services))


def _timed(latency: ServiceLatency | None) -> tuple[bytes, int | None] | None:
    return None if latency is None else (latency.results.encode(), latency.sampling or None)


def install_imports(
    engine: EngineControl, numbers: AccountNumbers, *, server_name: str, before: Mapping[str, AccountImports],
    after: Mapping[str, AccountImports],
) -> None:  # fmt: skip
    """Installs what changed. All accounts that are named must be installed."""
    if not before and not after:
        return
    from services.shared.wire.json_text import compact  # Only nodes with imports pay for it.

    changes = [
        (
            numbers.number(name),
            compile_imports(
                name=compact(name),
                server=compact(server_name),
                streams=[
                    (numbers.number(stream.exporter), stream.subject.encode(), stream.to.encode(), stream.allow_trace)
                    for stream in after.get(name, NOTHING).streams
                ],
                services=[
                    (
                        numbers.number(service.exporter), service.subject.encode(), service.to.encode(),
                        service.streamed, service.threshold_ns, service.share, _timed(service.latency),
                        service.allow_trace,
                    )
                    for service in after.get(name, NOTHING).services
                ],
            ),
        )
        for name in dict.fromkeys((*before, *after))
        if before.get(name, NOTHING) != after.get(name, NOTHING)
    ]  # fmt: skip
    if changes:
        engine.install_imports(changes)
