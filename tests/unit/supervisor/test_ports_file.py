"""The ports file."""

from services.supervisor.ports_file import ports_file_name, ports_file_text, urls


def test_a_wildcard_stands_for_every_address() -> None:
    found = urls(scheme="nats", bound_host="::", port=1, local_hosts=["127.0.0.1", "::1"])
    assert found == ["nats://127.0.0.1:1", "nats://[::1]:1"]


def test_a_fixed_address_stands_for_itself() -> None:
    assert urls(scheme="ws", bound_host="::1", port=2, local_hosts=["127.0.0.1"]) == ["ws://[::1]:2"]


def test_the_file_is_compact_json_in_the_order_given() -> None:
    assert ports_file_text({"nats": ["a"], "monitoring": ["b"]}) == '{"nats":["a"],"monitoring":["b"]}'
    assert ports_file_name(program="nats-server", pid=7) == "nats-server_7.ports"
