"""The subscriptions of a router (reference: operations 6.8). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from services.router.views.subscriptions import subscription_detail
from services.shared.engine.forwarding import Lookups, SubscriptionView
from services.shared.wire.times import rfc3339

MEMBERS: Final = {"offset": "int", "limit": "int", "subscriptions": "bool", "account": "string", "test": "string"}
"""The options of a request, with their types."""


def together(lookups: Iterable[Lookups]) -> Lookups:
    """The figures of several accounts as one."""
    all_of = list(lookups)
    return Lookups(
        subscriptions=sum(each.subscriptions for each in all_of),
        inserts=sum(each.inserts for each in all_of),
        removes=sum(each.removes for each in all_of),
        matches=sum(each.matches for each in all_of),
        hits=sum(each.hits for each in all_of),
        remembered=sum(each.remembered for each in all_of),
        fanout_max=max((each.fanout_max for each in all_of), default=0),
        fanout_total=sum(each.fanout_total for each in all_of),
    )


def sublist_stats(lookups: Lookups) -> dict[str, Any]:
    """The counters of an account or of all of them."""
    return {
        "num_subscriptions": lookups.subscriptions,
        "num_cache": lookups.remembered,
        "num_inserts": lookups.inserts,
        "num_removes": lookups.removes,
        "num_matches": lookups.matches,
        "cache_hit_rate": _ratio(lookups.hits, lookups.matches),
        "max_fanout": lookups.fanout_max,
        "avg_fanout": _ratio(lookups.fanout_total, lookups.remembered),
    }


def _ratio(part: int, whole: int) -> int | float:
    if not part or not whole:
        return 0
    return part // whole if part % whole == 0 else part / whole


def subsz(
    lookups: Lookups, *, server_id: str, now_ns: int, offset: int, limit: int, total: int = 0,
    page: Sequence[SubscriptionView] = (), account_name: Callable[[int], str] = str,
) -> dict[str, Any]:  # fmt: skip
    """The counters and, if asked for, a page of the subscriptions; `account_name` names the numbers in it."""
    shown = {
        "server_id": server_id,
        "now": rfc3339(now_ns),
        **sublist_stats(lookups),
        "total": total,
        "offset": offset,
        "limit": limit,
    }
    if page:
        shown["subscriptions_list"] = [subscription_detail(sub, account=account_name(sub.account)) for sub in page]
    return shown
