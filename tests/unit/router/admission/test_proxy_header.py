"""The header of a load balancer: found, bounded, refused. What nats-server makes of headers is shown by conformance."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.admission.proxy_header import (
    HEADER_BYTES_MAX,
    LINE_BYTES_MAX,
    Incomplete,
    ProxyHeaderError,
    Source,
    Unwrapped,
    read_proxy_header,
)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V4, V6 = st.ip_addresses(v=4), st.ip_addresses(v=6)
PORTS = st.integers(0, 65535)
TAILS = st.binary(max_size=40)


def binary(*, kind: int, block: bytes, command: int = 0x21) -> bytes:
    return SIGNATURE + bytes((command, kind)) + struct.pack(">H", len(block)) + block


def addresses(source: bytes, own: bytes, port: int) -> bytes:
    return source + own + struct.pack(">HH", port, 4222)


def shown(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return str(getattr(address, "ipv4_mapped", None) or address)


def headers() -> st.SearchStrategy[tuple[bytes, Source | None]]:
    """Well-formed headers and whom they name."""

    def line(source: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int) -> tuple[bytes, Source]:
        own = "127.0.0.1" if source.version == 4 else "::1"
        return f"PROXY TCP{source.version} {source} {own} {port} 4222\r\n".encode(), Source(shown(source), port)

    def block(
        source: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, more: bytes
    ) -> tuple[bytes, Source | None]:
        kind = 0x11 if source.version == 4 else 0x21
        body = addresses(source.packed, source.packed, port) + more
        return binary(kind=kind, block=body), Source(shown(source), port)

    nobody = st.sampled_from(
        [
            b"PROXY UNKNOWN\r\n",
            b"PROXY UNKNOWN a b c\r\n",
            binary(kind=0, block=b"", command=0x20),
            binary(kind=1, block=b"x"),
        ]
    )
    return st.one_of(
        st.builds(line, st.one_of(V4, V6), PORTS),
        st.builds(block, st.one_of(V4, V6), PORTS, TAILS),
        st.tuples(nobody, st.none()),
    )


@given(header=headers(), rest=TAILS)
def test_source_and_rest_are_found(header: tuple[bytes, Source | None], rest: bytes) -> None:
    text, source = header
    assert read_proxy_header(text + rest) == Unwrapped(source=source, rest=rest)


@given(header=headers(), rest=TAILS)
def test_nothing_is_decided_before_the_header_is_complete(header: tuple[bytes, Source | None], rest: bytes) -> None:
    text, _ = header
    for end in range(len(text)):
        assert isinstance(read_proxy_header(bytearray(text[:end])), Incomplete)


@given(data=st.one_of(st.binary(min_size=6, max_size=200), st.builds(bytes.__add__, st.just(SIGNATURE), TAILS)))
def test_any_bytes_end_in_an_outcome(data: bytes) -> None:
    try:
        outcome = read_proxy_header(data)
    except ProxyHeaderError as error:
        assert str(error).isprintable()
        return
    match outcome:
        case Unwrapped(source=None, rest=rest):
            assert data.endswith(rest)
        case Incomplete():
            assert data.startswith((b"PROXY ", SIGNATURE[:6]))
            assert len(data) < (LINE_BYTES_MAX if data.startswith(b"P") else HEADER_BYTES_MAX)


@pytest.mark.parametrize(
    "data", [b"CONNECT {}\r\n", b"PING\r\nPING", b"proxy TCP4 ", b"PROXYX", b"\r\n\r\nPING", b"\x16\x03\x01abc"]
)
def test_connection_without_a_header_speaks_for_itself(data: bytes) -> None:
    assert read_proxy_header(data) == Unwrapped(source=None, rest=data)


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("TCP5 1.2.3.4 5.6.7.8 1 2", "invalid PROXY protocol header: invalid protocol TCP5"),
        ("TCP4 1.2.3.400 5.6.7.8 1 2", "invalid PROXY protocol header: invalid address"),
        ("TCP4 01.2.3.4 5.6.7.8 1 2", "invalid PROXY protocol header: invalid address"),
        ("TCP6 fe80::1%eth0 ::1 1 2", "invalid PROXY protocol header: invalid address"),
        ("TCP4 ::1 5.6.7.8 1 2", "invalid PROXY protocol header: TCP4 with IPv6 address"),
        ("TCP6 1.2.3.4 ::1 1 2", "invalid PROXY protocol header: TCP6 with IPv4 address"),
        ("TCP4 1.2.3.4 5.6.7.8 1", "invalid PROXY protocol header: invalid v1 format"),
        ("TCP4 1.2.3.4 5.6.7.8 1 2 3", "invalid PROXY protocol header: invalid v1 format"),
        ("", "invalid PROXY protocol header: invalid v1 format"),
        (
            "TCP4 1.2.3.4 5.6.7.8 1 66000",
            'invalid dest port: strconv.ParseUint: parsing "66000": value out of range',
        ),
        ("TCP4 1.2.3.4 5.6.7.8 +1 2", 'invalid source port: strconv.ParseUint: parsing "+1": invalid syntax'),
    ],
)
def test_malformed_line_is_refused(words: str, reason: str) -> None:
    with pytest.raises(ProxyHeaderError) as refused:
        read_proxy_header(f"PROXY {words}\r\n".encode())
    assert str(refused.value) == reason


def test_line_is_bounded_and_ends_in_two_bytes() -> None:
    assert isinstance(read_proxy_header(b"PROXY ".ljust(LINE_BYTES_MAX - 1, b"x")), Incomplete)
    with pytest.raises(ProxyHeaderError, match="v1 line too long"):
        read_proxy_header(b"PROXY ".ljust(LINE_BYTES_MAX, b"x"))
    assert isinstance(read_proxy_header(b"PROXY UNKNOWN\n"), Incomplete)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (SIGNATURE[:-1] + b"!", "invalid PROXY protocol header: invalid signature"),
        (binary(kind=0x11, block=b"", command=0x31), "invalid PROXY protocol header: invalid version 0x30"),
        (binary(kind=0x11, block=b"", command=0x22), "unknown PROXY protocol command: 0x02"),
        (binary(kind=0x12, block=b""), "unsupported PROXY protocol feature: only STREAM protocol supported"),
        (binary(kind=0x31, block=b""), "unsupported PROXY protocol feature: unsupported address family 0x30"),
        (binary(kind=0x11, block=b"12345678"), "IPv4 address data too short: 8 bytes"),
        (binary(kind=0x21, block=b"12345678"), "IPv6 address data too short: 8 bytes"),
    ],
)
def test_malformed_binary_header_is_refused(header: bytes, reason: str) -> None:
    with pytest.raises(ProxyHeaderError) as refused:
        read_proxy_header(header)
    assert str(refused.value) == reason
