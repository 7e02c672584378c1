"""The accounts of a router (reference: operations 6.9). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from services.router.views.subsz import sublist_stats
from services.shared.config.options import AccountOptions, ServiceLatency, SubjectMapping
from services.shared.engine.forwarding import AccountView
from services.shared.records.record import record
from services.shared.subjects.transform import local_pattern
from services.shared.wire.times import rfc3339

MEMBERS: Final = {"account": "string"}
"""The options of a request, with their types."""


OPEN_REQUESTS_MAX: Final = 1024
"""Requests that are shown at most."""
SERVICE_TYPE: Final = 2
"""How the way of an answer is numbered among imports."""


@record
class OpenRequest:
    """A request that may still be answered on `subject`. `account` asked and gets the answer on `reply`."""

    subject: str
    account: str
    reply: str
    shared: bool
    latency: ServiceLatency | None = None


def accountz(
    *, server_id: str, now_ns: int, system_account: str, names: Sequence[str] = (), detail: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The names of all accounts, or the details of one."""
    shown: dict[str, Any] = {"server_id": server_id, "now": rfc3339(now_ns)}
    if system_account:
        shown["system_account"] = system_account
    if detail is not None:
        shown["account_detail"] = detail
    elif names:
        shown["accounts"] = list(names)
    return shown


def account_detail(
    view: AccountView, *, system_account: str, updated_ns: int, options: AccountOptions,
    timed: Mapping[tuple[str, str], ServiceLatency], requests: Sequence[OpenRequest],
) -> dict[str, Any]:  # fmt: skip
    """Everything about one account; `system_account` is empty where there is none.

    `timed` are those of its service imports whose answers are timed, by exporting account and local subject.
    `requests` may still be answered in this account.
    """
    name, mappings = options.name, options.mappings
    shown: dict[str, Any] = {"account_name": name, "update_time": rfc3339(updated_ns)}
    if name == system_account:
        shown["is_system"] = True
    shown |= {
        "expired": False,
        "complete": True,
        "jetstream_enabled": False,
        "leafnode_connections": 0,
        "client_connections": view.connections,
        "subscriptions": view.lookups.subscriptions,
    }
    if mappings:
        shown["mappings"] = {mapping.source: _destinations(mapping) for mapping in _by_source(mappings)}
    exports = _exports(options)
    if name == system_account:
        exports += [
            {"subject": subject, "type": "service", "response_type": answers} for subject, answers in _SYSTEM_EXPORTS
        ]
    if exports:
        shown["exports"] = exports
    imports = _imports(options, timed)
    if system_account:
        imports += _system_imports(name, system_account)
    if imports:
        shown["imports"] = imports
    shown |= {"name_tag": name, "sublist_stats": sublist_stats(view.lookups)}
    if requests:
        shown["responses"] = {request.subject: _response(request) for request in sorted(requests, key=_by_subject)}
    return shown


def _by_subject(request: OpenRequest) -> str:
    return request.subject


def _response(request: OpenRequest) -> dict[str, Any]:
    shown: dict[str, Any] = {"subject": request.reply, "account": request.account, "to": request.subject}
    shown |= {"local_subject": request.subject, "type": SERVICE_TYPE, "invalid": False, "share": request.shared}
    return shown | {"tracking": request.latency is not None} | _latency(request.latency)


_SYSTEM_EXPORTS: Final = (
    ("$SYS.REQ.ACCOUNT.*.CONNZ", "Streamed"),
    ("$SYS.REQ.ACCOUNT.*.STATZ", "Streamed"),
    ("$SYS.REQ.USER.*.INFO", "Singleton"),
)
_SYSTEM_IMPORTS: Final = (
    ("$SYS.REQ.USER.{}.INFO", "$SYS.REQ.USER.INFO"),
    ("$SYS.REQ.ACCOUNT.{}.CONNZ", "$SYS.REQ.ACCOUNT.PING.CONNZ"),
    ("$SYS.REQ.ACCOUNT.{}.CONNZ", "$SYS.REQ.SERVER.PING.CONNZ"),
    ("$SYS.REQ.ACCOUNT.{}.STATZ", "$SYS.REQ.ACCOUNT.PING.STATZ"),
)
"""What every account has from the system account, which itself has only the first (reference: security 8.6)."""


def _exports(options: AccountOptions) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []
    for service in options.service_exports:
        entry: dict[str, Any] = {
            "subject": service.subject, "type": "service", "response_type": service.response_type,
        }  # fmt: skip
        if service.latency is not None:
            entry["service_latency"] = latency_shown(service.latency)
        shown.append(entry | _approved(service.accounts))
    for stream in options.stream_exports:
        shown.append({"subject": stream.subject, "type": "stream"} | _approved(stream.accounts))
    return shown


def latency_shown(latency: ServiceLatency) -> dict[str, Any]:
    """How answers are timed."""
    return {"sampling": latency.sampling or "headers", "results": latency.results}


def _latency(latency: ServiceLatency | None) -> dict[str, Any]:
    return {} if latency is None else {"latency": latency_shown(latency)}


def _approved(accounts: Sequence[str]) -> dict[str, Any]:
    return {"approved_accounts": list(accounts)} if accounts else {}


def _imports(options: AccountOptions, timed: Mapping[tuple[str, str], ServiceLatency]) -> list[dict[str, Any]]:
    streams = [
        _import("stream", stream.subject, account=stream.account, local=local_pattern(stream.to))
        for stream in options.stream_imports
    ]
    services = [
        _import(
            "service", service.subject, account=service.account, local=local_pattern(service.to), share=service.share
        )
        | _latency(timed.get((service.account, service.to)))
        for service in options.service_imports
    ]
    return streams + services


def _import(kind: str, subject: str, *, account: str, local: str, share: bool = False) -> dict[str, Any]:
    shown = {"subject": subject, "account": account}
    if kind == "service":
        shown["to"] = local
    return shown | {"local_subject": local, "type": kind, "invalid": False, "share": share, "tracking": False}


def _system_imports(name: str, system_account: str) -> list[dict[str, Any]]:
    return [
        _import(
            "service", subject.format(name), account=system_account, local=local, share=local == "$SYS.REQ.USER.INFO"
        )
        for subject, local in (_SYSTEM_IMPORTS[:1] if name == system_account else _SYSTEM_IMPORTS)
    ]


def _by_source(mappings: Sequence[SubjectMapping]) -> list[SubjectMapping]:
    return sorted(mappings, key=lambda mapping: mapping.source)


def _destinations(mapping: SubjectMapping) -> list[dict[str, Any]]:
    """Weights add up to the last one, as they are drawn; destinations of one cluster add up among themselves."""
    shown: list[dict[str, Any]] = []
    weights: dict[str, int] = {}
    for destination in sorted(mapping.destinations, key=lambda each: each.weight):
        weights[destination.cluster] = weights.get(destination.cluster, 0) + destination.weight
        entry: dict[str, Any] = {"subject": destination.subject, "weight": weights[destination.cluster]}
        shown.append(entry | ({"cluster": destination.cluster} if destination.cluster else {}))
    return shown
