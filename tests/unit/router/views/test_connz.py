"""The view of connections: recorded pages, order, filters and pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from services.router.closed_ring import Closed
from services.router.views.connz import Clock, Page, Row, check, closed_row, connz, select, unknown_account
from services.shared.engine.forwarding import Arrival, ConnectionView, SubscriptionView, Traffic
from services.shared.member.system_services import EndpointError
from services.shared.records.record import replace
from services.shared.wire.close_reasons import CloseReason
from tests.kit.json_shape import differences
from tests.kit.recorded_pages import recorded_page

SECOND = 1_000_000_000
CLOCK = Clock(wall_ns=1_700_000_000 * SECOND, engine_ns=100 * SECOND)
SERVER_ID = "N" + "A" * 55


def note(**members: Any) -> dict[str, Any]:
    return {
        "ip": "127.0.0.1", "port": 47596, "start": CLOCK.wall_ns - 34 * SECOND, "listener": "client", "type": "STANDARD",
        "name": "cap", "lang": "python3", "version": "2.16.0", "account": "$G",
    } | members  # fmt: skip


def view(cid: int = 5, **members: Any) -> ConnectionView:
    about = json.dumps(note(**members.pop("note", {}))).encode()
    plain = ConnectionView(
        cid, 0, Traffic(21, 705, 21, 1929), 0, 5, 0, 66 * SECOND + 7, 66 * SECOND + 20_000_000, 331_000, about, None
    )
    return replace(plain, **members)


def row(cid: int = 5, **members: Any) -> Row:
    return Row(view(cid, **members), lambda view: json.loads(view.about))


def closed(cid: int = 11, *, reason: CloseReason = CloseReason.CLIENT_CLOSED, **members: Any) -> Row:
    subs = [(cid, 0, b"tmp", b"", b"1", 0, 0)]
    last = ((0, 0, 0, 0), 0, 1, 0, 66 * SECOND, 66 * SECOND, 412_000)
    text = json.dumps(note(**members)).encode()
    return closed_row(
        Closed(cid=cid, account=0, reason=reason, stopped_ns=CLOCK.wall_ns, note=text, last=last, subscriptions=subs)
    )


def select_all(options: dict[str, Any], rows: Sequence[Row], *, account: int | None = None) -> Page:
    return select(options, rows, clock=CLOCK, account=account, listens=lambda rows: set())


def page(options: dict[str, Any], rows: Sequence[Row], subs: Sequence[SubscriptionView] = ()) -> dict[str, Any]:
    by_cid: dict[int, list[SubscriptionView]] = {}
    for sub in subs:
        by_cid.setdefault(sub.cid, []).append(sub)
    return connz(
        select_all(options, rows), options, server_id=SERVER_ID, clock=CLOCK, subscriptions=by_cid, certificates={}
    )


def cids(options: dict[str, Any], rows: Sequence[Row]) -> list[int]:
    return [row.view.cid for row in select_all(options, rows).rows]


def test_an_open_connection_looks_as_recorded() -> None:
    assert differences(page({}, [row()]), recorded_page("connz-single")) == []


def test_a_closed_connection_looks_as_recorded() -> None:
    shown = page({"subscriptions": True}, [closed()])
    assert differences(shown, recorded_page("connz-single-closed")) == []


def test_details_of_subscriptions_look_as_recorded() -> None:
    subs = [
        SubscriptionView(5, 0, b"max.me", b"", b"3", 0, 5),
        SubscriptionView(5, 0, b"q.work", b"workers", b"2", 0, 0),
        SubscriptionView(5, 0, b"foo.*", b"", b"1", 10, 0),
        SubscriptionView(5, 0, b"x", b"", b"10", 10, 0),
        SubscriptionView(5, 0, b"x", b"", b"9", 10, 0),
    ]
    shown = page({"subscriptions_detail": True, "auth": True}, [row()], subs)
    assert differences(shown, recorded_page("connz-single-subsdetail-auth")) == []
    details = shown["connections"][0]["subscriptions_list_detail"]
    assert [detail["sid"] for detail in details] == ["1", "2", "3", "9", "10"]


def test_users_and_accounts_look_as_recorded() -> None:
    refused = closed(12, reason=CloseReason.AUTHENTICATION_FAILURE, user="bad")
    del refused.note["account"], refused.note["name"]
    rows = [row(cid, note={"user": "app", "account": "APP"}) for cid in (7, 11)]
    shown = page({"auth": True, "state": 2}, [*rows, refused, row(13, note={"user": "sys", "account": "SYS"})])
    assert differences(shown, recorded_page("connz-full-auth-all")) == []


def test_the_global_account_is_named_only_as_a_tag() -> None:
    shown = page({"auth": True}, [row()])["connections"][0]
    assert "account" not in shown and shown["name_tag"] == "$G"


def test_a_connection_that_said_nothing_yet_has_its_address() -> None:
    arrival = Arrival(0, "10.0.0.1", 77, b"", CLOCK.wall_ns - SECOND)
    silent = Row(view(about=b"", arrival=arrival), lambda view: {"ip": "10.0.0.1", "port": 77, "type": "STANDARD"})
    shown = page({"auth": True}, [silent])["connections"][0]
    assert (shown["ip"], shown["port"], shown["uptime"]) == ("10.0.0.1", 77, "1s")
    assert "name_tag" not in shown


def test_lifetimes_end_when_the_connection_did() -> None:
    shown = page({"state": 1}, [closed()])["connections"][0]
    assert (shown["uptime"], shown["reason"]) == ("34s", "Client Closed")


def test_stalls_are_shown_when_there_were_some() -> None:
    assert "stalls" not in page({}, [row()])["connections"][0]
    assert page({}, [row(stalls=3)])["connections"][0]["stalls"] == 3


@pytest.mark.parametrize(
    ("sort", "wanted"),
    [
        ("", [1, 2, 3]), ("cid", [1, 2, 3]), ("start", [3, 1, 2]), ("uptime", [2, 1, 3]), ("subs", [2, 3, 1]),
        ("pending", [3, 1, 2]), ("msgs_to", [1, 3, 2]), ("msgs_from", [2, 1, 3]), ("bytes_to", [3, 2, 1]),
        ("bytes_from", [1, 2, 3]), ("last", [2, 3, 1]), ("idle", [1, 3, 2]), ("rtt", [3, 1, 2]),
    ],
)  # fmt: skip
def test_rows_are_sorted_by(sort: str, wanted: list[int]) -> None:
    rows = [
        row(1, subscriptions=1, pending_bytes=5, traffic=Traffic(2, 9, 9, 1), opened_ns=2, last_in_ns=10, rtt_ns=2),
        row(2, subscriptions=9, pending_bytes=1, traffic=Traffic(3, 5, 1, 5), opened_ns=3, last_in_ns=30, rtt_ns=1),
        row(3, subscriptions=5, pending_bytes=9, traffic=Traffic(1, 1, 5, 9), opened_ns=1, last_in_ns=20, rtt_ns=3),
    ]
    assert cids({"sort": sort}, rows) == wanted


def test_closed_rows_are_sorted_by_their_reason() -> None:
    rows = [closed(1, reason=CloseReason.STALE_CONNECTION), closed(2, reason=CloseReason.AUTHENTICATION_TIMEOUT)]
    assert cids({"sort": "reason", "state": 1}, rows) == [2, 1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"sort": "foo"}, "invalid sorting option: foo"),
        ({"sort": "stop"}, "sort by stop only valid on closed connections"),
        ({"sort": "reason", "state": 2}, "sort by reason only valid on closed connections"),
        ({"filter_subject": "a"}, "filter by subject only valid with account filtering"),
    ],
)
def test_contradictions_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(EndpointError) as error:
        check(options)
    assert str(error.value) == text


def test_the_total_counts_before_user_client_id_and_page() -> None:
    rows = [row(cid, note={"user": "u" if cid % 2 else "v"}) for cid in range(1, 7)]
    by_user = select_all({"user": "u"}, rows)
    assert ([row.view.cid for row in by_user.rows], by_user.total) == ([1, 3, 5], 6)
    by_cid = select_all({"cid": 4}, rows)
    assert ([row.view.cid for row in by_cid.rows], by_cid.total, by_cid.limit) == ([4], 6, 1)
    paged = select_all({"offset": 2, "limit": 3}, rows)
    assert ([row.view.cid for row in paged.rows], paged.total) == ([3, 4, 5], 6)


def test_the_total_counts_only_the_account_that_is_meant() -> None:
    rows = [row(1), row(2, account=7), row(3, account=7), row(4, account=None)]
    assert select_all({}, rows, account=7).total == 2


def test_a_subject_filter_keeps_those_who_listen() -> None:
    rows = [row(1), row(2)]
    options = {"filter_subject": "a"}
    found = select(options, rows, clock=CLOCK, account=0, listens=lambda rows: {2})
    assert ([row.view.cid for row in found.rows], found.total) == ([2], 2)


@pytest.mark.parametrize("options", [{}, {"limit": 0}, {"limit": -1, "offset": -7}])
def test_a_page_without_sense_is_the_first_one(options: dict[str, Any]) -> None:
    found = select_all(options, [row()])
    assert (found.offset, found.limit) == (0, 1024)


def test_an_unknown_account_has_no_connections_and_no_server() -> None:
    shown = unknown_account({"limit": 5}, now_ns=CLOCK.wall_ns)
    assert (shown["server_id"], shown["connections"], shown["limit"]) == ("", None, 5)
