"""What lies under routes, as a small server sees it: compression and TLS (checklist: [route])."""

from __future__ import annotations

import json
import ssl
from typing import Any

import pytest
import trio

from tests.conftest import Dial, StartServer
from tests.kit.certificates import CertificateAuthority
from tests.kit.clusters import cluster_config
from tests.kit.routepeer import RoutePeer, route_peer
from tests.kit.s2 import IDENTIFIER, SNAPPY_IDENTIFIER, checksum, chunk, pack_plain
from tests.kit.servers import Server


def _user(name: str) -> str:
    return f'authorization {{ user: "{name}", password: p }}'


ACCOUNTS = "accounts { X { users: [{user: x, password: x}] } }\nno_auth_user: x\n"
SAID = {
    "": "accept",
    "accept": "accept",
    "off": "off",
    "false": "off",
    "disabled": "off",
    "not_supported": "not supported",
    "on": "s2_fast",
    "true": "s2_fast",
    "fast": "s2_fast",
    "s2_better": "s2_better",
    "best": "s2_best",
    "auto": "s2_auto",
    "{ mode: s2_auto, rtt_thresholds: ['0s', '10s'] }": "s2_auto",
}
REMOTES = (None, "not supported", "off", "accept", "s2_auto", "s2_uncompressed", "s2_fast", "s2_better", "s2_best")
TABLE = {
    # What the server is configured for, then what it says for each of the remotes; empty where nothing is compressed.
    "off": ("",) * 9,
    "not_supported": ("",) * 9,
    "accept": ("", "", "", "", "s2_fast", "s2_uncompressed", "s2_fast", "s2_better", "s2_best"),
    "s2_auto": ("", "", "", *("s2_auto",) * 6),
    "s2_fast": ("", "", "", *("s2_fast",) * 6),
    "s2_best": ("", "", "", *("s2_best",) * 6),
}


def config(compression: str) -> str:
    return cluster_config(more=f"compression: {compression}" if compression else "") + ACCOUNTS


async def compressed(peer: RoutePeer, mode: str = "s2_fast") -> None:
    """Agrees on compression and joins."""
    await peer.negotiate(mode)
    peer.compress()
    assert (await peer.line()).startswith(b"INFO ")
    await peer.introduce(headers=True)
    await peer.settled()


@pytest.mark.parametrize("compression", sorted(SAID))
async def test_a_server_says_in_info_what_it_is_configured_for(shared_server: StartServer, compression: str) -> None:
    async with route_peer(shared_server(config(compression))) as peer:
        assert peer.info["compression"] == SAID[compression]


@pytest.mark.parametrize("remote", REMOTES)
@pytest.mark.parametrize("local", sorted(TABLE))
async def test_both_sides_decide_whether_there_is_compression(
    shared_server: StartServer, local: str, remote: str | None
) -> None:
    """Checklist 94."""
    chosen = TABLE[local][REMOTES.index(remote)]
    async with route_peer(shared_server(config(local))) as peer:
        await peer.negotiate(remote)
        if not chosen:
            await peer.settled()
            assert not peer.unpacked.kinds
            return
        peer.compress()
        greeting = await peer.line()
        assert greeting.startswith(b"INFO ") and json.loads(greeting[5:])["compression"] == chosen
        await peer.introduce()
        await peer.settled()
        for _ in range(3):
            before = len(peer.unpacked.kinds)
            assert await peer.settled() == []
            assert peer.unpacked.kinds[before:] == [0xFF, 1], "a small flush is a stream of its own"


async def test_a_mode_that_is_none_is_refused(shared_server: StartServer) -> None:
    for local in ("accept", "s2_fast"):
        async with route_peer(shared_server(config(local))) as peer:
            await peer.negotiate("zstd")
            assert await peer.closing_words() == [b"-ERR 'unsupported route compression mode \"zstd\"'"]


@pytest.mark.parametrize("identifier", [IDENTIFIER, SNAPPY_IDENTIFIER], ids=["S2", "Snappy"])
async def test_who_never_compresses_is_understood(shared_server: StartServer, login: Dial, identifier: bytes) -> None:
    """Checklist 95."""
    server = shared_server(config("s2_best"))
    client = await login(server)
    await client.subscribe("in.>")
    await client.ping_pong()
    async with route_peer(server) as peer:
        await compressed(peer)
        peer.compress(identifier=identifier)
        await peer.send(b"RMSG X in.a 3\r\none\r\n")
        await client.expect(b"MSG in.a 1 3\r\none\r\n")
        # Padding, an index, and a message cut in two chunks, of which the second comes with an identifier of its own.
        first, second = b"RMSG X in.b 40", b"00\r\n" + b"y" * 4000 + b"\r\n"
        await peer.send_raw(chunk(0xFE, bytes(1000)) + chunk(0x99, b"index") + pack_plain(first) + pack_plain(second))
        await client.expect(b"MSG in.b 1 4000\r\n" + b"y" * 4000 + b"\r\n")


async def test_blocks_are_read_with_all_kinds_of_copies(shared_server: StartServer, login: Dial) -> None:
    """Checklist 95."""
    server = shared_server(config("s2_fast"))
    client = await login(server)
    await client.subscribe("in.>")
    await client.ping_pong()
    payload = b"ab" * (1 + 2 + 4 + 200 + 20_000 + 40_000 + 1) + b"ab"
    plain = b"RMSG X in.a %d\r\n%s\r\n" % (len(payload), payload)
    start = plain.index(b"ab")
    block = (
        _size(len(plain))
        + bytes([(start + 2 - 1) << 2]) + plain[: start + 2]
        + bytes([0 << 2 | 1, 2])                                           # four bytes, two back
        + bytes([4 << 2 | 1, 0])                                           # the same again: eight
        + bytes([6 << 2 | 1, 0]) + (400 - 4 - 256).to_bytes(2, "little")   # 400
        + bytes([6 << 2 | 1, 0]) + (40_000 - 4 - 256).to_bytes(2, "little")
        + bytes([7 << 2 | 1, 0]) + (80_000 - 4 - 65_536).to_bytes(3, "little")
        + bytes([(2 - 1) << 2 | 2]) + (2).to_bytes(2, "little")            # two more
        + bytes([(2 - 1) << 2 | 3]) + (2).to_bytes(4, "little")            # and two
        + bytes([(2 - 1) << 2]) + b"\r\n"
    )  # fmt: skip
    async with route_peer(server) as peer:
        await compressed(peer)
        await peer.send_raw(IDENTIFIER + chunk(0, checksum(plain) + block))
        message = await client.expect_message()
        assert message.payload == payload


def _size(size: int) -> bytes:
    digits = b""
    while size >= 0x80:
        digits += bytes([size & 0x7F | 0x80])
        size >>= 7
    return digits + bytes([size])


@pytest.mark.parametrize("mode", ["s2_fast", "s2_better", "s2_best"])
async def test_what_repeats_itself_is_sent_small(shared_server: StartServer, login: Dial, mode: str) -> None:
    server = shared_server(config(mode))
    client = await login(server)
    async with route_peer(server) as peer:
        await compressed(peer)
        await peer.send(b"RS+ X out\r\n")
        await peer.settled()
        before = peer.unpacked.packed_bytes
        payload = b'{"id":1,"state":"open"}' * 3000
        await client.publish("out", payload)
        assert await peer.message() == (b"RMSG X out %d" % len(payload), payload)
        assert 0 in peer.unpacked.kinds and peer.unpacked.packed_bytes - before < len(payload) // 10


@pytest.mark.parametrize(
    "stream",
    [
        b"PING\r\n",
        chunk(1, checksum(b"PING\r\n") + b"PONG\r\n"),
        chunk(0, checksum(b"") + b"\xff\xff\xff\xff\x0f"),
        chunk(2, b"reserved"),
        b"\x01\xff\xff\xff",
        b"\xff\x06\x00\x00S2sTwo",
    ],
    ids=["no S2", "checksum", "size", "unknown chunk", "long chunk", "identifier"],
)
async def test_what_is_no_stream_ends_the_route(shared_server: StartServer, login: Dial, stream: bytes) -> None:
    server = shared_server(config("s2_fast"))
    client = await login(server)
    async with route_peer(server) as peer:
        await compressed(peer)
        await peer.send_raw(stream + (bytes(5 << 20) if stream.endswith(b"\xff\xff") else b""))
        await peer.closing_words()
    await client.ping_pong()


def tls_config(authority: CertificateAuthority, more: str = "", *, tls: str = "") -> str:
    shown = authority.issue_server()
    files = f'cert_file: "{shown.cert_file}", key_file: "{shown.key_file}", ca_file: "{authority.ca_file}"'
    return cluster_config(more=f"tls {{ {files}\n{tls} }}\n{more}") + ACCOUNTS


async def test_a_route_with_tls_speaks_nothing_else(
    shared_server: StartServer, login: Dial, authority: CertificateAuthority
) -> None:
    server = shared_server(tls_config(authority))
    client = await login(server)
    context = authority.client_context(authority.issue("peer", subject=(("CN", "peer"),), dns=("peer",)))
    async with route_peer(server, tls=context) as peer:
        assert (peer.info["tls_required"], peer.info["tls_verify"]) == (True, True)
        await peer.join("SECURE")
        await peer.send(b"RS+ X out\r\n")
        await peer.settled()
        await client.publish("out", b"hidden")
        assert await peer.message() == (b"RMSG X out 6", b"hidden")


async def test_compression_is_above_tls(
    shared_server: StartServer, login: Dial, authority: CertificateAuthority
) -> None:
    server = shared_server(tls_config(authority, "compression: s2_best"))
    client = await login(server)
    context = authority.client_context(authority.issue("peer", subject=(("CN", "peer"),), dns=("peer",)))
    async with route_peer(server, tls=context) as peer:
        await compressed(peer)
        await peer.send(b"RS+ X out\r\n")
        await peer.settled()
        await client.publish("out", b"hidden" * 1000)
        assert await peer.message() == (b"RMSG X out 6000", b"hidden" * 1000)
        assert 0 in peer.unpacked.kinds


async def test_a_peer_without_a_certificate_is_not_let_in(
    shared_server: StartServer, authority: CertificateAuthority
) -> None:
    server = shared_server(tls_config(authority))
    for context in (authority.client_context(), None):
        assert not await _is_greeted(server, context)


ROUTES = 'routes: ["nats://a.b.example:1", "nats://127.0.0.9:1"]'
VOUCHERS: dict[str, tuple[str, str, dict[str, Any], bool]] = {
    # Options of the cluster and its TLS, what the certificate of the peer says, and whether that lets it in.
    "known host": (ROUTES, "verify_cert_and_check_known_urls: true", {"dns": ("A.B.Example",)}, True),
    "one of two hosts": (ROUTES, "verify_cert_and_check_known_urls: true", {"dns": ("no", "a.b.example")}, True),
    "any host of the domain": (ROUTES, "verify_cert_and_check_known_urls: true", {"dns": ("*.b.example",)}, True),
    "any domain": (ROUTES, "verify_cert_and_check_known_urls: true", {"dns": ("*.*.example",)}, False),
    "other host": (ROUTES, "verify_cert_and_check_known_urls: true", {"dns": ("x.example",)}, False),
    "address": (ROUTES, "verify_cert_and_check_known_urls: true", {"ip": ("127.0.0.9",)}, False),
    "address as a name": (ROUTES, "verify_cert_and_check_known_urls: true", {"dns": ("127.0.0.9",)}, True),
    "common name": (ROUTES, "verify_cert_and_check_known_urls: true", {"subject": (("CN", "a.b.example"),)}, False),
    "mapped subject": (_user("CN=peer"), "verify_and_map: true", {"subject": (("CN", "peer"),)}, True),
    "other subject": (_user("CN=peer"), "verify_and_map: true", {"subject": (("CN", "other"),)}, False),
    "mapped name": (_user("peer.example"), "verify_and_map: true", {"dns": ("peer.example",)}, True),
    "mapped URI": (_user("peer.example"), "verify_and_map: true", {"uri": ("peer.example",)}, True),
    "nobody to map to": ("", "verify_and_map: true", {"subject": (("CN", "peer"),)}, False),
}


@pytest.mark.parametrize("voucher", sorted(VOUCHERS))
async def test_certificates_may_vouch_for_servers(
    shared_server: StartServer, authority: CertificateAuthority, voucher: str
) -> None:
    more, tls, says, fits = VOUCHERS[voucher]
    shown = authority.issue("voucher", **says)
    server = shared_server(tls_config(authority, more, tls=tls))
    async with route_peer(server, tls=authority.client_context(shown)) as peer:
        # A password does not help where certificates decide.
        user = json.dumps({"cluster": "C", "user": "CN=peer", "pass": "p"})
        await peer.send(f"CONNECT {user}\r\n".encode())
        if not fits:
            assert await peer.closing_words() == [b"-ERR 'Authorization Violation'"]
            return
        await peer.introduce()
        await peer.send(b"PING\r\n")
        while (line := await peer.line()) != b"PONG":
            assert line and not line.startswith(b"-ERR")


async def _is_greeted(server: Server, context: ssl.SSLContext | None) -> bool:
    with trio.fail_after(5):
        async with await trio.open_tcp_stream("127.0.0.1", server.port("cluster")) as plain:
            stream = plain if context is None else trio.SSLStream(plain, context, server_hostname="localhost")
            try:
                await stream.send_all(b'CONNECT {"cluster":"C"}\r\n')
                return b"INFO" in await stream.receive_some()
            except trio.BrokenResourceError:
                return False
