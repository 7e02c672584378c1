"""The smaller views, held to recorded pages."""

from __future__ import annotations

from typing import Any

import pytest

from services.router.views.accountz import account_detail, accountz
from services.router.views.accstatz import accstatz
from services.router.views.healthz import healthz
from services.router.views.standalone import gatewayz, jsz, leafz, routez
from services.router.views.subsz import subsz, together
from services.shared.config.options import (
    AccountOptions,
    MappingDestination,
    ServiceExport,
    ServiceImport,
    StreamExport,
    StreamImport,
    SubjectMapping,
)
from services.shared.engine.forwarding import AccountView, Lookups, SubscriptionView, Traffic
from tests.kit.json_shape import differences
from tests.kit.recorded_pages import recorded_page

NOW = 1_700_000_000_000_000_001
SERVER_ID = "N" + "A" * 55
LOOKUPS = Lookups(75, 76, 1, 46, 12, 15, 1, 12)
VIEW = AccountView(1, 1, Traffic(21, 705, 20, 1929), 2, LOOKUPS)


def test_counters_of_subscriptions_look_as_recorded() -> None:
    shown = subsz(LOOKUPS, server_id=SERVER_ID, now_ns=NOW, offset=0, limit=1024)
    assert differences(shown, recorded_page("subsz-single")) == []
    assert (shown["cache_hit_rate"], shown["avg_fanout"]) == (12 / 46, 0.8)


def test_a_page_of_subscriptions_looks_as_recorded() -> None:
    page = [SubscriptionView(3, 0, b"$SYS.REQ.ACCOUNT.PING.CONNZ", b"", b"1", 0, 0)] * 3
    shown = subsz(
        LOOKUPS,
        server_id=SERVER_ID,
        now_ns=NOW,
        offset=0,
        limit=3,
        total=15,
        page=page,
        account_name=lambda number: "$G",
    )
    assert differences(shown, recorded_page("subsz-single-detail")) == []


def test_rates_that_are_whole_have_no_fraction() -> None:
    shown = subsz(Lookups(remembered=4, fanout_total=8), server_id=SERVER_ID, now_ns=NOW, offset=0, limit=1)
    assert isinstance(shown["avg_fanout"], int) and isinstance(shown["cache_hit_rate"], int)


def test_figures_of_accounts_add_up_to_those_of_the_server() -> None:
    assert together([LOOKUPS, Lookups(1, 2, 3, 4, 5, 6, 7, 8)]) == Lookups(76, 78, 4, 50, 17, 21, 7, 20)
    assert together([]) == Lookups()


def test_names_of_accounts_look_as_recorded() -> None:
    shown = accountz(server_id=SERVER_ID, now_ns=NOW, system_account="$SYS", names=["$G", "$SYS"])
    assert differences(shown, recorded_page("accountz-single")) == []
    assert "system_account" not in accountz(server_id=SERVER_ID, now_ns=NOW, system_account="")


def test_an_account_looks_as_recorded() -> None:
    mappings = (
        SubjectMapping(
            source="w",
            destinations=(MappingDestination(subject="w2", weight=70), MappingDestination(subject="w1", weight=30)),
        ),
        SubjectMapping(source="m.in", destinations=(MappingDestination(subject="m.out"),)),
    )
    options = AccountOptions(
        name="APP",
        mappings=mappings,
        stream_exports=(StreamExport(subject="pub.>"),),
        service_exports=(ServiceExport(subject="svc.req"),),
    )
    detail = account_detail(VIEW, system_account="SYS", updated_ns=NOW, options=options, timed={}, requests=())
    shown = accountz(server_id=SERVER_ID, now_ns=NOW, system_account="SYS", detail=detail)
    but = ("account_detail.imports?",)
    assert differences(shown, recorded_page("accountz-full-APP"), but=but) == []
    assert detail["mappings"] == recorded_page("accountz-full-APP")["account_detail"]["mappings"]


def test_weights_of_destinations_add_up_within_their_cluster() -> None:
    destinations = (
        MappingDestination(subject="a", weight=50, cluster="C"),
        MappingDestination(subject="b", weight=40),
        MappingDestination(subject="c", weight=60),
    )
    mappings = (SubjectMapping(source="s", destinations=destinations),)
    options = AccountOptions(name="A", mappings=mappings)
    detail = account_detail(VIEW, system_account="", updated_ns=NOW, options=options, timed={}, requests=())
    weights = {entry["subject"]: entry["weight"] for entry in detail["mappings"]["s"]}
    assert weights == {"a": 50, "b": 40, "c": 100}


def test_exports_and_imports_are_shown_with_who_may_and_what_they_are_called() -> None:
    options = AccountOptions(
        name="A",
        service_exports=(ServiceExport(subject="s", accounts=("B",), response_type="Chunked"),),
        stream_imports=(StreamImport(account="B", subject="p.*.*", to="l.$2.$1"),),
        service_imports=(ServiceImport(account="B", subject="q", to="r", share=True),),
    )
    detail = account_detail(VIEW, system_account="", updated_ns=NOW, options=options, timed={}, requests=())
    assert detail["exports"] == [
        {"subject": "s", "type": "service", "response_type": "Chunked", "approved_accounts": ["B"]}
    ]
    stream, service = detail["imports"]
    rest = {"account": "B", "invalid": False, "tracking": False}
    assert stream == rest | {"subject": "p.*.*", "local_subject": "l.*.*", "type": "stream", "share": False}
    assert service == rest | {"subject": "q", "to": "r", "local_subject": "r", "type": "service", "share": True}


def test_traffic_of_accounts_looks_as_recorded() -> None:
    unused = AccountView(0, 0, Traffic(0, 0, 0, 0), 0, Lookups())
    accounts = [("$SYS", unused), ("$G", VIEW)]
    shown = accstatz(accounts, server_id=SERVER_ID, now_ns=NOW, unused=True)
    assert differences(shown, recorded_page("accstatz-single-unused")) == []
    used = accstatz(accounts, server_id=SERVER_ID, now_ns=NOW, unused=False)["account_statz"]
    assert [account["acc"] for account in used] == ["$G"]
    assert (used[0]["sent"]["msgs"], used[0]["received"]["msgs"]) == (20, 21)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("routez-single", routez(server_id=SERVER_ID, server_name="n1", now_ns=NOW)),
        ("gatewayz-single", gatewayz(server_id=SERVER_ID, now_ns=NOW)),
        ("leafz-single", leafz(server_id=SERVER_ID, now_ns=NOW)),
        ("jsz-gw-disabled", jsz(server_id=SERVER_ID, now_ns=NOW)),
    ],
)
def test_a_server_that_is_alone_says_so_as_recorded(name: str, shown: dict[str, Any]) -> None:
    assert differences(shown, recorded_page(name)) == []


def test_a_server_without_jetstream_is_well() -> None:
    assert healthz({"account": "NOPE"}) == recorded_page("healthz-single") | {"status_code": 200}


def test_health_of_a_stream_needs_its_account() -> None:
    assert healthz({"stream": "S"}) == recorded_page("healthz-400-no-account") | {"status_code": 400}
    details = healthz({"stream": "S", "details": True})
    assert details["errors"] == [
        {"type": "BAD_REQUEST", "error": '"account" must not be empty when checking stream health'}
    ]


def test_health_of_a_consumer_needs_its_stream() -> None:
    assert healthz({"consumer": "C", "account": "A"})["error"].startswith('"stream" must not be empty')
