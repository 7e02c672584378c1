"""Log lines to pipes and files: never waiting, counted when lost."""

import os
import socket
from pathlib import Path

import pytest

from services.shared.runtime.log_stream import PENDING_BYTES_MAX, LineFormatter, LogStream
from services.shared.telemetry.log import LineStyle

FORMATTER = LineFormatter(LineStyle(pid=7, logtime=False), utc=True)


def stream(fd: int) -> LogStream:
    return LogStream(fd, FORMATTER)


def test_time_is_written_in_utc_when_asked() -> None:
    formatter = LineFormatter(LineStyle(pid=7), utc=True)
    assert formatter.format("INF", "x", now_ns=1_000_001_000) == b"[7] 1970/01/01 00:00:01.000001 [INF] x\n"


def test_a_regular_file_gets_every_line_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        target = stream(file.fileno())
        target.write("INF", "a", now_ns=0)
        assert path.read_bytes() == b"[7] [INF] a\n"
        assert target.pending_fileno() is None


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_an_unread_stream_never_blocks_and_loses_only_what_does_not_fit(kind: str) -> None:
    if kind == "pipe":
        reading, writing = os.pipe()
    else:
        # Nothing can be re-opened here, so the stream polls before it writes.
        near, far = socket.socketpair()
        reading, writing = near.detach(), far.detach()
    target = stream(writing)
    count = 3 * PENDING_BYTES_MAX // 1_000
    for number in range(count):
        target.write("INF", f"{number:06} " + "x" * 1_000, now_ns=0)
    assert target.pending_fileno() is not None
    assert target.take_dropped() == 0
    os.set_blocking(reading, False)
    data = bytearray()
    while target.pending_fileno() is not None:
        data += os.read(reading, 65_536)
        target.flush()
    dropped = target.take_dropped()
    assert dropped > 0
    while len(data.splitlines()) < count - dropped:
        data += os.read(reading, 65_536)
    numbers = [int(line.split()[2]) for line in data.splitlines()]
    assert numbers == list(range(count - dropped))
    assert os.get_blocking(writing)
    os.close(reading)
    os.close(writing)


def test_a_vanished_reader_is_given_up() -> None:
    reading, writing = os.pipe()
    target = stream(writing)
    os.close(reading)
    target.write("INF", "a", now_ns=0)
    target.write("INF", "b", now_ns=0)
    assert target.pending_fileno() is None
    target.close()
    os.close(writing)
