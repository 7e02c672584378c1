"""S2 for tests, written apart from the engine's: packs without compression, reads everything (reference: 2.8)."""

from __future__ import annotations

from typing import Final

IDENTIFIER: Final = b"\xff\x06\x00\x00S2sTwO"
SNAPPY_IDENTIFIER: Final = b"\xff\x06\x00\x00sNaPpY"
_POLYNOMIAL: Final = 0x82F63B78


def _table() -> tuple[int, ...]:
    table = []
    for crc in range(256):
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRC: Final = _table()


def checksum(data: bytes) -> bytes:
    """The masked CRC-32C of some bytes, as it stands in chunks."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def chunk(kind: int, body: bytes) -> bytes:
    """One chunk."""
    return bytes([kind]) + len(body).to_bytes(3, "little") + body


def pack_plain(data: bytes, *, identifier: bytes = IDENTIFIER) -> bytes:
    """A stream without compression."""
    return identifier + chunk(1, checksum(data) + data)


class StreamReader:
    """Reads streams; `kinds` are the types of all chunks so far, `packed_bytes` the size of them all."""

    def __init__(self) -> None:
        self._waiting = b""
        self.kinds: list[int] = []
        self.packed_bytes = 0

    def read(self, received: bytes) -> bytes:
        """The bytes that whole chunks stand for; asserts that they are sound."""
        self._waiting += received
        self.packed_bytes += len(received)
        plain = b""
        while len(self._waiting) >= 4:
            kind, size = self._waiting[0], int.from_bytes(self._waiting[1:4], "little")
            if len(self._waiting) < 4 + size:
                break
            body, self._waiting = self._waiting[4 : 4 + size], self._waiting[4 + size :]
            assert self.kinds or kind == 0xFF, "a stream starts with its identifier"
            self.kinds.append(kind)
            if kind == 0xFF:
                assert body in (b"S2sTwO", b"sNaPpY"), body
            elif kind in (0, 1):
                data = read_block(body[4:]) if kind == 0 else body[4:]
                assert checksum(data) == body[:4], "the checksum is wrong"
                plain += data
            else:
                assert kind >= 0x80, f"unknown chunk {kind}"
        return plain


def read_block(block: bytes) -> bytes:
    """What an S2 block stands for."""
    size = at = 0
    while True:
        size |= (block[at] & 0x7F) << 7 * at
        at += 1
        if block[at - 1] < 0x80:
            break
    plain, offset = bytearray(), 0
    while at < len(block):
        tag = block[at]
        if tag & 3 == 0:
            at, length = _literal_length(block, at)
            plain += block[at : at + length]
            at += length
            continue
        at, length, offset = _copy(block, at, offset)
        assert 0 < offset <= len(plain), "a copy from before the block"
        for _ in range(length):
            plain.append(plain[-offset])
    assert len(plain) == size, f"{len(plain)} bytes instead of {size}"
    return bytes(plain)


def _literal_length(block: bytes, at: int) -> tuple[int, int]:
    short = block[at] >> 2
    if short < 60:
        return at + 1, short + 1
    end = at + 1 + short - 59
    return end, int.from_bytes(block[at + 1 : end], "little") + 1


def _copy(block: bytes, at: int, offset: int) -> tuple[int, int, int]:
    """Position behind a copy, its length and its offset; `offset` is that of the copy before."""
    tag = block[at]
    if tag & 3 > 1:
        end = at + (3 if tag & 3 == 2 else 5)
        return end, (tag >> 2) + 1, int.from_bytes(block[at + 1 : end], "little")
    short, near = tag >> 2 & 7, (tag & 0xE0) << 3 | block[at + 1]
    if near:
        return at + 2, short + 4, near
    if short < 5:
        return at + 2, short + 4, offset
    end = at + 2 + short - 4
    return end, int.from_bytes(block[at + 2 : end], "little") + (8, 260, 65_540)[short - 5], offset
