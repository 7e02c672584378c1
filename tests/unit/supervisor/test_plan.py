"""Which roles a node has and where it listens."""

import pytest

from services.shared.config.options import ClusterOptions, FleetOptions, Options, TlsOptions, WebsocketOptions
from services.shared.records.record import replace
from services.supervisor.plan import ListenerSpec, PlanError, options_for_up, plan_node
from services.supervisor.roles import ROLES


def names(options: Options) -> tuple[list[str], list[str]]:
    plan = plan_node(options)
    return [role.name for role in plan.roles], [listener.name for listener in plan.listeners]


def test_a_plain_node_is_a_router_with_a_client_port() -> None:
    assert names(Options()) == (["router"], ["nats"])


def test_a_monitoring_port_adds_the_monitor() -> None:
    assert names(Options(http_port=8222)) == (["router", "monitor"], ["monitoring", "nats"])


def test_listeners_are_opened_in_the_order_of_their_log_lines() -> None:
    options = Options(http_port=-1, websocket=WebsocketOptions(port=-1))
    assert names(options)[1] == ["monitoring", "websocket", "nats"]


def test_a_websocket_block_without_a_port_opens_nothing() -> None:
    assert names(Options(websocket=WebsocketOptions()))[1] == ["nats"]


def test_monitoring_takes_the_client_host_unless_it_has_its_own() -> None:
    options = Options(host="10.0.0.1", http_port=1)
    assert plan_node(options).listeners[0].host == "10.0.0.1"
    assert plan_node(replace(options, http_host="::1")).listeners[0].host == "::1"


def test_schemes_follow_tls() -> None:
    options = Options(https_port=1, tls=TlsOptions(), websocket=WebsocketOptions(port=1, tls=TlsOptions()))
    assert [listener.scheme for listener in plan_node(options).listeners] == ["https", "wss", "tls"]


def test_both_monitoring_ports_are_refused() -> None:
    with pytest.raises(PlanError, match=r"can't specify both HTTP \(1\) and HTTPs \(2\) ports"):
        plan_node(Options(http_port=1, https_port=2))


def test_https_without_a_certificate_is_refused() -> None:
    with pytest.raises(PlanError, match="TLS cert and key required for HTTPS"):
        plan_node(Options(https_port=2))


def test_a_role_alone_without_its_listener_is_refused() -> None:
    with pytest.raises(PlanError, match=r"^Nothing to run: monitor \(needs a monitoring port\)$"):
        plan_node(Options(), roles=ROLES[1:])


def test_a_role_alone_opens_only_its_own_listeners() -> None:
    plan = plan_node(Options(http_port=1), roles=ROLES[1:])
    assert [listener.name for listener in plan.listeners] == ["monitoring"]


def test_failures_carry_the_known_texts() -> None:
    def failure(name: str, host: str = "127.0.0.1", port: int = 4222) -> str:
        return ListenerSpec(name=name, host=host, port=port, scheme="x").failure("R")

    assert failure("nats") == 'Error listening on port: 127.0.0.1:4222, "R"'
    assert failure("nats", "::1", -1) == 'Error listening on port: [::1]:0, "R"'
    assert failure("monitoring") == "Can't start monitoring: can't listen to the monitor port: R"
    assert failure("websocket") == "Unable to listen for websocket connections: R"


def test_up_monitors_and_keeps_data_unless_told_otherwise() -> None:
    assert options_for_up(Options()) == Options(http_port=8222, fleet=FleetOptions(data_dir="data"))
    given = Options(https_port=1, fleet=FleetOptions(data_dir="x"))
    assert options_for_up(given) == given


def test_a_node_of_several_routers_has_so_many_rows() -> None:
    plan = plan_node(Options(http_port=1, fleet=FleetOptions(routers=3)))
    assert [role.name for role in plan.roles] == ["router", "router-2", "router-3", "monitor"]
    assert [role.comm for role in plan.roles[:3]] == ["nf-router", "nf-router-2", "nf-router-3"]
    assert [bool(role.link) for role in plan.roles[:3]] == [True, False, False]
    assert {listener.name: listener.manner.shared for listener in plan.listeners} == {"monitoring": False, "nats": True}


def test_clients_are_listened_for_late_where_routes_are_configured() -> None:
    alone = Options(cluster=ClusterOptions(port=6222))
    joining = Options(cluster=ClusterOptions(port=6222, routes=("nats://elsewhere:6222",)))
    assert [
        {listener.name: listener.manner.late for listener in plan_node(options).listeners}
        for options in (alone, joining)
    ] == [
        {"cluster": False, "nats": False},
        {"cluster": False, "nats": True},
    ]
