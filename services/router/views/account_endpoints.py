"""What a router answers about accounts and their subscriptions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from services.router.views import accountz, accstatz, connz, subsz
from services.router.views.sources import Sources
from services.router.views.varz import Standing
from services.shared.config.options import AccountOptions, ServiceLatency
from services.shared.engine.forwarding import AccountView, SubscriptionView
from services.shared.member.system_services import Endpoint, EndpointError, Request
from services.shared.subjects.tokens import is_valid_literal_subject

GLOBAL_ACCOUNT: Final = "$G"
ALL_ACCOUNTS: Final = "PING"
"""What stands for the account in a subject when all of them are meant."""


class AccountEndpoints:
    """The endpoints about accounts. `standing` gives what is in force, `server` the block about this server."""

    def __init__(
        self, sources: Sources, *, standing: Callable[[], Standing], server: Callable[[], dict[str, Any]]
    ) -> None:
        self._sources = sources
        self._standing = standing
        self._server = server

    def table(self) -> Mapping[str, Endpoint]:
        """The endpoints by name."""
        return {
            "SUBSZ": Endpoint(self._subsz, kind="SubszEventOptions", members=subsz.MEMBERS),
            "ACCOUNTZ": Endpoint(self._accountz, kind="AccountzEventOptions", members=accountz.MEMBERS),
            "ACCOUNT.SUBSZ": Endpoint(self._account_subsz, kind="SubszEventOptions", members=subsz.MEMBERS),
            "ACCOUNT.INFO": Endpoint(self._account_info),
            "ACCOUNT.STATZ": Endpoint(self._account_statz, kind="AccountStatzEventOptions", members=accstatz.MEMBERS),
            "ACCOUNT.CONNS": Endpoint(self._connections_event, wrapper=""),
        }

    def _detail(self, name: str) -> dict[str, Any]:
        found = [view for known, view in self._sources.accounts() if known == name]
        if not found:
            raise EndpointError(f"Account {name} does not exist")
        standing = self._standing()
        by_name = {account.name: account for account in standing.options.accounts}
        options = by_name.get(name, AccountOptions(name=name))
        if name == GLOBAL_ACCOUNT:
            options = AccountOptions(name=name, mappings=standing.options.mappings)
        return accountz.account_detail(
            found[0], system_account=standing.system_account, updated_ns=standing.loaded_ns, options=options,
            timed=dict(_timed_imports(options, by_name)), requests=self._open_requests(found[0].number),
        )  # fmt: skip

    def _open_requests(self, number: int) -> list[accountz.OpenRequest]:
        sources = self._sources
        return [
            accountz.OpenRequest(
                subject=request.subject.decode(errors="replace"),
                account=sources.numbers.name(request.asker),
                reply=request.reply.decode(errors="replace"),
                shared=request.shared,
                latency=None
                if request.latency is None
                else ServiceLatency(results=request.latency[0].decode(), sampling=request.latency[1] or 0),
            )
            for request in sources.engine.open_requests(number, at_most=accountz.OPEN_REQUESTS_MAX)
        ]

    def _accountz(self, request: Request) -> dict[str, Any]:
        sources = self._sources
        about = partial(
            accountz.accountz, server_id=sources.server_id, now_ns=sources.wall_ns(),
            system_account=self._standing().system_account,
        )  # fmt: skip
        if name := request.options.get("account"):
            return about(detail=self._detail(name))
        return about(names=[name for name, _ in sources.accounts()])

    def _account_info(self, request: Request) -> dict[str, Any]:
        return self._detail(request.asker.account)

    def _account_statz(self, request: Request) -> dict[str, Any] | None:
        """Of all accounts with connections, or of those that are meant; nothing at all is no answer."""
        wanted = request.options.get("accounts", ())
        of_all = request.asker.account == ALL_ACCOUNTS

        def is_meant(name: str) -> bool:
            return not wanted or name in wanted if of_all else name == request.asker.account

        stats = accstatz.accstatz(
            [(name, view) for name, view in self._sources.accounts() if is_meant(name)],
            server_id=self._sources.server_id, now_ns=self._sources.wall_ns(),
            unused=request.options.get("include_unused", False),
        )  # fmt: skip
        return stats if stats["account_statz"] or of_all else None

    def _connections_event(self, request: Request) -> dict[str, Any] | None:
        """The event about an account's connections, or nothing when it has none."""
        found = [view for name, view in self._sources.accounts() if name == request.asker.account and view.connections]
        if not found:
            return None
        return accstatz.connections_event(
            found[0], name=request.asker.account, event_id=self._sources.unique_id(), now_ns=self._sources.wall_ns(),
            server=self._server(),
        )  # fmt: skip

    def _account_subsz(self, request: Request) -> dict[str, Any]:
        return self._subsz(
            Request(options={**request.options, "account": request.asker.account, "subscriptions": True})
        )

    def _subsz(self, request: Request) -> dict[str, Any]:
        options, sources = request.options, self._sources
        test, name = options.get("test", ""), options.get("account", "")
        if test and not is_valid_literal_subject(test):
            raise EndpointError(f"invalid test subject, must be valid publish subject: {test}")
        offset, limit = connz.page_bounds(options)
        accounts: list[AccountView] = [view for known, view in sources.accounts() if not name or known == name]
        total, page = 0, list[SubscriptionView]()
        if options.get("subscriptions") and accounts:
            total, page = sources.engine.subscription_page(
                account=accounts[0].number if name else None, test=test.encode() or None, offset=offset, limit=limit
            )
        return subsz.subsz(
            subsz.together(view.lookups for view in accounts), server_id=sources.server_id, now_ns=sources.wall_ns(),
            offset=offset, limit=limit, total=total, page=page, account_name=sources.numbers.name,
        )  # fmt: skip


def _timed_imports(
    options: AccountOptions, accounts: Mapping[str, AccountOptions]
) -> Iterator[tuple[tuple[str, str], ServiceLatency]]:
    """The service imports whose export asks for times, by exporting account and local subject."""
    for service in options.service_imports:
        exports = accounts[service.account].service_exports
        if any(export.latency is not None for export in exports):
            # Nodes that time nothing need not know which export covers what.
            from services.shared.config.crossings import covering_export

            export = covering_export(exports, service.subject)
            if export is not None and export.latency is not None:
                yield (service.account, service.to), export.latency
