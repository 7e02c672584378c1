r"""Recorded dialogues as text: one step a line, exact bytes, placeholders where every run differs.

    # comments say why the dialogue exists
    :: max_payload: 100                configuration of the server, line by line
    A >> PUB a 2\r\nhi\r\n             connection A (opened on first use) sends these bytes
    A << MSG a 1 2\r\nhi\r\n           one item (control line, or message with payload) must arrive on A next
    A << <close>                       the server must close A

Escapes: `\r`, `\n`, `\t`, `\\`, `\xNN`; a literal `<` in an expectation is `\x3c`. A placeholder `<name>` stands for one
or more bytes other than white space and means the same bytes each time it appears in a dialogue; `<info>` is the JSON
object of an INFO, another one each time. Everything else must match byte for byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

DIALOGUES = Path(__file__).resolve().parents[2] / "spec" / "wire"
CLOSE = "<close>"
STEP = re.compile(r"(?P<connection>\w+) (?P<direction>>>|<<) (?P<text>.*)")
ESCAPE = re.compile(r"\\(r|n|t|\\|x[0-9a-fA-F]{2})")
PLACEHOLDER = re.compile(r"<(\w+)>")
PLAIN = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of a dialogue: `sends` tells the direction; `text` is as written, escapes and placeholders included."""

    connection: str
    sends: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialogue:
    """A parsed file. `lines` has every line; a step stands for the line it came from, anything else is kept as text."""

    name: str
    config: str
    lines: tuple[Step | str, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps alone, in order."""
        return tuple(line for line in self.lines if isinstance(line, Step))


def dialogue_paths() -> list[Path]:
    """All recorded dialogues."""
    return sorted(DIALOGUES.glob("*.txt"))


def parse_dialogue(text: str, *, name: str) -> Dialogue:
    """Reads a file. A line that is neither comment, configuration, step nor blank is an error."""
    lines: list[Step | str] = []
    config: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = STEP.fullmatch(line)
        if line.startswith("::"):
            config.append(line[3:])
        if match is None or line.startswith("#"):
            if line and not line.startswith(("#", "::")):
                raise ValueError(f"{name}:{number}: wanted a comment, '::', or 'NAME >> ...', found {line!r}")
            lines.append(line)
        else:
            sends = match["direction"] == ">>"
            lines.append(Step(connection=match["connection"], sends=sends, text=match["text"]))
    return Dialogue(name=name, config="\n".join(config) + "\n", lines=tuple(lines))


def format_dialogue(lines: list[Step | str]) -> str:
    """The inverse of `parse_dialogue`."""
    written = [
        line if isinstance(line, str) else f"{line.connection} {'>>' if line.sends else '<<'} {line.text}"
        for line in lines
    ]
    return "\n".join(written) + "\n"


def decode_bytes(text: str) -> bytes:
    """The bytes that an escaped text stands for."""
    parts: list[bytes] = []
    position = 0
    for match in ESCAPE.finditer(text):
        parts.append(text[position : match.start()].encode())
        escape = match[1]
        parts.append(bytes([int(escape[1:], 16)]) if escape[0] == "x" else PLAIN[escape].encode())
        position = match.end()
    parts.append(text[position:].encode())
    return b"".join(parts)


def encode_bytes(data: bytes) -> str:
    """An escaped text for these bytes, without placeholders."""
    names = {ord(plain): f"\\{name}" for name, plain in PLAIN.items()} | {ord("<"): "\\x3c"}
    return "".join(names.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\x{byte:02x}") for byte in data)


def match_item(text: str, item: bytes, known: dict[str, bytes]) -> bool:
    """Whether an arrived item is what the text wants; learns the placeholders that it meets for the first time."""
    pattern, position = b"", 0
    learned: list[str] = []
    for match in PLACEHOLDER.finditer(text):
        pattern += re.escape(decode_bytes(text[position : match.start()]))
        position = match.end()
        name = match[1]
        if name == "info":
            pattern += rb"\{.*\} ?"
        elif name in known:
            pattern += re.escape(known[name])
        elif name in learned:
            pattern += f"(?P={name})".encode()
        else:
            learned.append(name)
            pattern += f"(?P<{name}>\\S+)".encode()
    pattern += re.escape(decode_bytes(text[position:]))
    found = re.fullmatch(pattern, item, re.DOTALL)
    if found is None:
        return False
    known.update({name: found[name] for name in learned})
    return True
