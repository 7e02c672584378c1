"""The connections of a router (reference: operations 6.3). Pure.

Two steps, so that details are only fetched for what is shown: `select` filters, sorts and pages over plain figures,
`connz` renders the rows of the page.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from services.router.closed_ring import Closed
from services.router.views.subscriptions import in_order, subscription_detail
from services.shared.engine.forwarding import ConnectionView, SubscriptionView
from services.shared.member.system_services import EndpointError
from services.shared.records.record import record
from services.shared.wire.times import duration_text, rfc3339, uptime_text

LIMIT_DEFAULT: Final = 1024
OPEN, CLOSED, ALL = 0, 1, 2

MEMBERS: Final = {
    "sort": "string:server.SortOpt",
    "auth": "bool",
    "subscriptions": "bool",
    "subscriptions_detail": "bool",
    "offset": "int",
    "limit": "int",
    "cid": "uint64",
    "mqtt_client": "string",
    "state": "int:server.ConnState",
    "user": "string",
    "acc": "string",
    "filter_subject": "string",
}
"""The options of a request, with their types."""

_TYPES: Final = {"STANDARD": "nats", "WEBSOCKET": "websocket"}
_GLOBAL_ACCOUNT: Final = "$G"


class Row:
    """A connection that may be shown. `note` reads what admission noted, so it is only asked for when needed."""

    def __init__(self, view: ConnectionView, read_note: Callable[[ConnectionView], dict[str, Any]]) -> None:
        self.view = view
        self.closed: Closed | None = None
        self._read_note = read_note

    @cached_property
    def note(self) -> dict[str, Any]:
        """What admission noted about the connection."""
        return self._read_note(self.view)


def closed_row(closed: Closed) -> Row:
    """The row of a connection that has ended."""
    row = Row(closed.view, lambda view: json.loads(view.about))
    row.closed = closed
    return row


@record
class Clock:
    """What time it is: by the wall, and by the engine that timed the connections."""

    wall_ns: int
    engine_ns: int

    def wall_of(self, engine_ns: int) -> int:
        """An engine time as wall-clock time."""
        return self.wall_ns - (self.engine_ns - engine_ns)


@record
class Page:
    """What is shown of a sorted set of rows; `total` is the size of the set before paging and most filters."""

    rows: Sequence[Row]
    total: int
    offset: int
    limit: int


_SORTS: Final[Mapping[str, tuple[Callable[[Row, Clock], Any], bool]]] = {
    "": (lambda row, clock: row.view.cid, False),
    "cid": (lambda row, clock: row.view.cid, False),
    "start": (lambda row, clock: start_ns(row, clock), False),
    "subs": (lambda row, clock: row.view.subscriptions, True),
    "pending": (lambda row, clock: row.view.pending_bytes, True),
    "msgs_to": (lambda row, clock: row.view.traffic.out_msgs, True),
    "msgs_from": (lambda row, clock: row.view.traffic.in_msgs, True),
    "bytes_to": (lambda row, clock: row.view.traffic.out_bytes, True),
    "bytes_from": (lambda row, clock: row.view.traffic.in_bytes, True),
    "last": (lambda row, clock: last_ns(row, clock), True),
    "idle": (lambda row, clock: end_ns(row, clock) - last_ns(row, clock), True),
    "uptime": (lambda row, clock: end_ns(row, clock) - start_ns(row, clock), False),
    "stop": (lambda row, clock: end_ns(row, clock), True),
    "reason": (lambda row, clock: row.closed.reason_text if row.closed else "", False),
    "rtt": (lambda row, clock: row.view.rtt_ns, True),
}
"""By what, and whether the largest comes first."""


def check(options: Mapping[str, Any]) -> None:
    """Raises EndpointError for options that contradict each other."""
    sort, state = options.get("sort", ""), options.get("state", OPEN)
    if options.get("filter_subject") and not options.get("acc"):
        raise EndpointError("filter by subject only valid with account filtering")
    if sort not in _SORTS:
        raise EndpointError(f"invalid sorting option: {sort}")
    if sort in ("stop", "reason") and state != CLOSED:
        raise EndpointError(f"sort by {sort} only valid on closed connections")


def page_bounds(options: Mapping[str, Any]) -> tuple[int, int]:
    """Offset and limit, where nonsense means the default."""
    limit = options.get("limit", 0)
    return max(options.get("offset", 0), 0), limit if limit > 0 else LIMIT_DEFAULT


def select(
    options: Mapping[str, Any], rows: Iterable[Row], *, clock: Clock, account: int | None,
    listens: Callable[[Sequence[Row]], set[int]],
) -> Page:  # fmt: skip
    """The page that the options ask for. `account` is the number behind `acc`, None for all accounts.

    `listens` tells which of some rows, by client id, have a subscription for `filter_subject`.
    """
    offset, limit = page_bounds(options)
    found = [row for row in rows if account is None or row.view.account == account]
    total = len(found)
    if options.get("filter_subject"):
        wanted = listens(found)
        found = [row for row in found if row.view.cid in wanted]
    if cid := options.get("cid", 0):
        found, limit = [row for row in found if row.view.cid == cid], 1
    if user := options.get("user", ""):
        found = [row for row in found if row.note.get("user", "") == user]
    if options.get("mqtt_client"):
        found = []  # nobody speaks MQTT here
    key, largest_first = _SORTS[options.get("sort", "")]
    found.sort(key=lambda row: row.view.cid)
    found.sort(key=lambda row: key(row, clock), reverse=largest_first)
    return Page(rows=found[offset : offset + limit], total=total, offset=offset, limit=limit)


def unknown_account(options: Mapping[str, Any], *, now_ns: int) -> dict[str, Any]:
    """The answer about an account that there is not, which is no error."""
    offset, limit = page_bounds(options)
    return {
        "server_id": "", "now": rfc3339(now_ns), "num_connections": 0, "total": 0, "offset": offset, "limit": limit,
        "connections": None,
    }  # fmt: skip


def connz(
    page: Page, options: Mapping[str, Any], *, server_id: str, clock: Clock,
    subscriptions: Mapping[int, Sequence[SubscriptionView]], certificates: Mapping[int, Sequence[Mapping[str, str]]],
) -> dict[str, Any]:  # fmt: skip
    """Renders a page. `subscriptions` and `certificates` are those of its open connections, by client id."""
    return {
        "server_id": server_id,
        "now": rfc3339(clock.wall_ns),
        "num_connections": len(page.rows),
        "total": page.total,
        "offset": page.offset,
        "limit": page.limit,
        "connections": [
            _connection(
                row, options, clock=clock, subscriptions=_subscriptions_of(row, subscriptions),
                certificates=certificates.get(row.view.cid, ()),
            )
            for row in page.rows
        ],
    }  # fmt: skip


def _subscriptions_of(row: Row, subscriptions: Mapping[int, Sequence[SubscriptionView]]) -> Sequence[SubscriptionView]:
    return row.closed.subscription_views if row.closed else subscriptions.get(row.view.cid, ())


def _connection(
    row: Row, options: Mapping[str, Any], *, clock: Clock, subscriptions: Sequence[SubscriptionView],
    certificates: Sequence[Mapping[str, str]],
) -> dict[str, Any]:  # fmt: skip
    view, note, closed = row.view, row.note, row.closed
    started, last, end = start_ns(row, clock), last_ns(row, clock), end_ns(row, clock)
    shown: dict[str, Any] = {
        "cid": view.cid,
        "kind": "Client",
        "type": _TYPES[note["type"]],
        "ip": note["ip"],
        "port": note["port"],
        "start": rfc3339(started),
        "last_activity": rfc3339(last),
    }
    if closed is not None:
        shown["stop"] = rfc3339(end)
        shown["reason"] = closed.reason_text
    shown["rtt"] = duration_text(view.rtt_ns)
    shown["uptime"] = uptime_text(end - started)
    shown["idle"] = uptime_text(end - last)
    shown["pending_bytes"] = view.pending_bytes
    shown["in_msgs"] = view.traffic.in_msgs
    shown["out_msgs"] = view.traffic.out_msgs
    shown["in_bytes"] = view.traffic.in_bytes
    shown["out_bytes"] = view.traffic.out_bytes
    if view.stalls:
        shown["stalls"] = view.stalls
    shown["subscriptions"] = view.subscriptions
    for key, member in _NOTED:
        if value := note.get(member):
            shown[key] = value
    if certificates:
        shown["tls_peer_certs"] = list(certificates)
    if note.get("tls_first"):
        shown["tls_first"] = True
    if options.get("auth"):
        shown |= _authorization(note)
    if options.get("subscriptions_detail") and subscriptions:
        shown["subscriptions_list_detail"] = [subscription_detail(sub) for sub in in_order(subscriptions)]
    elif options.get("subscriptions") and subscriptions:
        shown["subscriptions_list"] = [sub.subject.decode(errors="replace") for sub in in_order(subscriptions)]
    if options.get("auth") and note.get("account"):
        shown["name_tag"] = note["account"]
    if note.get("proxy"):
        shown["proxy"] = {"key": note["proxy"]}
    return shown


_NOTED: Final = (
    ("name", "name"), ("lang", "lang"), ("version", "version"), ("tls_version", "tls_version"),
    ("tls_cipher_suite", "tls_cipher"),
)  # fmt: skip


def _authorization(note: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if note.get("user"):
        shown["authorized_user"] = note["user"]
    if note.get("account", _GLOBAL_ACCOUNT) != _GLOBAL_ACCOUNT:
        shown["account"] = note["account"]
    return shown


def start_ns(row: Row, clock: Clock) -> int:
    """When the connection was accepted, by the wall."""
    if row.closed is not None:
        return int(row.note["start"])
    return clock.wall_of(row.view.opened_ns) if row.view.arrival is None else row.view.arrival.at_ns


def last_ns(row: Row, clock: Clock) -> int:
    """When the connection last sent something, by the wall."""
    view = row.view
    return clock.wall_of(view.last_in_ns) if view.last_in_ns else start_ns(row, clock)


def end_ns(row: Row, clock: Clock) -> int:
    """Up to when the connection lived, by the wall."""
    return clock.wall_ns if row.closed is None else row.closed.stopped_ns
