"""`natsfleet status` says which roles serve."""

from services.cli.status import describe_node
from services.supervisor.readiness import ReadinessRecord

SINCE = "2026-01-01T00:00:00Z"
NODE = ReadinessRecord(role="supervisor", pid=1, ports={"nats": 4222}, since=SINCE, roles=("router", "monitor"))
ROUTER = ReadinessRecord(role="router", pid=2, ports={"nats": 4222}, since=SINCE)
MONITOR = ReadinessRecord(role="monitor", pid=3, ports={}, since=SINCE)


def test_a_node_is_up_when_every_role_is() -> None:
    records = {"supervisor": NODE, "router": ROUTER, "monitor": MONITOR}
    status = describe_node(records, alive=frozenset({1, 2, 3}), where="x")
    assert status.is_up
    assert status.lines == (
        f"node        pid 1, ports nats 4222, since {SINCE}",
        f"router      ready, pid 2, ports nats 4222, since {SINCE}",
        f"monitor     ready, pid 3, no ports, since {SINCE}",
    )


def test_a_missing_or_dead_role_is_not_ready() -> None:
    status = describe_node({"supervisor": NODE, "router": ROUTER}, alive=frozenset({1}), where="x")
    assert not status.is_up
    assert status.lines[1:] == ("router      not ready", "monitor     not ready")


def test_no_supervisor_means_no_node() -> None:
    status = describe_node({"router": ROUTER}, alive=frozenset({2}), where="x/run")
    assert (status.lines, status.is_up) == (("no node runs in x/run",), False)
