"""The addresses of this machine."""

from services.shared.runtime.interfaces import local_hosts


def test_the_loopback_comes_first() -> None:
    assert local_hosts()[0] == "127.0.0.1"
