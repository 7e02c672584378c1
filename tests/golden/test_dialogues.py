"""Every recorded dialogue of `spec/wire`, replayed byte for byte against a server of its own."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.golden.connections import Connections
from tests.golden.transcript import (
    decode_bytes,
    dialogue_paths,
    encode_bytes,
    format_dialogue,
    match_item,
    parse_dialogue,
)
from tests.kit.servers import ServerKind, running_server


@pytest.mark.parametrize("path", dialogue_paths(), ids=lambda path: path.stem)
async def test_dialogue_is_repeated_byte_for_byte(server_kind: ServerKind, path: Path) -> None:
    await replay(server_kind, path)


async def replay(server_kind: ServerKind, path: Path) -> None:
    dialogue = parse_dialogue(path.read_text(), name=path.name)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_server(server_kind, config=dialogue.config))
        connections = Connections(server, stack)
        for step in dialogue.steps:
            await (connections.send(step) if step.sends else connections.expect(step))
        await connections.expect_silence()


@pytest.mark.parametrize("path", dialogue_paths(), ids=lambda path: path.stem)
def test_dialogue_file_says_why_it_exists_and_is_in_canonical_form(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# ")
    assert format_dialogue(list(parse_dialogue(text, name=path.name).lines)) == text


def test_escapes_are_undone() -> None:
    data = bytes(range(256)) + "é<x>\\".encode()
    assert decode_bytes(encode_bytes(data)) == data


def test_placeholder_means_the_same_bytes_each_time() -> None:
    known: dict[str, bytes] = {}
    assert match_item(r"MSG <reply> 1 <reply> 0\r\n", b"MSG a.b 1 a.b 0\r\n", known)
    assert not match_item(r"MSG x 1 <reply> 0\r\n", b"MSG x 1 other 0\r\n", known)
    assert match_item(r"MSG x 1 <reply> 0\r\n", b"MSG x 1 a.b 0\r\n", known)


def test_info_placeholder_takes_any_object() -> None:
    assert match_item(r"INFO <info>\r\n", b'INFO {"a":{"b":1}} \r\n', {})
    assert not match_item(r"INFO <info>\r\n", b"INFO nonsense\r\n", {})


def test_unknown_line_is_an_error_with_its_place() -> None:
    with pytest.raises(ValueError, match="x:2"):
        parse_dialogue("# why\nnonsense", name="x")
