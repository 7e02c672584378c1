"""The header with which a load balancer says for whom it connects: PROXY protocol, versions 1 and 2 (wire protocol 7).

Promise: `read_proxy_header` takes what a connection has sent so far and says whom it is from, what follows the header, or
that more is needed; it never asks for more than `HEADER_BYTES_MAX`. A connection without a header is nobody's error: the
balancer's own checks come without one. Texts of errors are nats-server's.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, NamedTuple

from services.shared.records.record import record

LINE_BYTES_MAX: Final = 107
"""A line of version 1 with its line end."""
HEADER_BYTES_MAX: Final = 16 + 0xFFFF
"""A header of version 2 says in 16 bits how long the rest is."""

_START_BYTES: Final = 6
"""Enough to tell the versions apart, and from NATS."""
_LINE_START: Final = b"PROXY "
_LINE_END: Final = b"\r\n"
_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED_BYTES: Final = 16
_VERSION_2: Final = 0x20
_LOCAL, _PROXIED = 0, 1
_STREAM: Final = 1
_UNSPECIFIED, _INET, _INET6 = 0x00, 0x10, 0x20
_INVALID: Final = "invalid PROXY protocol header: "
_UNSUPPORTED: Final = "unsupported PROXY protocol feature: "
_DECIMAL: Final = frozenset("0123456789")
_PORT_MAX: Final = 65_535


class Source(NamedTuple):
    """The client that somebody else connects for."""

    ip: str
    port: int


@record
class Unwrapped:
    """What the connection turned out to be. Without a `source` it speaks for itself; `rest` follows the header."""

    source: Source | None
    rest: bytes


@record
class Incomplete:
    """More has to come; `lacking` names the part that is under way, the way the log does."""

    lacking: str


class ProxyHeaderError(Exception):
    """A header that cannot be used; the text says what is wrong with it."""


def read_proxy_header(received: bytes | bytearray) -> Unwrapped | Incomplete:
    """What the first bytes of a connection say. Raises ProxyHeaderError for what begins like a header and is none."""
    if len(received) < _START_BYTES:
        return Incomplete(lacking="protocol version")
    start = bytes(received[:_START_BYTES])
    if start == _LINE_START:
        return _read_line(received)
    if start == _SIGNATURE[:_START_BYTES]:
        return _read_binary(received)
    return Unwrapped(source=None, rest=bytes(received))


# Version 1: a line of text.


def _read_line(received: bytes | bytearray) -> Unwrapped | Incomplete:
    end = received.find(_LINE_END, 0, LINE_BYTES_MAX)
    if end < 0:
        if len(received) >= LINE_BYTES_MAX:
            raise ProxyHeaderError(f"{_INVALID}v1 line too long")
        return Incomplete(lacking="v1 line")
    words = [word.decode("latin-1") for word in bytes(received[len(_LINE_START) : end]).split()]
    return Unwrapped(source=_source_of_line(words), rest=bytes(received[end + len(_LINE_END) :]))


def _source_of_line(words: list[str]) -> Source | None:
    if words[:1] == ["UNKNOWN"]:
        return None
    if len(words) != 5:
        raise ProxyHeaderError(f"{_INVALID}invalid v1 format")
    family, source_ip, own_ip, source_port, own_port = words
    port = _port(source_port, "source")
    _port(own_port, "dest")
    source = _address(source_ip)
    _address(own_ip)
    match family:
        case "TCP4" if not isinstance(source, IPv4Address):
            raise ProxyHeaderError(f"{_INVALID}TCP4 with IPv6 address")
        case "TCP6" if not isinstance(source, IPv6Address):
            raise ProxyHeaderError(f"{_INVALID}TCP6 with IPv4 address")
        case "TCP4" | "TCP6":
            return Source(_shown(source), port)
    raise ProxyHeaderError(f"{_INVALID}invalid protocol {family}")


def _port(text: str, whose: str) -> int:
    parsing = f"invalid {whose} port: strconv.ParseUint: parsing {_quoted(text)}"
    if not _DECIMAL.issuperset(text):
        raise ProxyHeaderError(f"{parsing}: invalid syntax")
    port = int(text)  # A line is short, so the number is.
    if port > _PORT_MAX:
        raise ProxyHeaderError(f"{parsing}: value out of range")
    return port


def _quoted(text: str) -> str:
    from services.shared.wire.quote import quote  # Only for texts of errors.

    return quote(text)


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        address = ip_address(text)
    except ValueError:
        address = None
    if address is None or getattr(address, "scope_id", None):
        raise ProxyHeaderError(f"{_INVALID}invalid address")
    return address


# Version 2: binary.


def _read_binary(received: bytes | bytearray) -> Unwrapped | Incomplete:
    if len(received) < len(_SIGNATURE):
        return Incomplete(lacking="v2 signature")
    if received[: len(_SIGNATURE)] != _SIGNATURE:
        raise ProxyHeaderError(f"{_INVALID}invalid signature")
    if len(received) < _FIXED_BYTES:
        return Incomplete(lacking="v2 header")
    version, command = received[12] & 0xF0, received[12] & 0x0F
    if version != _VERSION_2:
        raise ProxyHeaderError(f"{_INVALID}invalid version 0x{version:02x}")
    if command not in (_LOCAL, _PROXIED):
        raise ProxyHeaderError(f"unknown PROXY protocol command: 0x{command:02x}")
    family, transport = received[13] & 0xF0, received[13] & 0x0F
    if command == _PROXIED and transport != _STREAM:
        raise ProxyHeaderError(f"{_UNSUPPORTED}only STREAM protocol supported")
    if command == _PROXIED and family not in (_UNSPECIFIED, _INET, _INET6):
        raise ProxyHeaderError(f"{_UNSUPPORTED}unsupported address family 0x{family:02x}")
    end = _FIXED_BYTES + int.from_bytes(received[14:16])
    if len(received) < end:
        return Incomplete(lacking="v2 address data")
    block = bytes(received[_FIXED_BYTES:end])
    source = None if command == _LOCAL else _source_of_block(block, family=family)
    return Unwrapped(source=source, rest=bytes(received[end:]))


def _source_of_block(block: bytes, *, family: int) -> Source | None:
    """Source and own address, then both ports; whatever follows is for others."""
    if family == _UNSPECIFIED:
        return None
    name, size = ("IPv4", 4) if family == _INET else ("IPv6", 16)
    if len(block) < 2 * size + 4:
        raise ProxyHeaderError(f"{name} address data too short: {len(block)} bytes")
    return Source(_shown(ip_address(block[:size])), int.from_bytes(block[2 * size : 2 * size + 2]))


def _shown(address: IPv4Address | IPv6Address) -> str:
    """An IPv4 address within an IPv6 one is shown as what it is."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
