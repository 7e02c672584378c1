"""The addresses under which clients can reach this server (reference: wire protocol 1.15).

Own addresses come first in `connect_urls`, then those of other servers. Names are taken as they are, never resolved.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

PORT_MAX: Final = 65_535
_ANY: Final = ("0.0.0.0", "::")


def own_urls(*, host: str, port: int, advertise: str = "", interface_addresses: Iterable[str] = ()) -> tuple[str, ...]:
    """`host:port` of this server, one for each way to reach it.

    What is advertised, else every address that other machines can reach when bound to all of them, else the bind host.
    `interface_addresses` are those of this machine, in the order they should be offered.
    """
    if advertise:
        return (join_host_port(*split_host_port(advertise, default_port=port)),)
    if host in _ANY:
        return tuple(join_host_port(address, port) for address in interface_addresses if _is_reachable(address))
    return (join_host_port(host, port),)


def connect_urls(*, own: Iterable[str], learned: Iterable[str] | None) -> tuple[str, ...]:
    """`connect_urls` of INFO: own first, each once. Empty means that the member is left out.

    `learned` is None until another server has advertised for the first time; from then on own addresses are told even
    when no other is left. In lame duck mode `own` is empty.
    """
    return () if learned is None else tuple(dict.fromkeys((*own, *learned)))


def advertised_address(*, host: str, port: int, advertise: str = "") -> tuple[str, int]:
    """`host` and `port` of INFO."""
    return split_host_port(advertise, default_port=port) if advertise else (host, port)


def split_host_port(text: str, *, default_port: int) -> tuple[str, int]:
    """Takes `host`, `host:port`, `[v6]` or `[v6]:port` apart; raises ValueError for anything else.

    A port of -1 or 0 means the default one.
    """
    text = text.strip()
    bracketed, closed, rest = text.rpartition("]")
    host, colon, port = rest.partition(":")
    if closed:
        host, brackets_fit = bracketed.removeprefix("["), bracketed.startswith("[") and not host
    else:
        brackets_fit = "[" not in host
    if not brackets_fit or ":" in port:
        raise ValueError(f"address {text}: too many colons in address")
    digits = port.removeprefix("-")
    if colon and not (digits.isascii() and digits.isdecimal() and int(digits) <= PORT_MAX):
        raise ValueError(f'wanted a port up to {PORT_MAX} after the colon of "{text}"')
    number = int(port) if colon else 0
    return host, number if number > 0 else default_port


def join_host_port(host: str, port: int) -> str:
    """`host:port`, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_reachable(address: str) -> bool:
    """True for a unicast address that is neither of this machine alone nor of one link."""
    # Imported here: only servers bound to all addresses look at them.
    from ipaddress import ip_address

    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    return (
        not (ip.is_unspecified or ip.is_loopback or ip.is_multicast or ip.is_link_local)
        and str(ip) != "255.255.255.255"
    )
