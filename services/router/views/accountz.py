"""The accounts of a router (reference: operations 6.9). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from services.router.views.subsz import sublist_stats
from services.shared.config.options import SubjectMapping
from services.shared.engine.forwarding import AccountView
from services.shared.wire.times import rfc3339

MEMBERS: Final = {"account": "string"}
"""The options of a request, with their types."""


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
    view: AccountView, *, name: str, system_account: str, updated_ns: int, mappings: Sequence[SubjectMapping]
) -> dict[str, Any]:
    """Everything about one account; `system_account` is empty where there is none."""
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
    if name == system_account:
        shown["exports"] = [
            {"subject": subject, "type": "service", "response_type": answers} for subject, answers in _SYSTEM_EXPORTS
        ]
    if system_account:
        shown["imports"] = _system_imports(name, system_account)
    return shown | {"name_tag": name, "sublist_stats": sublist_stats(view.lookups)}


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


def _system_imports(name: str, system_account: str) -> list[dict[str, Any]]:
    return [
        {
            "subject": subject.format(name),
            "account": system_account,
            "to": local,
            "local_subject": local,
            "type": "service",
            "invalid": False,
            "share": local == "$SYS.REQ.USER.INFO",
            "tracking": False,
        }
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
