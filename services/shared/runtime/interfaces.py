"""The addresses of this machine's network interfaces, in the kernel's order. Linux only."""

from __future__ import annotations

import fcntl
import socket
import struct
from typing import Final

_SIOCGIFADDR: Final = 0x8915


def local_hosts() -> list[str]:
    """Every address, by interface: IPv4 first, then IPv6. Addresses that can't be read are left out."""
    hosts: list[str] = []
    ipv6 = _ipv6_hosts()
    for _, name in socket.if_nameindex():
        address = _ipv4_host(name)
        hosts += [address] if address else []
        hosts += ipv6.get(name, [])
    return hosts


def _ipv4_host(interface: str) -> str:
    request = struct.pack("256s", interface.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
        except OSError:
            return ""  # an interface without an IPv4 address
    return socket.inet_ntoa(answer[20:24])


def _ipv6_hosts() -> dict[str, list[str]]:
    hosts: dict[str, list[str]] = {}
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as table:
            for line in table:
                digits, *_, name = line.split()
                hosts.setdefault(name, []).append(socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)))
    except (OSError, ValueError):
        return {}
    return hosts
