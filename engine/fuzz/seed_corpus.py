"""Writes first inputs for the fuzz targets, made from the recorded dialogues of `spec/wire`.

    python -m engine.fuzz.seed_corpus        (from the top of the repository)

Files that a fuzzer has added stay. The names tell the dialogue and the connection that they came from.
"""

from __future__ import annotations

from pathlib import Path

from tests.golden.transcript import Dialogue, decode_bytes, dialogue_paths, parse_dialogue
from tests.kit.s2 import pack_plain

CORPUS = Path(__file__).parent / "corpus"
REAL_STREAMS = Path(__file__).parent.parent / "core" / "tests" / "s2"
CROWD = 4
PIECE_BYTES = 255
WISHES = b"\x0c"
MASK = b"\x11\x22\x33\x44"


def spoken(dialogue: Dialogue) -> list[tuple[str, bytes]]:
    """Who sends what, in order."""
    return [(step.connection, decode_bytes(step.text)) for step in dialogue.steps if step.sends]


def crowd_program(steps: list[tuple[str, bytes]]) -> bytes:
    """The dialogue as instructions of `engine_feed`: after everything sent, everybody reads."""
    names = sorted({name for name, _ in steps})
    program = b""
    for name, data in steps:
        who = names.index(name) % CROWD
        for start in range(0, len(data), PIECE_BYTES):
            piece = data[start : start + PIECE_BYTES]
            program += bytes([who, len(piece)]) + piece
        program += b"".join(bytes([reader | 5 << 2, 255]) for reader in range(CROWD))
    return program


def frame(data: bytes) -> bytes:
    """One masked binary frame."""
    size = bytes([0x80 | len(data)]) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2, "big")
    return b"\x82" + size + MASK + bytes(byte ^ MASK[at % 4] for at, byte in enumerate(data))


def main() -> None:
    """Writes all of them."""
    for target in ("client_parser", "engine_feed", "s2_reader", "ws_decode"):
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
    for path in dialogue_paths():
        steps = spoken(parse_dialogue(path.read_text(), name=path.name))
        (CORPUS / "engine_feed" / f"dialogue-{path.stem}").write_bytes(crowd_program(steps))
        for name in sorted({name for name, _ in steps}):
            said = [data for connection, data in steps if connection == name]
            (CORPUS / "client_parser" / f"dialogue-{path.stem}-{name}").write_bytes(WISHES + b"".join(said))
        framed = b"".join(frame(data) for _, data in steps)
        packed = b"".join(pack_plain(data) for _, data in steps)
        (CORPUS / "s2_reader" / f"dialogue-{path.stem}").write_bytes(b"\x06\x01" + packed)
        (CORPUS / "ws_decode" / f"dialogue-{path.stem}").write_bytes(b"\x00\x07" + framed)
    for path in sorted(REAL_STREAMS.glob("*.s2")):
        (CORPUS / "s2_reader" / path.stem).write_bytes(b"\xff\x40" + path.read_bytes())


if __name__ == "__main__":
    main()
