"""TLS and WebSocket connections through a whole router in this process, down to the forwarding thread and back."""

from __future__ import annotations

import json
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from services.router.foundation import ENTROPY_BYTES, lay_foundation, role_log
from services.router.serving_loop import Serving
from services.shared.config.options import Options, TlsCertificate, TlsOptions, WebsocketOptions
from services.shared.records.record import replace
from services.shared.runtime.role_plan import NATS_LISTENER, WEBSOCKET_LISTENER, Identity, RolePlan
from tests.kit.certificates import CertificateAuthority
from tests.kit.tlspeer import TlsPeer

DEADLINE_S = 10
IDENTITY = Identity(server_id="N" + "A" * 55, server_name="test", xkey="X" + "A" * 55)


def tls_options(authority: CertificateAuthority, **members: Any) -> TlsOptions:
    served = authority.issue_server()
    pair = TlsCertificate(cert_file=str(served.cert_file), key_file=str(served.key_file))
    return TlsOptions(certificates=(pair,), ca_file=str(authority.ca_file), **members)


class Running:
    """A router that serves, its listeners' ports, and what it logs."""

    def __init__(self, options: Options) -> None:
        self._logged, self._log_reader = trio.open_memory_channel[tuple[str, str]](100)
        self.ports: dict[str, int] = {}
        sockets = {}
        for name in (NATS_LISTENER, *([WEBSOCKET_LISTENER] if options.websocket else [])):
            listener = socket.create_server(("127.0.0.1", 0))
            listener.setblocking(False)
            self.ports[name] = listener.getsockname()[1]
            sockets[name] = listener.detach()
        plan = RolePlan(
            role="router", options=options, identity=IDENTITY, sockets=sockets, ports=self.ports,
            node_pid=os.getpid(), started_ns=0,
        )  # fmt: skip
        self.router = Serving(plan, None, lay_foundation(plan, role_log(plan, None), entropy=os.urandom(ENTROPY_BYTES)))
        self.router.log._emit = lambda level, text: self._logged.send_nowait((level, text))

    async def next_log(self) -> tuple[str, str]:
        """The next line of the log, with its level."""
        return await self._log_reader.receive()

    def reload(self, options: Options) -> None:
        self.router._reload(options, loaded_ns=1)

    async def stream(self, name: str = NATS_LISTENER) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.ports[name])


@asynccontextmanager
async def running(options: Options) -> AsyncIterator[Running]:
    router = Running(options)
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(router.router.serve)
            await trio.testing.wait_all_tasks_blocked()
            yield router
            nursery.cancel_scope.cancel()
    router.router.engine.stop()


class Lines:
    """Reads lines from anything that receives."""

    def __init__(self, receive: Any) -> None:
        self._receive = receive
        self._got = b""

    async def next(self) -> bytes:
        while b"\r\n" not in self._got:
            data = await self._receive()
            if not data:
                raise EOFError(self._got)
            self._got += data
        line, self._got = self._got.split(b"\r\n", 1)
        return line

    async def info(self) -> dict[str, Any]:
        line = await self.next()
        assert line.startswith(b"INFO "), line
        members: dict[str, Any] = json.loads(line[5:])
        return members


async def secured(stream: trio.SocketStream, context: ssl.SSLContext) -> tuple[TlsPeer, Lines]:
    peer = TlsPeer(stream, context)
    await peer.handshake()
    return peer, Lines(peer.receive)


async def clear_info(stream: trio.SocketStream) -> dict[str, Any]:
    """Reads INFO byte by byte, so that nothing of TLS is taken by mistake."""
    return await Lines(lambda: stream.receive_some(1)).info()


async def exchange(peer: TlsPeer, lines: Lines, *, size: int) -> None:
    """Publishes to itself through the forwarding thread."""
    body = os.urandom(size // 2).hex().encode()
    await peer.send(b'CONNECT {"verbose":false}\r\nSUB there 7\r\nPUB there %d\r\n%s\r\nPING\r\n' % (len(body), body))
    assert await lines.next() == b"MSG there 7 %d" % len(body)
    assert await lines.next() == body
    assert await lines.next() == b"PONG"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_messages_cross_tls_and_the_forwarding_thread(
    authority: CertificateAuthority, version: ssl.TLSVersion
) -> None:
    async with running(Options(tls=tls_options(authority))) as router:
        for size in (16, 60_000, 900_000):
            stream = await router.stream()
            info = await clear_info(stream)
            assert info["tls_required"] is True and "tls_verify" not in info
            peer, lines = await secured(stream, authority.client_context(maximum=version))
            await exchange(peer, lines, size=size)
            await stream.aclose()


async def test_handshake_first_gets_info_inside_tls(authority: CertificateAuthority) -> None:
    async with running(Options(tls=tls_options(authority, handshake_first_delay_ns=0))) as router:
        peer, lines = await secured(await router.stream(), authority.client_context())
        assert (await lines.info())["tls_required"] is True
        await exchange(peer, lines, size=1000)


async def test_plain_clients_are_served_beside_tls(authority: CertificateAuthority) -> None:
    async with running(Options(tls=tls_options(authority), allow_non_tls=True)) as router:
        stream = await router.stream()
        assert (await clear_info(stream))["tls_available"] is True
        await stream.send_all(b'CONNECT {"verbose":false}\r\nPING\r\n')
        assert await Lines(stream.receive_some).next() == b"PONG"
        stream = await router.stream()
        await clear_info(stream)
        peer, lines = await secured(stream, authority.client_context())
        await exchange(peer, lines, size=1000)


async def test_refused_client_is_named_in_the_log(authority: CertificateAuthority) -> None:
    async with running(Options(tls=tls_options(authority, verify=True))) as router:
        stream = await router.stream()
        assert (await clear_info(stream))["tls_verify"] is True
        with pytest.raises(ssl.SSLError):
            _, lines = await secured(stream, authority.client_context())
            await lines.next()
        level, text = await router.next_log()
        assert level == "ERR"
        assert text.endswith(" - TLS handshake error: tls: client didn't provide a certificate")
        certified = authority.issue("entrance-client", subject=(("CN", "client"),))
        stream = await router.stream()
        await clear_info(stream)
        peer, lines = await secured(stream, authority.client_context(certified))
        await exchange(peer, lines, size=1000)


async def test_close_is_announced_before_the_socket_ends(authority: CertificateAuthority) -> None:
    async with running(Options(tls=tls_options(authority))) as router:
        stream = await router.stream()
        await clear_info(stream)
        peer, lines = await secured(stream, authority.client_context())
        await peer.send(b'CONNECT {"verbose":false}\r\nNONSENSE\r\n')
        assert await lines.next() == b"-ERR 'Unknown Protocol Operation'"
        assert await peer.receive() == b"", "a closing alert, not a torn stream"


async def test_reload_switches_tls_on_and_off(authority: CertificateAuthority) -> None:
    plain = Options()
    async with running(plain) as router:
        assert "tls_required" not in await clear_info(await router.stream())
        for _ in range(2):
            router.reload(replace(plain, tls=tls_options(authority)))
            await trio.testing.wait_all_tasks_blocked()
            stream = await router.stream()
            assert (await clear_info(stream))["tls_required"] is True
            peer, lines = await secured(stream, authority.client_context())
            await exchange(peer, lines, size=100)
            router.reload(plain)
            await trio.testing.wait_all_tasks_blocked()
            assert "tls_required" not in await clear_info(await router.stream())
            await peer.send(b"PING\r\n")
            assert await lines.next() == b"PONG", "who is there stays"


async def test_certificates_that_cannot_be_read_again_leave_those_in_use(authority: CertificateAuthority) -> None:
    options = Options(tls=tls_options(authority))
    assert options.tls is not None
    gone = replace(options, tls=replace(options.tls, certificates=(TlsCertificate(cert_file="/x", key_file="/x"),)))
    async with running(options) as router:
        router.reload(gone)
        assert "open /x: no such file or directory" in (await router.next_log())[1]
        stream = await router.stream()
        await clear_info(stream)
        peer, lines = await secured(stream, authority.client_context())
        await exchange(peer, lines, size=100)


async def test_websocket_runs_over_tls(authority: CertificateAuthority) -> None:
    from tests.kit.wsclient import Opcode, encode_frame  # type: ignore[attr-defined]

    async with running(Options(websocket=WebsocketOptions(port=1, tls=tls_options(authority)))) as router:
        peer, lines = await secured(await router.stream(WEBSOCKET_LISTENER), authority.client_context())
        await peer.send(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert await lines.next() == b"HTTP/1.1 101 Switching Protocols"
        while await lines.next():
            pass
        assert b'"tls_required":true' in await lines.next()
        await peer.send(encode_frame(Opcode.BINARY, b'CONNECT {"verbose":false}\r\nPING\r\n'))
        assert (await lines.next()).endswith(b"PONG")


async def test_garbage_inside_tls_ends_that_connection_only(authority: CertificateAuthority) -> None:
    options = Options(tls=tls_options(authority), websocket=WebsocketOptions(port=1, tls=tls_options(authority)))
    async with running(options) as router:
        for name in (NATS_LISTENER, WEBSOCKET_LISTENER):
            stream = await router.stream(name)
            if name == NATS_LISTENER:
                await clear_info(stream)
            await secured(stream, authority.client_context())
            await stream.send_all(b"\x17\x03\x03\x00\x20" + bytes(32))
            with pytest.raises((trio.BrokenResourceError, EOFError)):
                while await stream.receive_some():
                    pass
                raise EOFError
        stream = await router.stream()
        await clear_info(stream)
        peer, lines = await secured(stream, authority.client_context())
        await exchange(peer, lines, size=100)
