"""What lies under routes: compression and TLS, between servers of ours and with real ones."""

from __future__ import annotations

import random
import signal

import pytest

from tests.kit.certificates import CertificateAuthority
from tests.kit.clusters import PAIRS, client_of, pair_name, pair_of_servers, until_heard
from tests.kit.eventually import eventually
from tests.kit.monitoring import get
from tests.kit.rawclient import RawClient
from tests.kit.servers import Server, ServerKind

Kinds = tuple[ServerKind, ServerKind]
pairs = pytest.mark.parametrize("kinds", PAIRS, ids=pair_name)

SIZES = (0, 1, 100, 4_000, 65_536, 70_000, 300_000, 1_000_000)
SLOW_IS_FAR = '{ mode: s2_auto\n rtt_thresholds: ["0s", "0s", "5s"] }'
AGREED = {
    # What the seed and the joiner are configured for, and what either ends up with.
    "nothing said": ("", "", "off", "off"),
    "seed fast": ("s2_fast", "", "s2_fast", "s2_fast"),
    "joiner fast": ("", "s2_fast", "s2_fast", "s2_fast"),
    "better and best": ("s2_better", "s2_best", "s2_better", "s2_best"),
    "near": ("s2_auto", "s2_auto", "s2_uncompressed", "s2_uncompressed"),
    "auto and accept": ("s2_auto", "accept", "s2_uncompressed", "s2_fast"),
    "accept and auto": ("accept", "s2_auto", "s2_fast", "s2_uncompressed"),
    "other thresholds": (SLOW_IS_FAR, "s2_best", "s2_better", "s2_best"),
    "off wins": ("off", "s2_best", "off", "off"),
    "not supported": ("s2_best", "not_supported", "not supported", "not supported"),
}


def mode(compression: str) -> str:
    return f"compression: {compression}" if compression else ""


def tls(authority: CertificateAuthority, more: str = "") -> str:
    shown = authority.issue_server()
    files = f'cert_file: "{shown.cert_file}", key_file: "{shown.key_file}", ca_file: "{authority.ca_file}"'
    return f"tls {{ {files}\n{more} }}"


def payload(size: int) -> bytes:
    """Half of it repeats itself, half does not."""
    chance = random.Random(size)
    words = [chance.randbytes(20) for _ in range(10)]
    pieces = (chance.choice(words) if chance.random() < 0.5 else chance.randbytes(20) for _ in range(size // 20 + 1))
    return b"".join(pieces)[:size]


async def messages_cross(one: RawClient, other: RawClient) -> None:
    """Messages of all sizes, both ways; they come whole and in order, and requests are answered."""
    for name, (speaker, listener) in {"there": (one, other), "back": (other, one)}.items():
        await listener.subscribe(f"{name}.*", sid="5")
        await speaker.subscribe("inbox", sid="6")
        # Interest is told in order: once this is heard, the other side knows the rest as well.
        await until_heard(listener, speaker, f"ready.{name}.speaker")
        await until_heard(speaker, listener, f"ready.{name}.listener")
        for size in SIZES:
            await speaker.publish(f"{name}.{size}", payload(size), reply="inbox")
        for size in SIZES:
            message = await listener.expect_message()
            assert (message.subject, message.reply) == (f"{name}.{size}", "inbox")
            assert message.payload == payload(size), f"{size} bytes came as {len(message.payload)}"
        await listener.publish(message.reply, b"all of it")
        assert (await speaker.expect_message()).payload == b"all of it"
        await speaker.send(b"UNSUB 6\r\n")
        await listener.send(b"UNSUB 5\r\n")


async def compressions(server: Server) -> set[str]:
    page = await get(server, "/routez")
    return {route["compression"] for route in page.json()["routes"]}


@pairs
@pytest.mark.parametrize("agreed", sorted(AGREED))
async def test_two_servers_agree_on_compression(kinds: Kinds, agreed: str) -> None:
    """Checklist 94."""
    seed_mode, joiner_mode, seed_has, joiner_has = AGREED[agreed]
    modes = {"more": mode(seed_mode), "joiner_more": mode(joiner_mode)}
    async with pair_of_servers(kinds, monitoring=True, **modes) as (seed, joiner), client_of(seed) as one:
        async with client_of(joiner) as other:
            await messages_cross(one, other)

        async def agreed_on() -> bool:
            """What follows the round trip time may take until the first is measured."""
            return (await compressions(seed), await compressions(joiner)) == ({seed_has}, {joiner_has})

        await eventually(agreed_on, what=f"{seed_has} and {joiner_has}")


@pairs
@pytest.mark.parametrize("compression", ["off", "s2_fast", "s2_best"])
async def test_routes_are_encrypted(kinds: Kinds, compression: str, authority: CertificateAuthority) -> None:
    more = tls(authority) + "\n" + mode(compression)
    async with pair_of_servers(kinds, more=more, monitoring=True) as (seed, joiner), client_of(seed) as one:
        async with client_of(joiner) as other:
            await messages_cross(one, other)
        assert (await compressions(seed), await compressions(joiner)) == ({compression}, {compression})


@pairs
async def test_servers_without_a_common_authority_stay_strangers(
    kinds: Kinds, authority: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    strangers = CertificateAuthority(tmp_path_factory.mktemp("strangers"), name="strangers")
    more = {"more": tls(authority), "joiner_more": tls(strangers)}
    async with pair_of_servers(kinds, monitoring=True, **more) as (seed, joiner):
        for server in (seed, joiner):
            await eventually(lambda server=server: "TLS route handshake error: " in server.log_text(), what="a refusal")
        assert (await compressions(seed), await compressions(joiner)) == (set(), set())


async def test_a_server_without_tls_is_no_member_of_a_cluster_with_it(authority: CertificateAuthority) -> None:
    for one, other in ((tls(authority), ""), ("", tls(authority))):
        kinds = (ServerKind.OURS, ServerKind.OURS)
        async with pair_of_servers(kinds, monitoring=True, more=one, joiner_more=other) as (seed, joiner):

            def refused(seed: Server = seed, joiner: Server = joiner) -> bool:
                return "TLS route handshake error: " in seed.log_text() + joiner.log_text()

            await eventually(refused, what="a refusal")
            assert not await compressions(seed) and not await compressions(joiner)


async def test_a_reload_brings_another_certificate_for_routes(
    authority: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("renewed")
    old = authority.issue("seed-old", dns=("elsewhere",))
    for name, part in (("cert.pem", old.cert_file), ("cert.key", old.key_file)):
        (folder / name).write_bytes(part.read_bytes())
    files = f'cert_file: "{folder}/cert.pem", key_file: "{folder}/cert.key", ca_file: "{authority.ca_file}"'
    kinds = (ServerKind.OURS, ServerKind.OURS)
    pair = pair_of_servers(kinds, monitoring=True, more=f"tls {{ {files} }}", joiner_more=tls(authority))
    async with pair as (seed, joiner):
        await eventually(lambda: "x509" in joiner.log_text(), what="a refusal of the old certificate")
        shown = authority.issue_server("renewed")
        for name, part in (("cert.pem", shown.cert_file), ("cert.key", shown.key_file)):
            (folder / name).write_bytes(part.read_bytes())
        seed.signal(signal.SIGHUP)

        async def joined() -> bool:
            return await compressions(seed) == {"off"}

        await eventually(joined, what="the route")


@pairs
async def test_a_peer_that_is_killed_and_comes_again_is_served_again(
    kinds: Kinds, authority: CertificateAuthority
) -> None:
    more = tls(authority) + "\ncompression: s2_better"
    async with pair_of_servers(kinds, more=more, monitoring=True) as (seed, joiner), client_of(seed) as one:
        async with client_of(joiner) as other:
            await messages_cross(one, other)
            joiner.signal(signal.SIGKILL)

            async def forgotten() -> bool:
                return not await compressions(seed)

            await eventually(forgotten, what="the end of the route")
        await one.ping_pong()
