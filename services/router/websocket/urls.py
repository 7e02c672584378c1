"""The addresses under which WebSocket clients find this server (reference: wire protocol 1.4, 1.15).

INFO on a WebSocket connection names the listener as it is bound; `connect_urls` carries what others should dial.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from services.shared.config.options import WebsocketOptions
from services.shared.records.record import record

_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::", ""})


@record
class Endpoint:
    """A host without brackets, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def info_endpoint(options: WebsocketOptions, *, bound_port: int) -> Endpoint:
    """`host` and `port` of the INFO sent on a WebSocket connection."""
    return Endpoint(host=options.host, port=bound_port)


def connect_urls(options: WebsocketOptions, *, bound_port: int, interface_addresses: Iterable[str]) -> tuple[str, ...]:
    """Our own entries of `connect_urls`, as `host:port`.

    That is `advertise` when given, else the bound host, else the interfaces' addresses without loopback and link-local
    ones (`interface_addresses` is what the machine has that others can reach). Raises ValueError for an `advertise`
    that is no `host[:port]`.
    """
    if options.advertise:
        return (str(parse_endpoint(options.advertise, default_port=bound_port)),)
    hosts = interface_addresses if options.host in _ANY_ADDRESS else (options.host,)
    return tuple(str(Endpoint(host=host, port=bound_port)) for host in hosts)


def listener_url(options: WebsocketOptions, *, bound_port: int) -> str:
    """The URL for the log and the ports file."""
    scheme = "wss" if options.tls is not None else "ws"
    return f"{scheme}://{Endpoint(host=options.host, port=bound_port)}"


def parse_endpoint(text: str, *, default_port: int) -> Endpoint:
    """Splits `host`, `host:port`, `[ipv6]` or `[ipv6]:port`; a port of 0 or -1 stands for the default.

    Raises ValueError with what is wrong.
    """
    host, port_text = _split(text)
    if not host:
        raise ValueError(f"address {text!r} has no host")
    if port_text in ("", "0", "-1"):
        return Endpoint(host=host, port=default_port)
    if not (port_text.isascii() and port_text.isdigit() and int(port_text) <= 65_535):
        raise ValueError(f"address {text!r}: port {port_text!r}, wanted 1 to 65535")
    return Endpoint(host=host, port=int(port_text))


def _split(text: str) -> tuple[str, str]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError(f"address {text!r}: unbalanced brackets")
        return host, rest[1:]
    if text.count(":") > 1:
        raise ValueError(f"address {text!r}: too many colons in address")
    host, _, port_text = text.partition(":")
    return host, port_text
