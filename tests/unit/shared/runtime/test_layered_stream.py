"""Streams between two servers, layer by layer, over real sockets."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from services.shared.config.options import TlsCertificate, TlsOptions
from services.shared.runtime.layered_stream import BrokenLayerError, LayeredStream
from services.shared.runtime.tls import TlsHandshakeError, TlsSession, build_tls_client, build_tls_server
from tests.kit.certificates import CertificateAuthority
from tests.kit.s2 import StreamReader, pack_plain

THRESHOLDS = (10_000_000, 50_000_000, 100_000_000)


@asynccontextmanager
async def two_ends() -> AsyncIterator[tuple[LayeredStream, LayeredStream]]:
    one, other = trio.socket.socketpair()
    with one, other:
        yield LayeredStream(one), LayeredStream(other)


def options(authority: CertificateAuthority, name: str, *, ca: str | None = None, insecure: bool = False) -> TlsOptions:
    shown = authority.issue_server(name)
    pair = TlsCertificate(cert_file=str(shown.cert_file), key_file=str(shown.key_file))
    roots = str(authority.ca_file) if ca is None else ca
    return TlsOptions(certificates=(pair,), ca_file=roots, verify=True, insecure=insecure)


async def secured(one: LayeredStream, other: LayeredStream, *, dialled: TlsSession, accepted: TlsSession) -> list[str]:
    """Both ends shake hands; returns what went wrong for either, and exchanges a word when nothing did."""
    faults = ["", ""]

    async def shake(at: int) -> None:
        try:
            with trio.fail_after(5):
                if at == 0:
                    await one.secure(dialled)
                    await one.send(b"first")
                    await one.recv()
                else:
                    await other.secure(accepted)
                    await other.send(await other.recv())
        except TlsHandshakeError as error:
            faults[at] = error.reason
            await (one, other)[at].finish()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shake, 0)
        nursery.start_soon(shake, 1)
    return faults


async def test_plain_bytes_go_as_they_are() -> None:
    async with two_ends() as (one, other):
        await one.send(b"INFO {}\r\n")
        await one.finish()
        assert (await other.recv(), await other.recv()) == (b"INFO {}\r\n", b"")
        fd, layers = other.give_away(b"rest")
        os.close(fd)
        assert (layers.received, layers.tls, layers.s2) == (b"rest", None, None)


async def test_what_is_sent_after_the_agreement_is_packed() -> None:
    left, right = trio.socket.socketpair()
    with left, right:
        stream = LayeredStream(left)
        await stream.send(b"clear")
        assert await right.recv(100) == b"clear"
        assert stream.compress("s2_fast", THRESHOLDS) == b""
        await stream.send(b"packed" * 100)
        reader = StreamReader()
        assert reader.read(await right.recv(1000)) == b"packed" * 100 and reader.kinds == [0xFF, 0]
        stream_end = pack_plain(b"PONG\r\n")
        await right.send(stream_end[:13])
        await right.send(stream_end[13:])
        assert await stream.recv() == b"PONG\r\n"


async def test_what_came_before_the_agreement_belongs_to_it() -> None:
    async with two_ends() as (one, other):
        packed = pack_plain(b"INFO {}\r\n") + pack_plain(b"PING\r\n")
        assert one.compress("s2_uncompressed", THRESHOLDS, packed[:-3]) == b"INFO {}\r\n"
        assert other.compress("s2_auto", THRESHOLDS) == b""
        fd, layers = one.give_away(b"RS+ ")
        os.close(fd)
        assert layers.s2 is not None and layers.received == b""
        assert layers.s2.receive(packed[-3:]) == b"RS+ PING\r\n"


async def test_nonsense_breaks_the_layer() -> None:
    async with two_ends() as (one, other):
        one.compress("s2_fast", THRESHOLDS)
        await other.send(b"PING\r\n")
        with pytest.raises(BrokenLayerError, match="unsupported chunk type 0x50"):
            await one.recv()


async def test_s2_lies_over_tls(authority: CertificateAuthority) -> None:
    async with two_ends() as (one, other):
        dialled = build_tls_client(options(authority, "one")).dial("localhost")
        accepted = build_tls_server(options(authority, "other")).accept()
        assert await secured(one, other, dialled=dialled, accepted=accepted) == ["", ""]
        for stream in (one, other):
            stream.compress("s2_best", THRESHOLDS)
        await one.send(b"hidden and small " * 1000)
        assert await other.recv() == b"hidden and small " * 1000
        fd, layers = other.give_away(b"rest")
        os.close(fd)
        assert layers.tls is not None and layers.s2 is not None and layers.s2.receive(b"") == b"rest"


async def test_the_name_that_was_dialled_must_be_in_the_certificate(authority: CertificateAuthority) -> None:
    async with two_ends() as (one, other):
        dialled = build_tls_client(options(authority, "one")).dial("elsewhere")
        accepted = build_tls_server(options(authority, "other")).accept()
        faults = await secured(one, other, dialled=dialled, accepted=accepted)
        assert "x509" in faults[0] and "elsewhere" in faults[0]
        assert faults[1].startswith("remote error: tls: ")


async def test_a_certificate_of_strangers_is_refused(
    authority: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    strangers = CertificateAuthority(tmp_path_factory.mktemp("strangers"), name="strangers")
    async with two_ends() as (one, other):
        dialled = build_tls_client(options(strangers, "one")).dial("localhost")
        accepted = build_tls_server(options(authority, "other")).accept()
        assert await secured(one, other, dialled=dialled, accepted=accepted) == [
            "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            "remote error: tls: unknown certificate authority",
        ]


async def test_any_certificate_will_do_where_it_was_said_so(authority: CertificateAuthority) -> None:
    async with two_ends() as (one, other):
        dialled = build_tls_client(options(authority, "one", ca="", insecure=True)).dial("elsewhere")
        accepted = build_tls_server(options(authority, "other")).accept()
        assert await secured(one, other, dialled=dialled, accepted=accepted) == ["", ""]


def test_a_handshake_needs_somebody_who_dials(authority: CertificateAuthority) -> None:
    session = build_tls_server(options(authority, "silent")).accept()
    assert session.take_output() == b"" and session.handshaking
    dialled = build_tls_client(options(authority, "loud")).dial("127.0.0.1")
    assert dialled.take_output().startswith(b"\x16\x03") and dialled.handshaking
