"""Opening connections with TLS: real sockets, clients of Python's ssl module, every variant of wire protocol 1.16."""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from services.router.admission.tls_handshake_loop import InClear, Opening, Secured, TlsEntrance, TurnedAway, open_tls
from services.router.admission.tls_mode import TLS_AT_ONCE, TlsMode
from services.router.admission.tls_rate import HandshakeRate
from services.shared.config.options import TlsCertificate, TlsOptions
from services.shared.runtime.tls import SecureStream, TlsServer, build_tls_server
from services.shared.wire.close_reasons import CloseReason
from tests.kit.certificates import CertificateAuthority
from tests.kit.tlspeer import TlsPeer

DEADLINE_S = 5
INFO = b'INFO {"tls_required":true}\r\n'
SHORT_NS = 100_000_000
PATIENT_NS = 4_000_000_000


@pytest.fixture(scope="module")
def server(authority: CertificateAuthority) -> TlsServer:
    served = authority.issue_server()
    pair = TlsCertificate(cert_file=str(served.cert_file), key_file=str(served.key_file))
    return build_tls_server(TlsOptions(certificates=(pair,)))


class Door:
    """A connection that is being opened: the client's end, and in the end the outcome."""

    def __init__(self, client: trio.SocketStream, near: trio.socket.SocketType) -> None:
        self.client = client
        self.near = near
        self._done = trio.Event()
        self._outcome: Opening | None = None
        self.handshakes = 0

    async def run(self, entrance: TlsEntrance) -> None:
        import socket

        raw = socket.socket(fileno=self.near.detach())
        with raw:
            self._outcome = await open_tls(
                raw, entrance, greeting=INFO, now_ns=time.monotonic_ns, begins=self._handshake_begins
            )
            self._done.set()
            if isinstance(self._outcome, Secured):
                await SecureStream(trio.socket.from_stdlib_socket(raw), self._outcome.session).send(b"inside\r\n")

    def _handshake_begins(self) -> None:
        self.handshakes += 1

    async def outcome(self) -> Opening:
        await self._done.wait()
        assert self._outcome is not None
        return self._outcome

    async def turned_away(self) -> TurnedAway:
        outcome = await self.outcome()
        assert isinstance(outcome, TurnedAway)
        return outcome

    async def line(self) -> bytes:
        """The next line in clear, or what came before the end."""
        got = b""
        while not got.endswith(b"\r\n"):
            data = await self.client.receive_some(1)
            if not data:
                break
            got += data
        return got


@asynccontextmanager
async def opening(
    server: TlsServer, mode: TlsMode, *, timeout_ns: int = PATIENT_NS, rate: HandshakeRate | None = None
) -> AsyncIterator[Door]:
    """A fresh connection to a listener of this mode."""
    far, near = trio.socket.socketpair()
    door = Door(trio.SocketStream(far), near)
    entrance = TlsEntrance(server=server, mode=mode, timeout_ns=timeout_ns, rate=rate)
    with trio.fail_after(DEADLINE_S), far:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(door.run, entrance)
            yield door


async def greeted_inside(door: Door, context: ssl.SSLContext) -> None:
    """Shakes hands and reads what the server says inside TLS."""
    peer = TlsPeer(door.client, context)
    await peer.handshake()
    assert await peer.receive() == b"inside\r\n"


async def test_info_comes_in_clear_then_tls(server: TlsServer, authority: CertificateAuthority) -> None:
    async with opening(server, TlsMode()) as door:
        assert await door.line() == INFO
        await greeted_inside(door, authority.client_context())
        outcome = await door.outcome()
        assert isinstance(outcome, Secured) and outcome.greeted


async def test_handshake_first_says_nothing_before_tls(server: TlsServer, authority: CertificateAuthority) -> None:
    async with opening(server, TLS_AT_ONCE) as door:
        await greeted_inside(door, authority.client_context())
        outcome = await door.outcome()
        assert isinstance(outcome, Secured) and not outcome.greeted


async def test_auto_serves_a_client_that_begins(server: TlsServer, authority: CertificateAuthority) -> None:
    async with opening(server, TlsMode(hello_first_ns=PATIENT_NS)) as door:
        await greeted_inside(door, authority.client_context())
        outcome = await door.outcome()
        assert isinstance(outcome, Secured) and not outcome.greeted


async def test_auto_falls_back_to_info_after_its_delay(server: TlsServer, authority: CertificateAuthority) -> None:
    async with opening(server, TlsMode(hello_first_ns=SHORT_NS)) as door:
        start_ns = time.monotonic_ns()
        assert await door.line() == INFO
        assert time.monotonic_ns() - start_ns >= SHORT_NS * 9 // 10
        await greeted_inside(door, authority.client_context())
        outcome = await door.outcome()
        assert isinstance(outcome, Secured) and outcome.greeted


async def test_both_kinds_are_served_on_one_port(server: TlsServer, authority: CertificateAuthority) -> None:
    mode = TlsMode(clear_allowed=True)
    async with opening(server, mode) as door:
        assert await door.line() == INFO
        await greeted_inside(door, authority.client_context())
    async with opening(server, mode) as door:
        assert await door.line() == INFO
        await door.client.send_all(b"CONNECT {}\r\n")
        assert await door.outcome() == InClear(received=b"CONNECT {}\r\n")
    async with opening(server, mode, timeout_ns=SHORT_NS) as door:
        assert await door.outcome() == InClear(received=b"")


async def test_silent_client_is_turned_away_in_time(server: TlsServer) -> None:
    async with opening(server, TlsMode(), timeout_ns=SHORT_NS) as door:
        away = await door.turned_away()
        assert away == TurnedAway(reason=CloseReason.TLS_HANDSHAKE_FAILURE, text="TLS handshake timeout", level="DBG")
        assert await door.line() == INFO
        assert await door.line() == b""


async def test_client_that_stops_midway_is_turned_away_in_time(server: TlsServer) -> None:
    async with opening(server, TLS_AT_ONCE, timeout_ns=SHORT_NS) as door:
        await door.client.send_all(b"\x16\x03\x01\x01\x00\x01")
        assert (await door.turned_away()).text == "TLS handshake timeout"


async def test_plain_text_is_worth_a_debug_line_only(server: TlsServer) -> None:
    async with opening(server, TlsMode()) as door:
        await door.client.send_all(b"CONNECT {}\r\n")
        away = await door.turned_away()
        assert away.level == "DBG"
        assert away.text == "TLS handshake error: tls: first record does not look like a TLS handshake"


async def test_client_that_distrusts_us_is_an_error(server: TlsServer) -> None:
    async with opening(server, TLS_AT_ONCE) as door:
        with pytest.raises(ssl.SSLCertVerificationError):
            await TlsPeer(door.client, ssl.create_default_context()).handshake()
        away = await door.turned_away()
        assert away.level == "ERR"
        assert away.text == "TLS handshake error: remote error: tls: unknown certificate authority"


async def test_client_that_leaves_is_an_outcome(server: TlsServer) -> None:
    for mode in (TlsMode(), TLS_AT_ONCE, TlsMode(hello_first_ns=SHORT_NS)):
        async with opening(server, mode) as door:
            await door.client.aclose()
            away = await door.turned_away()
            assert away.text.startswith("TLS handshake error: ")


async def test_excess_handshakes_are_told_and_counted(server: TlsServer, authority: CertificateAuthority) -> None:
    rate = HandshakeRate(1)
    async with opening(server, TlsMode(), rate=rate) as door:
        assert await door.line() == INFO
        await greeted_inside(door, authority.client_context())
    async with opening(server, TlsMode(), rate=rate) as door:
        assert await door.line() == INFO
        assert await door.line() == b"-ERR 'Connection throttling is active. Please try again later.'\r\n"
        away = await door.turned_away()
        assert away.reason is CloseReason.MAXIMUM_CONNECTIONS_EXCEEDED
    assert rate.take_rejected() == 1


async def test_clients_without_tls_do_not_count(server: TlsServer) -> None:
    rate = HandshakeRate(0)
    async with opening(server, TlsMode(clear_allowed=True), rate=rate) as door:
        await door.client.send_all(b"PING\r\n")
        assert await door.outcome() == InClear(received=b"PING\r\n")
    assert rate.take_rejected() == 0
