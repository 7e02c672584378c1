"""Which addresses clients are told."""

from __future__ import annotations

import pytest

from services.router.admission.advertising import advertised_address, connect_urls, own_urls, split_host_port

INTERFACES = ("127.0.0.1", "10.0.0.7", "169.254.1.1", "224.0.0.1", "::1", "fe80::1%eth0", "2001:db8::7", "nonsense")


def test_what_is_advertised_is_told_alone() -> None:
    assert own_urls(host="0.0.0.0", port=4222, advertise="pub.example", interface_addresses=INTERFACES) == (
        "pub.example:4222",
    )
    assert own_urls(host="0.0.0.0", port=4222, advertise="[2001:db8::1]:99") == ("[2001:db8::1]:99",)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_bound_to_everything_means_every_address_others_can_reach(host: str) -> None:
    assert own_urls(host=host, port=1, interface_addresses=INTERFACES) == ("10.0.0.7:1", "[2001:db8::7]:1")
    assert own_urls(host=host, port=1) == ()


def test_otherwise_the_bind_host_is_told() -> None:
    assert own_urls(host="127.0.0.1", port=1, interface_addresses=INTERFACES) == ("127.0.0.1:1",)
    assert own_urls(host="::1", port=1) == ("[::1]:1",)


def test_own_addresses_come_first_and_only_once_others_are_known() -> None:
    assert connect_urls(own=("a:1",), learned=None) == ()
    assert connect_urls(own=("a:1",), learned=("b:1", "a:1", "c:1")) == ("a:1", "b:1", "c:1")
    assert connect_urls(own=("a:1",), learned=()) == ("a:1",)
    assert connect_urls(own=(), learned=("b:1",)) == ("b:1",)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("h", ("h", 9)),
        ("h:0", ("h", 9)),
        ("h:-1", ("h", 9)),
        ("h:7", ("h", 7)),
        (" h ", ("h", 9)),
        (":5", ("", 5)),
        ("[::1]", ("::1", 9)),
        ("[::1]:7", ("::1", 7)),
    ],
)
def test_addresses_are_taken_apart(text: str, address: tuple[str, int]) -> None:
    assert split_host_port(text, default_port=9) == address
    assert advertised_address(host="x", port=9, advertise=text) == address


@pytest.mark.parametrize("text", ["::1", "tcp://h:1", "h:x", "h:70000", "h:", "h:²", "[::1", "[a]b:1"])
def test_other_texts_are_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|wanted a port"):
        split_host_port(text, default_port=9)


def test_without_advertising_info_shows_the_listener() -> None:
    assert advertised_address(host="0.0.0.0", port=4222) == ("0.0.0.0", 4222)
