"""Listening sockets: addresses, families, and the texts of failures."""

import os
import socket
import threading

import pytest

from services.shared.runtime.listeners import Listener, ListenError, join_host_port, open_listener


def opened(host: str, port: int = -1) -> Listener:
    return open_listener(name="nats", host=host, port=port)


def connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_a_wildcard_serves_both_families(host: str) -> None:
    listener = opened(host)
    assert connects("127.0.0.1", listener.port)
    assert connects("::1", listener.port)
    os.close(listener.fd)


@pytest.mark.parametrize(("host", "other"), [("127.0.0.1", "::1"), ("::1", "127.0.0.1"), ("localhost", "::1")])
def test_an_address_serves_its_family_only(host: str, other: str) -> None:
    listener = opened(host)
    assert connects(listener.bound_host, listener.port)
    assert not connects(other, listener.port)
    assert not os.get_blocking(listener.fd)
    os.close(listener.fd)


def test_a_taken_port_is_told_as_the_users_know_it() -> None:
    listener = opened("127.0.0.1")
    with pytest.raises(ListenError) as raised:
        opened("0.0.0.0", listener.port)
    assert str(raised.value) == f"listen tcp 0.0.0.0:{listener.port}: bind: address already in use"
    os.close(listener.fd)


def test_a_port_that_is_about_to_become_free_is_waited_for() -> None:
    """As that of a killed node, whose roles live a moment longer."""
    before = opened("127.0.0.1")
    closing = threading.Timer(0.05, os.close, [before.fd])
    closing.start()
    after = opened("127.0.0.1", before.port)
    closing.join()
    assert connects("127.0.0.1", after.port)
    os.close(after.fd)


def test_a_foreign_address_and_an_unknown_name_are_refused() -> None:
    with pytest.raises(ListenError, match=r"^listen tcp 192\.0\.2\.77:0: bind: cannot assign requested address$"):
        opened("192.0.2.77")
    with pytest.raises(ListenError, match=r"no such host$"):
        opened("nohost.invalid")


def test_addresses_are_joined_with_brackets_where_needed() -> None:
    assert join_host_port("::1", 1) == "[::1]:1"
    assert join_host_port("h", 1) == "h:1"
