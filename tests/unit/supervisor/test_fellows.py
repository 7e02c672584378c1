"""What several routers of a node get of their own."""

from services.shared.config.options import ClusterOptions, FleetOptions, Options, WebsocketOptions
from services.shared.config.route_urls import parse_route_url
from services.supervisor.fellows import Address, Fellowship, name_of, own_listeners, reachable
from services.supervisor.plan import plan_node
from services.supervisor.roles import RoleSpec

TWO = FleetOptions(routers=2)
NODE = Fellowship(
    addresses={"router": Address(host="127.0.0.1", port=7), "router-2": Address(host="::1", port=8)}, secret="s" * 64
)


def roles(options: Options) -> dict[str, RoleSpec]:
    return {role.name: role for role in plan_node(options).roles}


def listeners(role: str, options: Options) -> list[tuple[str, int, bool]]:
    specs = own_listeners(roles(options)[role], options, open_ports={"nats": 4222, "websocket": 80})
    return [(spec.name, spec.port, spec.manner.shared) for spec in specs]


def test_further_routers_share_the_ports_for_clients() -> None:
    options = Options(fleet=TWO, websocket=WebsocketOptions(port=80))
    assert listeners("router-2", options) == [("nats", 4222, True), ("websocket", 80, True), ("cluster", -1, False)]


def test_the_first_router_listens_for_routes_where_the_options_have_no_cluster() -> None:
    assert listeners("router", Options(fleet=TWO)) == [("cluster", -1, False)]
    assert listeners("router", Options(fleet=TWO, cluster=ClusterOptions(port=6222))) == []


def test_a_single_router_has_nothing_of_its_own() -> None:
    assert listeners("router", Options()) == []


def test_each_router_dials_those_before_it() -> None:
    options = Options(fleet=TWO, cluster=ClusterOptions(port=6222, routes=("nats://elsewhere:6222",)))
    first, second = (NODE.options_for(role, options).cluster for role in roles(options).values())
    assert first is not None and second is not None
    assert first.routes == ("nats://elsewhere:6222",)
    assert second.routes == ("nats://elsewhere:6222", "nats-route://127.0.0.1:7")
    assert (first.port, second.port) == (7, 8)


def test_the_cluster_that_a_node_makes_for_itself_is_guarded_and_hidden() -> None:
    options = Options(fleet=TWO)
    made = NODE.options_for(roles(options)["router-2"], options).cluster
    assert made is not None
    assert (made.host, made.password, made.hidden, made.no_advertise) == ("127.0.0.1", "s" * 64, True, True)
    url = parse_route_url(made.routes[0])
    assert (url.address, url.user, url.password) == ("127.0.0.1:7", made.user, made.password)


def test_other_roles_get_the_options_as_they_are() -> None:
    options = Options(http_port=1, fleet=TWO)
    assert NODE.options_for(roles(options)["monitor"], options) is options


def test_routers_have_names_of_their_own() -> None:
    assert [name_of("n1", number) for number in (1, 2, 3)] == ["n1", "n1-2", "n1-3"]
    assert name_of("", 2) == ""


def test_a_listener_on_all_addresses_is_reached_over_loopback() -> None:
    assert reachable("::", 5) == Address(host="127.0.0.1", port=5)
    assert reachable("10.0.0.1", 5) == Address(host="10.0.0.1", port=5)
