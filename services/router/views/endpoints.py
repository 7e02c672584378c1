"""What a router answers to requests of the system account: the table of endpoints, over the parts that know."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from services.router.admission.desk import Desk
from services.router.closed_ring import ClosedRing
from services.router.newcomers import arrived, unsettled_note
from services.router.rib.accounts import AccountNumbers
from services.router.views import accountz, accstatz, connz, healthz, standalone, subsz, varz
from services.router.views.certificates import certificate_ends, shown_certificates
from services.shared.config.options import Options
from services.shared.engine.forwarding import AccountView, ConnectionView, Forwarding, SubscriptionView
from services.shared.member.encoding import encoded
from services.shared.member.server_info import server_info
from services.shared.member.system_services import Endpoint, EndpointError, Request, SystemServices
from services.shared.runtime.role_plan import RolePlan
from services.shared.runtime.usage import ProcessUsage, core_count, usable_cores
from services.shared.subjects.tokens import is_valid_literal_subject, overlap

GLOBAL_ACCOUNT: Final = "$G"
HTTP_REQUESTS: Final = "http_requests"
"""An option that only the monitor of this node may use: its counters, to be shown with the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedAnswer:
    """An answer as it is sent: a header block, or none, and the body."""

    headers: bytes
    body: bytes


class RouterEndpoints:
    """Answers requests from what the engine, the desk and the ring of closed connections know.

    `next_message` numbers what the server says of itself, `unique_id` names events, `wall_ns` reads the wall clock.
    """

    def __init__(
        self, plan: RolePlan, *, engine: Forwarding, desk: Desk, numbers: AccountNumbers, ring: ClosedRing,
        next_message: Callable[[], int], unique_id: Callable[[], str], wall_ns: Callable[[], int],
    ) -> None:  # fmt: skip
        self._plan = plan
        self._engine = engine
        self._desk = desk
        self._numbers = numbers
        self._ring = ring
        self._next_message = next_message
        self._unique_id = unique_id
        self._wall_ns = wall_ns
        self._usage = ProcessUsage()
        self._http_requests: dict[str, int] = {}
        self._id = plan.identity.server_id
        self._table: Mapping[str, Endpoint] = {
            "IDZ": Endpoint(self._idz, wrapper=""),
            "STATSZ": Endpoint(self._statsz, wrapper="statsz"),
            "VARZ": Endpoint(self._varz, kind="VarzEventOptions", members={HTTP_REQUESTS: "map"}),
            "SUBSZ": Endpoint(self._subsz, kind="SubszEventOptions", members=subsz.MEMBERS),
            "CONNZ": Endpoint(self._connz, kind="ConnzEventOptions", members=connz.MEMBERS),
            "ROUTEZ": Endpoint(self._routez, kind="RoutezEventOptions"),
            "GATEWAYZ": Endpoint(self._alone(standalone.gatewayz), kind="GatewayzEventOptions"),
            "LEAFZ": Endpoint(self._alone(standalone.leafz), kind="LeafzEventOptions"),
            "JSZ": Endpoint(self._alone(standalone.jsz), kind="JszEventOptions"),
            "ACCOUNTZ": Endpoint(self._accountz, kind="AccountzEventOptions", members=accountz.MEMBERS),
            "HEALTHZ": Endpoint(lambda request: healthz.healthz(request.options), kind="HealthzEventOptions",
                                members=healthz.MEMBERS),
            "ACCOUNT.CONNZ": Endpoint(self._account_connz, kind="ConnzEventOptions", members=connz.MEMBERS),
            "ACCOUNT.SUBSZ": Endpoint(self._account_subsz, kind="SubszEventOptions", members=subsz.MEMBERS),
            "ACCOUNT.LEAFZ": Endpoint(self._alone(standalone.leafz), kind="LeafzEventOptions"),
            "ACCOUNT.INFO": Endpoint(self._account_info),
            "ACCOUNT.STATZ": Endpoint(self._account_statz, kind="AccountStatzEventOptions", members=accstatz.MEMBERS),
            "ACCOUNT.CONNS": Endpoint(self._account_connections, wrapper=""),
        }  # fmt: skip

    def follow(self, options: Options, loaded_ns: int) -> None:
        """These options are in force since `loaded_ns`, wall time. To be called once before anything else."""
        plan = self._plan
        directory = self._desk.rules.directory
        info = server_info(options, plan.identity)
        self._services = SystemServices(info, wall_ns=self._wall_ns, next_message=self._next_message)
        self._standing = varz.Standing(
            identity=plan.identity,
            options=options,
            ports=plan.ports,
            git_commit=plan.git_commit,
            system_account=directory.system_account or "",
            auth_required=directory.auth_required,
            started_ns=plan.started_ns,
            loaded_ns=loaded_ns,
            certificate_ends=certificate_ends(options),
        )

    def answer(self, name: str, *, headers: bytes, body: bytes, account: str, trusted: bool) -> EncodedAnswer | None:
        """The answer of an endpoint, or None when there is none to give."""
        text = self._services.answer(self._table[name], body, account=account, trusted=trusted)
        if text is None:
            return None
        if not headers:
            return EncodedAnswer(headers=b"", body=text)
        return EncodedAnswer(**encoded(text, request_headers=headers))

    # The server

    def _idz(self, request: Request) -> dict[str, Any]:
        info = self._services.info
        return {"name": info.name, "host": info.host, "id": info.id}

    def _machine(self) -> varz.Machine:
        return varz.Machine(
            memory_bytes=self._usage.memory_bytes(),
            cpu_percent=self._usage.cpu_percent(),
            cores=core_count(),
            usable_cores=usable_cores(),
        )

    def _varz(self, request: Request) -> dict[str, Any]:
        if request.trusted:
            self._http_requests |= request.options.get(HTTP_REQUESTS, {})
        return varz.varz(
            self._standing, self._machine(), now_ns=self._wall_ns(), totals=self._totals(),
            http_requests=self._http_requests,
        )  # fmt: skip

    def _totals(self) -> dict[str, int]:
        totals = self._engine.totals()
        totals["total_connections"] += self._ring.unopened
        return totals

    def _statsz(self, request: Request) -> dict[str, Any]:
        active = sum(view.connections > 0 for _, view in self._accounts())
        return varz.statsz(self._standing, self._machine(), totals=self._totals(), active_accounts=active)

    def _routez(self, request: Request) -> dict[str, Any]:
        return standalone.routez(server_id=self._id, server_name=self._services.info.name, now_ns=self._wall_ns())

    def _alone(self, view: Callable[..., dict[str, Any]]) -> Callable[[Request], dict[str, Any]]:
        def answer(request: Request) -> dict[str, Any]:
            return view(server_id=self._id, now_ns=self._wall_ns())

        return answer

    # Accounts

    def _accounts(self) -> list[tuple[str, AccountView]]:
        """All configured accounts, by number."""
        configured = self._desk.rules.directory.accounts
        named = ((self._numbers.name(view.number), view) for view in self._engine.accounts())
        return [(name, view) for name, view in named if name in configured]

    def _account(self, name: str) -> AccountView:
        for known, view in self._accounts():
            if known == name:
                return view
        raise EndpointError(f"Account {name} does not exist")

    def _detail(self, name: str) -> dict[str, Any]:
        options = self._standing.options
        by_account = {account.name: account.mappings for account in options.accounts}
        return accountz.account_detail(
            self._account(name), name=name, is_system=name == self._standing.system_account,
            updated_ns=self._standing.loaded_ns,
            mappings=options.mappings if name == GLOBAL_ACCOUNT else by_account.get(name, ()),
        )  # fmt: skip

    def _accountz(self, request: Request) -> dict[str, Any]:
        about = partial(
            accountz.accountz, server_id=self._id, now_ns=self._wall_ns(), system_account=self._standing.system_account
        )
        if name := request.options.get("account"):
            return about(detail=self._detail(name))
        return about(names=[name for name, _ in self._accounts()])

    def _account_info(self, request: Request) -> dict[str, Any]:
        return self._detail(request.account)

    def _account_statz(self, request: Request) -> dict[str, Any] | None:
        """Of all accounts with connections, or of those that are meant; nothing at all is no answer."""
        wanted = request.options.get("accounts", ())
        unused = request.options.get("include_unused", False)
        asked_all = request.account == "PING"
        chosen = [
            (name, view)
            for name, view in self._accounts()
            if (name == request.account or asked_all) and (not wanted or name in wanted or not asked_all)
        ]
        stats = accstatz.accstatz(chosen, server_id=self._id, now_ns=self._wall_ns(), unused=unused)
        return stats if stats["account_statz"] or asked_all else None

    def _account_connections(self, request: Request) -> dict[str, Any] | None:
        """The event about an account's connections, or nothing when it has none."""
        found = [view for name, view in self._accounts() if name == request.account and view.connections]
        if not found:
            return None
        return accstatz.connections_event(
            found[0], name=request.account, event_id=self._unique_id(), now_ns=self._wall_ns(),
            server=self._services.block(),
        )  # fmt: skip

    # Subscriptions

    def _account_subsz(self, request: Request) -> dict[str, Any]:
        return self._subsz(Request(options={**request.options, "account": request.account, "subscriptions": True}))

    def _subsz(self, request: Request) -> dict[str, Any]:
        options = request.options
        test, name = options.get("test", ""), options.get("account", "")
        if test and not is_valid_literal_subject(test):
            raise EndpointError(f"invalid test subject, must be valid publish subject: {test}")
        offset, limit = connz.page_bounds(options)
        accounts = [(known, view) for known, view in self._accounts() if not name or known == name]
        total, page = 0, list[SubscriptionView]()
        if options.get("subscriptions") and accounts:
            total, page = self._engine.subscription_page(
                account=accounts[0][1].number if name else None, test=test.encode() or None, offset=offset, limit=limit
            )
        return subsz.subsz(
            subsz.together(view.lookups for _, view in accounts), server_id=self._id, now_ns=self._wall_ns(),
            offset=offset, limit=limit, total=total, page=page, account_name=self._numbers.name,
        )  # fmt: skip

    # Connections

    def _account_connz(self, request: Request) -> dict[str, Any]:
        return self._connz(Request(options={**request.options, "acc": request.account}))

    def _connz(self, request: Request) -> dict[str, Any]:
        options = request.options
        connz.check(options)
        clock = connz.Clock(engine_ns=self._engine.totals()["now_ns"], wall_ns=self._wall_ns())
        account = None
        if name := options.get("acc"):
            if name not in self._desk.rules.directory.accounts:
                return connz.unknown_account(options, now_ns=clock.wall_ns)
            account = self._numbers.number(name)
        page = connz.select(options, self._rows(options), clock=clock, account=account,
                            listens=partial(self._listeners, options))  # fmt: skip
        still_open = [row.view.cid for row in page.rows if row.closed is None]
        subscriptions: dict[int, list[SubscriptionView]] = {}
        if options.get("subscriptions") or options.get("subscriptions_detail"):
            for sub in self._engine.subscriptions(still_open):
                subscriptions.setdefault(sub.cid, []).append(sub)
        return connz.connz(
            page, options, server_id=self._id, clock=clock, subscriptions=subscriptions,
            certificates=self._certificates(page.rows) if options.get("auth") else {},
        )  # fmt: skip

    def _certificates(self, rows: Sequence[connz.Row]) -> dict[int, list[dict[str, str]]]:
        """What peers of open connections showed of themselves, by client id."""
        secure = [row.view.cid for row in rows if row.closed is None and row.note.get("tls_version")]
        chains = self._engine.peer_certificates(secure)
        return {cid: shown_certificates(chain) for cid, chain in zip(secure, chains, strict=True) if chain}

    def _rows(self, options: Mapping[str, Any]) -> list[connz.Row]:
        state = options.get("state", connz.OPEN)
        rows: list[connz.Row] = []
        if state in (connz.OPEN, connz.ALL):
            rows += [connz.Row(view, self._note) for view in self._engine.connections()]
        if state in (connz.CLOSED, connz.ALL):
            rows += [connz.closed_row(closed) for closed in self._ring]
        return rows

    def _note(self, view: ConnectionView) -> dict[str, Any]:
        """What is noted about an open connection, also about one that has not said anything yet."""
        if view.about:
            note: dict[str, Any] = json.loads(view.about)
            return note
        newcomer = self._desk.newcomer(view.cid)
        if newcomer is None and view.arrival is not None:
            newcomer = arrived(view.cid, view.arrival)
        if newcomer is None:
            raise LookupError(f"nobody knows where connection {view.cid} came from")
        note = unsettled_note(newcomer)
        return note if view.account is None else note | {"account": self._numbers.name(view.account)}

    def _listeners(self, options: Mapping[str, Any], rows: Sequence[connz.Row]) -> set[int]:
        """Those of the rows that have a subscription which the filter may meet."""
        wanted = options["filter_subject"]
        subscriptions = self._engine.subscriptions([row.view.cid for row in rows if row.closed is None])
        for row in rows:
            if row.closed is not None:
                subscriptions += row.closed.subscription_views
        return {sub.cid for sub in subscriptions if overlap(sub.subject.decode(errors="replace"), wanted)}
