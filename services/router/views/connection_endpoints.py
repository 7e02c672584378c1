"""What a router answers about connections, and what can be done to one by request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from services.router.departures import lame_duck_info
from services.router.views import connz
from services.router.views.certificates import shown_certificates
from services.router.views.sources import Sources
from services.router.views.user_info import user_info
from services.shared.engine.forwarding import ConnectionView, SubscriptionView
from services.shared.member.system_services import DONE, Endpoint, EndpointError, Request
from services.shared.subjects.tokens import overlap
from services.shared.wire.close_reasons import CloseReason

CID: Final = {"cid": "uint64"}


class ConnectionEndpoints:
    """The endpoints about connections."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def table(self) -> Mapping[str, Endpoint]:
        """The endpoints by name."""
        return {
            "CONNZ": Endpoint(self._connz, kind="ConnzEventOptions", members=connz.MEMBERS),
            "ACCOUNT.CONNZ": Endpoint(self._account_connz, kind="ConnzEventOptions", members=connz.MEMBERS),
            "USER.INFO": Endpoint(self._user_info, reads_body=False),
            "KICK": Endpoint(self._kick, members=CID, needs_body=True),
            "LDM": Endpoint(self._lame_duck, members=CID, needs_body=True),
        }

    def _account_connz(self, request: Request) -> dict[str, Any]:
        return self._connz(Request(options={**request.options, "acc": request.asker.account}))

    def _connz(self, request: Request) -> dict[str, Any]:
        options, sources = request.options, self._sources
        connz.check(options)
        clock = connz.Clock(engine_ns=sources.engine.totals()["now_ns"], wall_ns=sources.wall_ns())
        account = None
        if name := options.get("acc"):
            if name not in sources.desk.rules.directory.accounts:
                return connz.unknown_account(options, now_ns=clock.wall_ns)
            account = sources.numbers.number(name)
        page = connz.select(
            options, self._rows(options), clock=clock, account=account, listens=partial(self._listeners, options)
        )
        return connz.connz(
            page, options, server_id=sources.server_id, clock=clock, subscriptions=self._subscriptions(page, options),
            certificates=self._certificates(page.rows) if options.get("auth") else {},
        )  # fmt: skip

    def _rows(self, options: Mapping[str, Any]) -> list[connz.Row]:
        state = options.get("state", connz.OPEN)
        rows: list[connz.Row] = []
        if state in (connz.OPEN, connz.ALL):
            rows += [connz.Row(view, self._sources.note) for view in self._sources.engine.connections()]
        if state in (connz.CLOSED, connz.ALL):
            rows += [connz.closed_row(closed) for closed in self._sources.ring]
        return rows

    def _subscriptions(self, page: connz.Page, options: Mapping[str, Any]) -> dict[int, list[SubscriptionView]]:
        """Those of the open connections of a page, if they are to be shown."""
        found: dict[int, list[SubscriptionView]] = {}
        if options.get("subscriptions") or options.get("subscriptions_detail"):
            for sub in self._sources.engine.subscriptions([row.view.cid for row in page.rows if row.closed is None]):
                found.setdefault(sub.cid, []).append(sub)
        return found

    def _certificates(self, rows: Sequence[connz.Row]) -> dict[int, list[dict[str, str]]]:
        """What peers of open connections showed of themselves, by client id."""
        secure = [row.view.cid for row in rows if row.closed is None and row.note.get("tls_version")]
        chains = self._sources.engine.peer_certificates(secure)
        return {cid: shown_certificates(chain) for cid, chain in zip(secure, chains, strict=True) if chain}

    def _listeners(self, options: Mapping[str, Any], rows: Sequence[connz.Row]) -> set[int]:
        """Those of the rows that have a subscription which the filter may meet."""
        wanted = options["filter_subject"]
        subscriptions = self._sources.engine.subscriptions([row.view.cid for row in rows if row.closed is None])
        for row in rows:
            if row.closed is not None:
                subscriptions += row.closed.subscription_views
        return {sub.cid for sub in subscriptions if overlap(sub.subject.decode(errors="replace"), wanted)}

    def _connection(self, cid: int) -> ConnectionView | None:
        views = self._sources.engine.connections(cid)
        return views[0] if views else None

    def _user_info(self, request: Request) -> dict[str, Any] | None:
        view = self._connection(request.asker.cid)
        if view is None:
            return None  # it left meanwhile
        return user_info(self._sources.note(view), self._sources.desk.rules.directory)

    def _kick(self, request: Request) -> object:
        cid = request.options.get("cid", 0)
        if self._connection(cid) is None:
            raise EndpointError("no such client or leafnode id")
        self._sources.engine.close(cid, CloseReason.KICKED)
        return DONE

    def _lame_duck(self, request: Request) -> object:
        cid = request.options.get("cid", 0)
        view = self._connection(cid)
        if view is None:
            raise EndpointError("no such client id")
        info = lame_duck_info(self._sources.note(view), cid=cid, rules=self._sources.desk.rules)
        if info is None:
            text = "client does not support Lame Duck Mode or is not ready to receive the notification"
            raise EndpointError(text)
        self._sources.engine.announce([cid], info)
        return DONE
