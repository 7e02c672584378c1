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
    view: AccountView, *, name: str, is_system: bool, updated_ns: int, mappings: Sequence[SubjectMapping]
) -> dict[str, Any]:
    """Everything about one account."""
    shown: dict[str, Any] = {"account_name": name, "update_time": rfc3339(updated_ns)}
    if is_system:
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
    return shown | {"name_tag": name, "sublist_stats": sublist_stats(view.lookups)}


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
