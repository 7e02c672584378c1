"""Subscriptions in listings: the records of connz and subsz (reference: operations 6.3, 6.8). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from services.shared.engine.forwarding import SubscriptionView


def in_order(subscriptions: Iterable[SubscriptionView]) -> list[SubscriptionView]:
    """By the names that their owner gave them: those that count up come in the order in which they were made."""
    return sorted(subscriptions, key=lambda sub: (len(sub.sid), sub.sid))


def subscription_detail(sub: SubscriptionView, *, account: str = "") -> dict[str, Any]:
    """One subscription; with the account where the listing is about all of them."""
    detail: dict[str, Any] = {"account": account, "account_tag": account} if account else {}
    detail["subject"] = sub.subject.decode(errors="replace")
    if sub.queue:
        detail["qgroup"] = sub.queue.decode(errors="replace")
    detail["sid"] = sub.sid.decode(errors="replace")
    detail["msgs"] = sub.delivered
    if sub.max:
        detail["max"] = sub.max
    return detail | {"cid": sub.cid}
