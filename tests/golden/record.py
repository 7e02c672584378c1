"""Plays the `>>` lines of dialogues against the real nats-server and writes down what it answers.

    python -m tests.golden.record [FILE ...]        (default: all of spec/wire)

An expectation that still matches is kept as it is written, so placeholders survive. Review the difference before you
commit it: from then on both servers are held to it.
"""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import trio

from tests.golden.connections import Connections
from tests.golden.transcript import (
    CLOSE,
    Dialogue,
    Step,
    dialogue_paths,
    encode_bytes,
    format_dialogue,
    match_item,
    parse_dialogue,
)
from tests.kit.servers import ServerKind, running_server


async def record(path: Path) -> bool:
    """Rewrites one file; returns whether it changed."""
    before = path.read_text()
    dialogue = parse_dialogue(before, name=path.name)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(running_server(ServerKind.REAL, config=dialogue.config))
        after = format_dialogue(await replay(dialogue, Connections(server, stack)))
    path.write_text(after)
    return after != before


async def replay(dialogue: Dialogue, connections: Connections) -> list[Step | str]:
    """The lines of the dialogue with fresh expectations after each thing sent."""
    written: list[Step | str] = []
    for position, line in enumerate(dialogue.lines):
        if isinstance(line, str):
            written.append(line)
        elif line.sends:
            written.append(line)
            await connections.client(line.connection)
            await connections.send(line)
            old = expectations_after(dialogue, position)
            for name, item in await connections.drain():
                written.append(expectation(name, item, old, connections.known))
    return written


def expectations_after(dialogue: Dialogue, position: int) -> list[Step]:
    """The expectations written below the line at `position`, up to the next thing sent."""
    found: list[Step] = []
    for line in dialogue.lines[position + 1 :]:
        if isinstance(line, Step):
            if line.sends:
                break
            found.append(line)
    return found


def expectation(name: str, item: bytes, old: list[Step], known: dict[str, bytes]) -> Step:
    """How an arrived item is written down: as before where that still fits."""
    text = CLOSE if not item else "INFO <info>\\r\\n" if item.startswith(b"INFO ") else encode_bytes(item)
    for step in old:
        if step.connection == name and step.text != CLOSE and item and match_item(step.text, item, known):
            text = step.text
            break
    return Step(connection=name, sends=False, text=text)


def main() -> None:
    """Records the named files, or all."""
    paths = [Path(argument) for argument in sys.argv[1:]] or dialogue_paths()
    for path in paths:
        changed = trio.run(partial(record, path))
        print(f"{'changed  ' if changed else 'unchanged'} {path}")


if __name__ == "__main__":
    main()
