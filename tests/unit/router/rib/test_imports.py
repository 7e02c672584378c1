"""Imports take how they are answered from the export that decides, and only what changed is installed again."""

from __future__ import annotations

from services.router.rib.accounts import AccountNumbers
from services.router.rib.imports import (
    AccountImports,
    ImportedService,
    ImportedStream,
    imports_by_account,
    install_imports,
)
from services.shared.config.options import (
    AccountOptions,
    Options,
    ServiceExport,
    ServiceImport,
    StreamExport,
    StreamImport,
)
from services.shared.engine.manual import ManualForwarding
from tests.golden.manual_router import ManualRouter

EXPORTER = AccountOptions(
    name="E",
    stream_exports=(StreamExport(subject="s.>"),),
    service_exports=(
        ServiceExport(subject="q.>", response_threshold_ns=7),
        ServiceExport(subject="q.many", response_type="Streamed"),
    ),
)
IMPORTER = AccountOptions(
    name="I",
    stream_imports=(StreamImport(account="E", subject="s.*.*", to="x.$2.$1"),),
    service_imports=(
        ServiceImport(account="E", subject="q.many", to="many.*", share=True),
        ServiceImport(account="E", subject="q.*", to="one.*"),
    ),
)


def test_an_import_is_answered_as_its_export_says() -> None:
    assert imports_by_account(Options(accounts=(EXPORTER, IMPORTER))) == {
        "I": AccountImports(
            streams=(ImportedStream("E", "s.*.*", "x.$2.$1"),),
            services=(
                ImportedService("E", "q.many", "many.*", True, 120_000_000_000, True),
                ImportedService("E", "q.*", "one.$1", False, 7, False),
            ),
        )
    }
    assert imports_by_account(Options(accounts=(EXPORTER,))) == {}


class Recording(ManualForwarding):
    """An engine that tells what was installed."""

    __slots__ = ("installed",)

    def install_imports(self, changes):  # type: ignore[no-untyped-def]
        self.installed = [number for number, _ in changes]
        super().install_imports(changes)


def test_only_accounts_whose_imports_changed_are_installed() -> None:
    stream = ImportedStream("E", "s", "s")
    one, other = AccountImports(streams=(stream,)), AccountImports(streams=(ImportedStream("E", "s", "t"),))
    router = ManualRouter("accounts { E {}, A {}, B {}, C {} }")
    engine = Recording.__new__(Recording)
    engine._engine = router.engine._engine
    numbers = AccountNumbers()
    for name in ("E", "A", "B", "C"):
        engine.install_account(numbers.number(name))

    def installed(before: dict[str, AccountImports], after: dict[str, AccountImports]) -> list[str]:
        engine.installed = []
        install_imports(engine, numbers, server_name="N", before=before, after=after)
        return [numbers.name(number) for number in engine.installed]

    assert installed({}, {"A": one, "B": one}) == ["A", "B"]
    assert installed({"A": one, "B": one}, {"A": one, "B": one}) == []
    assert installed({"A": one, "B": one}, {"B": other, "C": one}) == ["A", "B", "C"]
