"""What INFO, the log and the ports file say about the listener's address."""

from __future__ import annotations

import pytest

from services.router.websocket.urls import Endpoint, connect_urls, info_endpoint, listener_url, parse_endpoint
from services.shared.config.options import TlsOptions, WebsocketOptions

INTERFACES = ("10.0.0.5", "2001:db8::5")


def urls(options: WebsocketOptions) -> tuple[str, ...]:
    return connect_urls(options, bound_port=8080, interface_addresses=INTERFACES)


def test_info_names_the_listener_as_bound_even_when_advertised() -> None:
    options = WebsocketOptions(host="127.0.0.1", port=-1, advertise="foo.example:99")
    assert info_endpoint(options, bound_port=8080) == Endpoint(host="127.0.0.1", port=8080)


def test_connect_urls_prefer_advertise_then_the_host_then_the_interfaces() -> None:
    assert urls(WebsocketOptions(host="127.0.0.1", advertise="foo.example:99")) == ("foo.example:99",)
    assert urls(WebsocketOptions(advertise="foo.example")) == ("foo.example:8080",)
    assert urls(WebsocketOptions(host="127.0.0.1")) == ("127.0.0.1:8080",)
    assert urls(WebsocketOptions()) == ("10.0.0.5:8080", "[2001:db8::5]:8080")
    assert urls(WebsocketOptions(host="::")) == ("10.0.0.5:8080", "[2001:db8::5]:8080")


def test_listener_url_tells_whether_tls_is_on() -> None:
    assert listener_url(WebsocketOptions(host="127.0.0.1"), bound_port=8080) == "ws://127.0.0.1:8080"
    assert listener_url(WebsocketOptions(host="::1", tls=TlsOptions()), bound_port=443) == "wss://[::1]:443"


def test_an_endpoint_is_host_and_optional_port() -> None:
    assert parse_endpoint("[::1]", default_port=5) == Endpoint(host="::1", port=5)
    assert parse_endpoint("[::1]:7", default_port=5) == Endpoint(host="::1", port=7)
    assert parse_endpoint("a:0", default_port=5) == parse_endpoint("a:-1", default_port=5) == Endpoint(host="a", port=5)


@pytest.mark.parametrize("text", ["a:b:c", "a:x", "a:65536", ":99", "", "[::1", "[::1]9", "a:²"])
def test_other_addresses_are_refused_with_what_was_seen(text: str) -> None:
    with pytest.raises(ValueError, match="address"):
        parse_endpoint(text, default_port=5)
