"""Which subjects are valid, and which subscriptions they match."""

from __future__ import annotations

import pytest

from tests.conftest import Dial, StartServer
from tests.kit.servers import Server


@pytest.fixture
def server(shared_server: StartServer) -> Server:
    return shared_server()


@pytest.mark.parametrize("subject", ["a..b", ".a", "a.", ".", "..", "a...b"])
async def test_subscribing_to_an_empty_token_is_refused(server: Server, login: Dial, subject: str) -> None:
    """Checklist 26."""
    c = await login(server)
    await c.send(f"SUB {subject} 1\r\n".encode())
    await c.expect_err("Invalid Subject")
    await c.subscribe("sid.is.free", sid="1")
    await c.send(b"PUB sid.is.free 0\r\n\r\n")
    await c.expect(b"MSG sid.is.free 1 0\r\n\r\n")


@pytest.mark.parametrize("literal", ["foo*", "*foo", "f*o", "foo>", ">foo", "**", ">>", "*>"])
async def test_wildcard_characters_inside_a_token_are_literal(server: Server, login: Dial, literal: str) -> None:
    """Checklist 27."""
    c = await login(server)
    await c.subscribe(f"literal.{literal}")
    await c.send(f"PUB literal.food 0\r\n\r\nPUB literal.{literal} 2\r\nhi\r\n".encode())
    await c.expect(f"MSG literal.{literal} 1 2\r\nhi\r\n".encode())
    await c.ping_pong()


@pytest.mark.parametrize("subject", [">.a", "a.>.b", "*.>.*", ">.>"])
async def test_full_wildcard_must_be_the_last_token(server: Server, login: Dial, subject: str) -> None:
    """Checklist 28."""
    c = await login(server)
    await c.send(f"SUB {subject} 1\r\n".encode())
    await c.expect_err("Invalid Subject")
    await c.ping_pong()


async def test_publishing_to_a_wildcard_means_its_tokens(server: Server, login: Dial) -> None:
    """Checklist 29."""
    c = await login(server)
    await c.send(b"SUB wc.> 1\r\nSUB wc.literal 2\r\nPUB wc.* 1\r\nx\r\n")
    await c.expect(b"MSG wc.* 1 1\r\nx\r\n")
    await c.ping_pong()
    await c.send(b"UNSUB 1\r\nSUB wc.* 3\r\nPUB wc.* 1\r\ny\r\n")
    await c.expect(b"MSG wc.* 3 1\r\ny\r\n")
    await c.ping_pong()


@pytest.mark.parametrize("subject", ["void..b", ".void", "void.", "void..", "."])
async def test_publishing_to_an_invalid_subject_reaches_nobody(server: Server, login: Dial, subject: str) -> None:
    """Checklist 30."""
    c = await login(server)
    await c.subscribe(">")
    await c.send(f"PUB {subject} 0\r\n\r\nPUB void.end 0\r\n\r\n".encode())
    await c.expect(b"MSG void.end 1 0\r\n\r\n")
    await c.ping_pong()


@pytest.mark.parametrize("sid", ["abc", "42x", "A-1_%", "000000000000000000000000000001"])
async def test_any_word_is_a_sid(server: Server, login: Dial, sid: str) -> None:
    """Checklist 32."""
    c = await login(server)
    await c.subscribe("words", sid=sid)
    await c.send(b"PUB words 2\r\nhi\r\n")
    await c.expect(f"MSG words {sid} 2\r\nhi\r\n".encode())
    await c.send(f"UNSUB {sid}\r\nPUB words 0\r\n\r\n".encode())
    await c.ping_pong()


@pytest.mark.parametrize("subject", ["grüße.Ωμέγα", "日本.東京", "emoji.🎉", "a-b_c/d:e%f{}[]|\\\"'"])
async def test_any_bytes_but_white_space_make_a_subject(server: Server, login: Dial, subject: str) -> None:
    """Checklist 32."""
    c = await login(server)
    await c.subscribe(subject)
    await c.send(f"PUB {subject} 2\r\nhi\r\n".encode())
    await c.expect(f"MSG {subject} 1 2\r\nhi\r\n".encode())


async def test_subjects_that_are_not_utf8_are_forwarded(server: Server, login: Dial) -> None:
    """Checklist 32."""
    c = await login(server)
    await c.send(b"SUB bytes.\xff\xfe.* 1\r\nPUB bytes.\xff\xfe.\x80 r\x01 1\r\n\x00\r\n")
    await c.expect(b"MSG bytes.\xff\xfe.\x80 1 r\x01 1\r\n\x00\r\n")


async def test_subjects_are_case_sensitive(server: Server, login: Dial) -> None:
    """Checklist 32."""
    c = await login(server)
    await c.send(b"SUB Case.a 1\r\nPUB case.a 0\r\n\r\nPUB Case.A 0\r\n\r\nPUB Case.a 0\r\n\r\n")
    await c.expect(b"MSG Case.a 1 0\r\n\r\n")
    await c.ping_pong()


@pytest.mark.parametrize(
    ("pattern", "hits", "misses"),
    [
        ("m.*", ["m.a", "m.*"], ["m", "m.a.b", "n.a"]),
        ("m.>", ["m.a", "m.a.b", "m.*.>"], ["m", "n.a"]),
        ("*.m", ["a.m"], ["m", "a.b.m", "a.m.b"]),
        ("m.*.x", ["m.a.x"], ["m.x", "m.a.b.x", "m.a.y"]),
        ("m.*.>", ["m.a.b", "m.a.b.c"], ["m.a"]),
        ("*", ["m"], ["m.a"]),
        (">", ["m", "m.a.b"], []),
        ("*.*", ["m.a"], ["m", "m.a.b"]),
    ],
)
async def test_wildcards_match_token_by_token(
    server: Server, login: Dial, pattern: str, hits: list[str], misses: list[str]
) -> None:
    """Checklist 29."""
    c = await login(server)
    await c.subscribe(pattern)
    for subject in misses:
        await c.publish(subject)
    for subject in hits:
        await c.send(f"PUB {subject} 0\r\n\r\n".encode())
        await c.expect(f"MSG {subject} 1 0\r\n\r\n".encode())
    await c.ping_pong()


async def test_deep_subjects_are_matched(server: Server, login: Dial) -> None:
    """Checklist 29."""
    c = await login(server)
    deep = ".".join(["t"] * 500)
    await c.send(f"SUB {deep} 1\r\nSUB {'.'.join(['*'] * 500)} 2\r\nPUB {deep} 0\r\n\r\n".encode())
    got = sorted([await c.next_item(), await c.next_item()])
    assert got == [f"MSG {deep} {sid} 0\r\n\r\n".encode() for sid in (1, 2)]
