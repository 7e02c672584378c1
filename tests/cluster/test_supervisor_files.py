"""The files of a supervised node: log, pid file, ports file, readiness records."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.cluster.supervised import ROOT, eventually, supervised


def test_a_log_that_nobody_reads_blocks_nothing(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    try:
        with supervised(tmp_path, stderr=writing) as node:
            node.wait_ready()
            connection, _ = node.connect()
            connection.sendall(b"log 20000")
            assert connection.recv(100) == b"log 20000"
            connection.sendall(b"echo")
            assert connection.recv(100) == b"echo"
            connection.close()
            node.signal(signal.SIGTERM)
            assert node.wait_exit(seconds=2) == 0
    finally:
        os.close(writing)
        os.close(reading)


def test_dropped_lines_are_counted_once_the_log_is_read_again(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    log = bytearray()

    def read_more() -> bool:
        try:
            log.extend(os.read(reading, 65_536))
        except BlockingIOError:
            return False
        return b"[WRN] Dropped " in log or b"[WRN] Role router dropped " in log

    with supervised(tmp_path, stderr=writing) as node:
        node.wait_ready()
        connection, _ = node.connect()
        connection.sendall(b"log 20000")
        assert connection.recv(100) == b"log 20000"
        eventually(read_more, what=lambda: log[-2000:].decode())
        connection.close()
    os.close(writing)
    os.close(reading)


def test_what_a_role_prints_is_in_the_log(tmp_path: Path) -> None:
    with supervised(tmp_path) as node:
        node.wait_ready()
        connection, _ = node.connect()
        connection.sendall(b"print")
        node.wait_log("[ERR] Role router: printed by the role")
        connection.close()


def test_the_log_file_is_reopened_on_a_signal(tmp_path: Path) -> None:
    path = tmp_path / "n.log"
    with supervised(tmp_path, log={"log_file": str(path)}) as node:
        node.wait_ready()
        eventually(lambda: "Server is ready" in path.read_text())
        assert path.stat().st_mode & 0o777 == 0o640
        path.rename(tmp_path / "moved.log")
        node.signal(signal.SIGUSR1)
        eventually(lambda: path.exists() and path.read_text())
        assert path.read_text().endswith("[INF] File log re-opened\n")
        assert len(path.read_text().splitlines()) == 1
        assert 'Trapped "user defined signal 1" signal' in (tmp_path / "moved.log").read_text()
        assert node.log == ""


def test_reopen_without_a_file_says_that_it_is_ignored(tmp_path: Path) -> None:
    with supervised(tmp_path) as node:
        node.wait_ready()
        node.signal(signal.SIGUSR1)
        node.wait_log("File log re-open ignored, not a file logger")


def test_a_full_log_file_is_rotated_and_old_ones_are_purged(tmp_path: Path) -> None:
    path = tmp_path / "n.log"
    log = {"log_file": str(path), "log_size_limit_bytes": 5000, "log_max_num": 3}
    with supervised(tmp_path, log=log) as node:
        node.wait_ready()
        connection, _ = node.connect()
        connection.sendall(b"log 400")
        eventually(lambda: "line 399 of 400" in path.read_text())
        connection.close()
        backups = sorted(tmp_path.glob("n.log.*"))
        assert len(backups) == 2
        assert "Rotated log, backup saved as " in path.read_text().splitlines()[0]
        assert "Purged log file " in path.read_text()
        assert all(backup.stat().st_size < 6000 for backup in backups)


def test_a_log_file_that_cannot_be_opened_ends_the_start(tmp_path: Path) -> None:
    with supervised(tmp_path, log={"log_file": str(tmp_path / "no" / "n.log")}) as node:
        assert node.wait_exit() == 1
        assert node.log.endswith(f" error opening file: open {tmp_path}/no/n.log: no such file or directory\n")


def test_pid_and_ports_files_are_written_and_the_ports_file_goes(tmp_path: Path) -> None:
    pid_file = tmp_path / "n.pid"
    with supervised(tmp_path, pid_file=str(pid_file), ports_file_dir=str(tmp_path)) as node:
        record = node.wait_ready()
        assert pid_file.read_text() == str(node.pid)
        ports_file = tmp_path / f"natsfleet-test_{node.pid}.ports"
        eventually(lambda: ports_file.exists() and ports_file.read_text())
        assert json.loads(ports_file.read_text()) == {"nats": [f"nats://127.0.0.1:{record.ports['nats']}"]}
        node.signal(signal.SIGTERM)
        assert node.wait_exit() == 0
        assert not ports_file.exists()
        assert pid_file.exists()


def test_a_wildcard_listens_on_both_families_and_lists_every_address(tmp_path: Path) -> None:
    with supervised(tmp_path, host="0.0.0.0", ports_file_dir=str(tmp_path)) as node:
        record = node.wait_ready()
        port = record.ports["nats"]
        ports_file = tmp_path / f"natsfleet-test_{node.pid}.ports"
        urls = eventually(lambda: ports_file.exists() and json.loads(ports_file.read_text() or "{}"))["nats"]
        assert f"nats://127.0.0.1:{port}" in urls
        assert f"nats://[::1]:{port}" in urls
        node.wait_log(f"Listening for client connections on 0.0.0.0:{port}")


def test_readiness_records_without_a_data_directory_go_with_the_process(tmp_path: Path) -> None:
    temporary = tmp_path / "tmp"
    dead = temporary / f"natsfleet-{_dead_pid()}"
    dead.mkdir(parents=True)
    (dead / "router.json").write_text("{}")
    os.environ["TMPDIR"], before = str(temporary), os.environ.get("TMPDIR")
    try:
        with supervised(tmp_path, fleet={}) as node:
            record = temporary / f"natsfleet-{node.pid}" / "router.json"
            eventually(record.exists)
            assert not dead.exists()
            node.signal(signal.SIGINT)
            assert node.wait_exit() == 0
            assert list(temporary.iterdir()) == []
    finally:
        if before is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = before


def _dead_pid() -> int:
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""], cwd=ROOT)
    ended.wait(timeout=10)
    return ended.pid
