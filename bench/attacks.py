"""Clients that behave badly, one kind at a time, for as long as they are told.

    python -m bench.attacks NAME HOST PORT SECONDS [CONNECTIONS [PAUSE]]

Each runs in one thread with plain sockets. They are meant to cost the server work, not to be fast themselves.
"""

from __future__ import annotations

import contextlib
import random
import selectors
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

HELLO: Final = b'CONNECT {"verbose":false}\r\n'
RECEIVE_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """`connections` of them send `opening` and then pieces made by `piece` for ever, again after they were cut.

    With `reads` what the server says is read; `pause_s` is waited between two pieces of the same connection,
    and before it is opened again.
    """

    connections: int
    opening: bytes = HELLO
    piece: Callable[[int], bytes]
    reads: bool = True
    pause_s: float = 0.0


def _noise(number: int) -> bytes:
    return random.Random(number).randbytes(4096)


def _churn(number: int) -> bytes:
    """Wildcards that come and go make the server forget what it knows about subjects."""
    return b"".join(b"SUB churn.%d.* %d\r\nUNSUB %d\r\n" % (number + at, at, at) for at in range(200))


def _new_subjects(number: int) -> bytes:
    return b"".join(b"PUB once.%d.%d 0\r\n\r\n" % (number, at) for at in range(500))


def _deep_subject(number: int) -> bytes:
    subject = b"a." * 2000 + b"%d" % number
    return b"PUB " + subject + b" 0\r\n\r\n"


def _deep_patterns() -> bytes:
    lines = []
    for at in range(500):
        tokens = [b"a"] * 2000
        tokens[at] = b"*"
        lines.append(b"SUB " + b".".join(tokens) + b".* %d\r\n" % at)
    return HELLO + b"".join(lines)


_PINGS: Final = b"PING\r\n" * 5000
_LARGE: Final = b"PUB nobody 900000\r\n" + b"x" * 900_000 + b"\r\n"
_SMALL: Final = b"PUB nobody 10\r\n0123456789\r\n" * 5000

ATTACKS: Final = {
    "noise": Attack(connections=20, opening=b"", piece=_noise),
    "half-frame": Attack(
        connections=20, piece=lambda number: b"PUB half 900000\r\n" + b"x" * (number % 5000), pause_s=0.01
    ),
    "endless-line": Attack(connections=20, opening=b"SUB ", piece=lambda _: b"a" * 65536),
    "pings-unread": Attack(connections=20, piece=lambda _: _PINGS, reads=False),
    "pings": Attack(connections=20, piece=lambda _: _PINGS),
    "flood-small": Attack(connections=20, piece=lambda _: _SMALL),
    "flood-large": Attack(connections=20, piece=lambda _: _LARGE),
    "wildcard-churn": Attack(connections=20, piece=_churn),
    "new-subjects": Attack(connections=20, piece=_new_subjects),
    "deep-subjects": Attack(connections=4, opening=_deep_patterns(), piece=_deep_subject),
    "storm": Attack(connections=50, piece=lambda _: b"NONSENSE\r\n"),
    "silent": Attack(connections=5000, opening=b"", piece=lambda _: b"", pause_s=1.0),
    "drip": Attack(
        connections=1000, opening=b"", piece=lambda number: b"PUB a 1000\r\n"[number % 12 :][:1], pause_s=0.2
    ),
}


class Attacker:
    """One connection that is opened again whenever it ends."""

    def __init__(self, attack: Attack, address: tuple[str, int], selector: selectors.BaseSelector) -> None:
        self._attack = attack
        self._address = address
        self._selector = selector
        self._number = 0
        self._open()

    def _open(self) -> None:
        self._waiting = self._attack.opening
        self._is_open = True
        self.due_s = 0.0
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.connect_ex(self._address)
        self._selector.register(self._socket, self._interest(), self)

    def _interest(self) -> int:
        return selectors.EVENT_WRITE | (selectors.EVENT_READ if self._attack.reads else 0)

    def act(self, ready: int) -> None:
        """Reads and writes what is possible."""
        try:
            if ready & selectors.EVENT_READ and not self._socket.recv(RECEIVE_BYTES):
                raise ConnectionResetError
            if ready & selectors.EVENT_WRITE:
                self._write()
        except BlockingIOError:
            pass
        except OSError:
            self._selector.unregister(self._socket)
            self._socket.close()
            if self._attack.pause_s:
                self._is_open = False
                self.due_s = time.monotonic() + self._attack.pause_s
            else:
                self._open()

    def _write(self) -> None:
        if not self._waiting:
            self._number += 1
            self._waiting = self._attack.piece(self._number)
            if self._attack.pause_s:
                self.due_s = time.monotonic() + self._attack.pause_s
                self._selector.modify(self._socket, selectors.EVENT_READ, self)
        if self._waiting:
            self._waiting = self._waiting[self._socket.send(self._waiting) :]

    def wake(self, now_s: float) -> None:
        """Goes on after a pause."""
        if not self.due_s or self.due_s > now_s:
            return
        self.due_s = 0.0
        if not self._is_open:
            self._open()
        else:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.modify(self._socket, self._interest(), self)


def run(attack: Attack, address: tuple[str, int], seconds: float) -> None:
    """Attacks for so long."""
    selector = selectors.DefaultSelector()
    attackers = [Attacker(attack, address, selector) for _ in range(attack.connections)]
    end_s = time.monotonic() + seconds
    while (now_s := time.monotonic()) < end_s:
        for key, ready in selector.select(min(attack.pause_s, 0.05) or 0.05):
            key.data.act(ready)
        if attack.pause_s:
            for attacker in attackers:
                attacker.wake(now_s)


if __name__ == "__main__":
    name, host, port, seconds, *shape = sys.argv[1:]
    chosen = ATTACKS[name]
    if shape:
        chosen = replace(chosen, connections=int(shape[0]))
    if shape[1:]:
        chosen = replace(chosen, pause_s=float(shape[1]))
    run(chosen, (host, int(port)), float(seconds))
