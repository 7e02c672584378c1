"""The recorded dialogues of `spec/wire` once more, without sockets: the second entrance says the same bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.golden.manual_router import ManualClient, ManualRouter
from tests.golden.transcript import CLOSE, Step, decode_bytes, dialogue_paths, match_item, parse_dialogue


class Connections:
    """Plays the steps of one dialogue."""

    def __init__(self, router: ManualRouter) -> None:
        self._router = router
        self._clients: dict[str, ManualClient] = {}
        self._known: dict[str, bytes] = {}

    def play(self, step: Step) -> None:
        if step.connection not in self._clients:
            self._clients[step.connection] = self._router.connect()
        client = self._clients[step.connection]
        if step.sends:
            text = step.text
            for name, value in self._known.items():
                text = text.replace(f"<{name}>", value.decode())
            client.send(decode_bytes(text))
            return
        item = client.next_item()
        matches = item == b"" if step.text == CLOSE else item and match_item(step.text, item, self._known)
        assert matches, f"on {step.connection}\nwanted {step.text}\n   got {item!r}, with {self._known}"

    def expect_silence(self) -> None:
        for name, client in self._clients.items():
            item = client.next_item()
            assert not item, f"on {name}: wanted nothing more, got {item!r}"


@pytest.mark.parametrize("piece_bytes", [1 << 20, 1], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("path", dialogue_paths(), ids=lambda path: path.stem)
def test_dialogue_is_repeated_on_the_manual_engine(path: Path, piece_bytes: int) -> None:
    dialogue = parse_dialogue(path.read_text(), name=path.name)
    connections = Connections(ManualRouter(dialogue.config, piece_bytes=piece_bytes))
    for step in dialogue.steps:
        connections.play(step)
    connections.expect_silence()
