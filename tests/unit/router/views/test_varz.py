"""The view of the whole server, held to recorded pages."""

from __future__ import annotations

from typing import Any

from services.router.views.varz import Machine, Standing, statsz, varz
from services.shared.config.options import Options, TlsOptions, WebsocketOptions
from services.shared.records.record import replace
from services.shared.runtime.role_plan import NATS_LISTENER, WEBSOCKET_LISTENER, Identity
from tests.kit.json_shape import differences
from tests.kit.recorded_pages import recorded_page

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
MACHINE = Machine(memory_bytes=17_000_000, cpu_percent=0.5, cores=2, usable_cores=2)
TOTALS = {
    "in_msgs": 21, "in_bytes": 705, "out_msgs": 21, "out_bytes": 1929, "slow_consumers": 0, "stale_connections": 0,
    "subscriptions": 75, "connections": 1, "total_connections": 2, "stuck_bytes": 0, "stalled": 0,
    "routed_in_msgs": 0, "routed_in_bytes": 0, "routed_out_msgs": 0, "routed_out_bytes": 0,
}  # fmt: skip
STANDING = Standing(
    identity=Identity(server_id="N" + "A" * 55, server_name="full1", xkey="X"),
    options=Options(
        host="127.0.0.1", port=-1, http_host="127.0.0.1", http_port=18322, max_connections=100,
        server_tags=("az:1", "disk:ssd"), server_metadata={"rack": "r1"}, write_deadline_ns=5 * SECOND,
        websocket=WebsocketOptions(host="127.0.0.1", port=14380, no_tls=True), config_digest="sha256:1",
    ),
    ports={NATS_LISTENER: 14322, WEBSOCKET_LISTENER: 14380},
    git_commit="b2fd3ef",
    system_account="SYS",
    auth_required=True,
    started_ns=START,
    loaded_ns=START,
    certificate_ends={},
)  # fmt: skip


def page(standing: Standing = STANDING, **totals: int) -> dict[str, Any]:
    return varz(
        standing, MACHINE, now_ns=START + 38 * SECOND, totals={**TOTALS, **totals}, http_requests={"/varz": 1, "/": 2}
    )


# Those servers had JetStream and MQTT.
BUT = ("jetstream", "mqtt")


def test_a_server_with_accounts_and_websocket_looks_as_recorded() -> None:
    assert differences(page(), recorded_page("varz-single-full"), but=(*BUT, "http_req_stats")) == []


def test_a_server_with_tls_looks_as_recorded() -> None:
    tls = TlsOptions(verify=True, timeout_ns=3 * SECOND)
    options = Options(
        host="127.0.0.1", port=14955, http_host="127.0.0.1", https_port=18955, http_base_path="/mon/", tls=tls,
        websocket=WebsocketOptions(host="127.0.0.1", port=14956, tls=tls), config_digest="sha256:1",
    )  # fmt: skip
    ends = {NATS_LISTENER: START + 1, WEBSOCKET_LISTENER: START + 1}
    standing = replace(STANDING, options=options, auth_required=False, certificate_ends=ends)
    shown = page(standing)
    assert differences(shown, recorded_page("varz-tls-ws-mqtt"), but=(*BUT, "http_req_stats")) == []
    assert (shown["auth_timeout"], shown["tls_timeout"]) == (4, 3)


def test_ports_are_the_real_ones() -> None:
    shown = page()
    assert (shown["port"], shown["websocket"]["port"]) == (14322, 14380)


def test_the_server_is_called_by_its_id_without_a_name() -> None:
    identity = replace(STANDING.identity, server_name="")
    assert page(replace(STANDING, identity=identity))["server_name"] == identity.server_id


def test_requests_are_listed_by_path() -> None:
    assert list(page()["http_req_stats"]) == ["/", "/varz"]


def test_tls_that_is_optional_is_not_required() -> None:
    options = replace(STANDING.options, tls=TlsOptions(), allow_non_tls=True)
    assert "tls_required" not in page(replace(STANDING, options=options))


def test_cut_clients_are_counted_by_kind() -> None:
    shown = page(slow_consumers=3, stale_connections=2, stalled=7)
    assert shown["slow_consumer_stats"]["clients"] == 3
    assert shown["stale_connection_stats"]["clients"] == 2
    assert shown["stalled_clients"] == 7


def test_the_short_form_leaves_troubles_out_while_there_are_none() -> None:
    def short(**totals: int) -> dict[str, Any]:
        return statsz(STANDING, MACHINE, totals={**TOTALS, **totals}, active_accounts=2)

    quiet = short()
    assert list(quiet) == [
        "start", "mem", "cores", "cpu", "connections", "total_connections", "active_accounts", "subscriptions", "sent",
        "sent_to_clients", "received", "received_from_clients", "slow_consumers", "active_servers", "gomaxprocs",
    ]  # fmt: skip
    troubled = short(slow_consumers=1, stale_connections=1, stalled=1)
    assert set(troubled) - set(quiet) == {
        "slow_consumer_stats", "stale_connections", "stale_connection_stats", "stalled_clients",
    }  # fmt: skip


def test_what_goes_over_routes_is_no_traffic_of_clients() -> None:
    shown = page(routed_in_msgs=20, routed_in_bytes=700, routed_out_msgs=1, routed_out_bytes=29)
    assert (shown["in_msgs"], shown["in_client_msgs"], shown["in_client_bytes"]) == (21, 1, 5)
    assert (shown["out_msgs"], shown["out_client_msgs"], shown["out_client_bytes"]) == (21, 20, 1900)
