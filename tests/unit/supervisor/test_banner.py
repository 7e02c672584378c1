"""The lines of a starting node."""

from services.shared.config.options import (
    AccountOptions,
    AuthorizationOptions,
    ClusterOptions,
    Options,
    TlsOptions,
    UserOptions,
    WebsocketOptions,
)
from services.shared.runtime.role_plan import Identity
from services.supervisor.banner import has_plain_passwords, monitor_lines, ready_lines, starting_lines
from services.supervisor.plan import plan_node

IDENTITY = Identity(server_id="NID", server_name="n1", xkey="X")


def test_the_start_is_told_in_the_known_order() -> None:
    options = Options(
        config_file="n.conf",
        config_digest="sha256:1",
        max_payload_bytes=9 * 1024 * 1024,
        authorization=AuthorizationOptions(user="a", password="b"),
    )
    lines = [line for line in starting_lines(options, identity=IDENTITY, commit="abcdef1") if line[0] != "DBG"]
    assert lines == [
        ("INF", "Starting nats-server"),
        ("INF", "  Version:  2.15.1"),
        ("INF", "  Git:      [abcdef1]"),
        ("INF", "  Name:     n1"),
        ("INF", "  ID:       NID"),
        ("WRN", "Plaintext passwords detected, use nkeys or bcrypt"),
        ("INF", "Using configuration file: n.conf (sha256:1)"),
        ("WRN", "Maximum payloads over 8.00 MB are generally discouraged and could lead to poor performance"),
    ]


def test_the_cluster_is_told_last() -> None:
    for name, told in (
        ("C", ("INF", "Cluster name is C")),
        ("", ("WRN", "Cluster name was dynamically generated, consider setting one")),
    ):
        options = Options(cluster=ClusterOptions(name=name, port=-1))
        lines = list(ready_lines(options, plan_node(options), addresses={"nats": "h:1", "cluster": "h:2"}))
        assert lines[-2:] == [told, ("INF", "Listening for route connections on h:2")]
        started = [text for _, text in starting_lines(options, identity=IDENTITY, commit="")]
        assert ("  Cluster:  C" in started) is bool(name)


def test_an_unknown_commit_is_left_out() -> None:
    assert not any("Git:" in text for _, text in starting_lines(Options(), identity=IDENTITY, commit=""))


def test_listeners_are_told_when_ready() -> None:
    options = Options(http_port=1, websocket=WebsocketOptions(port=1), tls=TlsOptions())
    plan = plan_node(options)
    addresses = {"nats": "h:1", "websocket": "h:2", "monitoring": "h:3"}
    assert list(monitor_lines(plan, addresses=addresses)) == [("INF", "Starting http monitor on h:3")]
    assert list(ready_lines(options, plan, addresses=addresses)) == [
        ("INF", "Listening for websocket clients on ws://h:2"),
        ("WRN", "Websocket not configured with TLS. DO NOT USE IN PRODUCTION!"),
        ("INF", "Listening for client connections on h:1"),
        ("INF", "TLS required for client connections"),
        ("INF", "Server is ready"),
    ]


def test_handshake_first_warns_of_clients_that_wait_for_info() -> None:
    warning = ("WRN", 'Clients that are not using "TLS Handshake First" option will fail to connect')
    for delay_ns, warned in ((0, True), (1, False), (None, False)):
        options = Options(tls=TlsOptions(handshake_first_delay_ns=delay_ns))
        lines = list(ready_lines(options, plan_node(options), addresses={"nats": "h:1"}))
        assert (warning in lines) is warned


def test_optional_tls_is_told_as_available() -> None:
    options = Options(tls=TlsOptions(), allow_non_tls=True)
    lines = ready_lines(options, plan_node(options), addresses={"nats": "h:1"})
    assert ("INF", "TLS available for client connections") in list(lines)


def test_plain_passwords_are_found_wherever_they_are() -> None:
    plain, hashed = UserOptions(user="u", password="p"), UserOptions(user="u", password="$2a$11$x")
    assert has_plain_passwords(Options(authorization=AuthorizationOptions(users=(hashed, plain))))
    assert has_plain_passwords(Options(accounts=(AccountOptions(name="A", users=(plain,)),)))
    assert not has_plain_passwords(Options(accounts=(AccountOptions(name="A", users=(hashed,)),)))
    assert not has_plain_passwords(Options(authorization=AuthorizationOptions(users=(UserOptions(nkey="U"),))))


def test_users_known_by_certificate_need_no_password() -> None:
    users = AuthorizationOptions(users=(UserOptions(user="CN=a"),))
    assert has_plain_passwords(Options(authorization=users))
    assert not has_plain_passwords(Options(authorization=users, tls=TlsOptions(verify_and_map=True)))
