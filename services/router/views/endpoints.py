"""What a router answers to requests of the system account: the table of endpoints, over the parts that know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from services.router.views import healthz, standalone, varz
from services.router.views.account_endpoints import AccountEndpoints
from services.router.views.certificates import certificate_ends
from services.router.views.connection_endpoints import ConnectionEndpoints
from services.router.views.sources import Sources
from services.shared.config.options import ClusterOptions, Options
from services.shared.engine.forwarding import SubscriptionView
from services.shared.identity.permissions import Permissions
from services.shared.member.encoding import encoded
from services.shared.member.server_info import server_info
from services.shared.member.system_services import Asker, Endpoint, Request, SystemServices
from services.shared.records.record import record
from services.shared.runtime.role_plan import RolePlan
from services.shared.runtime.usage import ProcessUsage, core_count, usable_cores

if TYPE_CHECKING:
    from services.shared.member.routes.mesh import Peer

HTTP_REQUESTS: Final = "http_requests"
"""An option that only the monitor of this node may use: its counters, to be shown with the rest."""


@record
class EncodedAnswer:
    """An answer as it is sent: a header block, or none, and the body."""

    headers: bytes
    body: bytes


class RouterEndpoints:
    """Answers requests from what its sources know. `next_message` numbers what the server says of itself."""

    def __init__(self, plan: RolePlan, sources: Sources, *, next_message: Callable[[], int]) -> None:
        self._plan = plan
        self._sources = sources
        self._next_message = next_message
        self._usage = ProcessUsage()
        self._http_requests: dict[str, int] = {}
        about_accounts = AccountEndpoints(
            sources, standing=lambda: self._standing, server=lambda: self._services.block()
        )
        self._table: Mapping[str, Endpoint] = {
            "IDZ": Endpoint(self._idz, wrapper=""),
            "STATSZ": Endpoint(self._statsz, wrapper="statsz"),
            "VARZ": Endpoint(self._varz, kind="VarzEventOptions", members={HTTP_REQUESTS: "map"}),
            "HEALTHZ": Endpoint(
                lambda request: healthz.healthz(request.options), kind="HealthzEventOptions", members=healthz.MEMBERS
            ),
            "ROUTEZ": Endpoint(
                self._routez,
                kind="RoutezEventOptions",
                members={"subscriptions": "bool", "subscriptions_detail": "bool"},
            ),
            "GATEWAYZ": Endpoint(self._alone(standalone.gatewayz), kind="GatewayzEventOptions"),
            "LEAFZ": Endpoint(self._alone(standalone.leafz), kind="LeafzEventOptions"),
            "JSZ": Endpoint(self._alone(standalone.jsz), kind="JszEventOptions"),
            "ACCOUNT.LEAFZ": Endpoint(self._alone(standalone.leafz), kind="LeafzEventOptions"),
            **about_accounts.table(),
            **ConnectionEndpoints(sources).table(),
        }

    def follow(self, options: Options, loaded_ns: int) -> None:
        """These options are in force since `loaded_ns`, wall time. To be called once before anything else."""
        plan = self._plan
        directory = self._sources.desk.rules.directory
        info = server_info(options, plan.identity)
        self._services = SystemServices(info, wall_ns=self._sources.wall_ns, next_message=self._next_message)
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

    def answer(self, name: str, body: bytes, *, headers: bytes, asker: Asker) -> EncodedAnswer | None:
        """The answer of an endpoint, or None when there is none to give."""
        text = self._services.answer(self._table[name], body, asker)
        if text is None:
            return None
        if not headers:
            return EncodedAnswer(headers=b"", body=text)
        return EncodedAnswer(**encoded(text, request_headers=headers))

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
        if request.asker.is_trusted:
            self._http_requests |= request.options.get(HTTP_REQUESTS, {})
        peers = self._sources.peers()
        return varz.varz(
            self._standing, self._machine(), now_ns=self._sources.wall_ns(), totals=self._sources.totals(),
            http_requests=self._http_requests, routes=len(peers), remotes=_servers(peers),
        )  # fmt: skip

    def _statsz(self, request: Request) -> dict[str, Any]:
        active = sum(view.connections > 0 for _, view in self._sources.accounts())
        peers = self._sources.peers()
        return varz.statsz(
            self._standing, self._machine(), totals=self._sources.totals(), active_accounts=active,
            routes=self._route_statistics(peers) if peers else (), remotes=_servers(peers),
        )  # fmt: skip

    @property
    def _cluster(self) -> ClusterOptions:
        return self._standing.options.cluster or ClusterOptions()

    def _route_statistics(self, peers: Sequence[Peer]) -> list[dict[str, Any]]:
        # Only routers with routes need it.
        from services.router.views import routez

        return routez.statistics(routez.joined(peers, self._sources.engine, compression=self._cluster.compression.mode))

    def _routez(self, request: Request) -> dict[str, Any]:
        sources = self._sources
        peers, name = sources.peers(), self._services.info.name
        if not peers:
            return standalone.routez(server_id=sources.server_id, server_name=name, now_ns=sources.wall_ns())
        # Only routers with routes need it.
        from services.router.views import routez
        from services.router.views.connz import Clock

        clock = Clock(engine_ns=sources.engine.totals()["now_ns"], wall_ns=sources.wall_ns())
        options, subs = request.options, dict[int, list[SubscriptionView]]()
        if options.get("subscriptions") or options.get("subscriptions_detail"):
            for sub in sources.engine.subscriptions([peer.cid for peer in peers]):
                subs.setdefault(sub.cid, []).append(sub)
        interest = routez.Interest(
            subs=subs, in_detail=bool(options.get("subscriptions_detail")), account_name=sources.numbers.name
        )
        cluster = self._cluster
        rows = routez.joined(peers, sources.engine, compression=cluster.compression.mode)
        return routez.routez(
            rows, clock, server_id=sources.server_id, server_name=name,
            permissions=cluster.permissions or Permissions(), interest=interest,
        )  # fmt: skip

    def _alone(self, view: Callable[..., dict[str, Any]]) -> Callable[[Request], dict[str, Any]]:
        def answer(request: Request) -> dict[str, Any]:
            return view(server_id=self._sources.server_id, now_ns=self._sources.wall_ns())

        return answer


def _servers(peers: Sequence[Peer]) -> int:
    """How many servers are behind these connections."""
    return len({peer.info.server_id for peer in peers})
