"""The connection to a syslog daemon."""

import os
import re
import socket
from pathlib import Path

import pytest

from services.shared.config.options import LogOptions
from services.shared.runtime.log_stream import LogTargetError
from services.supervisor.log_loop import LogWriter
from services.supervisor.syslog_loop import PENDING_FRAMES_MAX, connect_syslog

FRAME = re.compile(rb"^<5>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \S+ nats-server\[7\]: Server is ready\n$")


def test_lines_reach_a_daemon_over_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(5)
        url = f"udp://127.0.0.1:{daemon.getsockname()[1]}"
        log = LogWriter(LogOptions(remote_syslog=url), pid=7, ident="nats-server")
        log.write("INF", "Server is ready")
        assert FRAME.match(daemon.recv(4096))
        log.close()


def test_lines_reach_a_daemon_over_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        daemon.settimeout(5)
        log = LogWriter(LogOptions(remote_syslog=f"unixgram://{path}"), pid=7, ident="nats-server")
        log.write("INF", "Server is ready")
        assert FRAME.match(daemon.recv(4096))
        log.close()


def test_a_daemon_that_does_not_read_costs_lines_only(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        log = connect_syslog(f"unixgram://{path}", ident="n", pid=7)
        for number in range(2 * PENDING_FRAMES_MAX):
            log.write("INF", str(number), now_ns=0)
        assert log.pending_fileno() is not None
        assert log.take_dropped() == 0
        daemon.settimeout(5)
        while log.pending_fileno() is not None:
            daemon.recv(4096)
            log.flush()
        assert log.take_dropped() > 0
        log.close()


def test_a_daemon_that_restarts_is_found_again(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        log = connect_syslog(f"unixgram://{path}", ident="n", pid=7)
    log.write("INF", "lost daemon", now_ns=0)
    assert log.pending_fileno() is None
    os.unlink(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        daemon.settimeout(5)
        log._retry_at_ns = 0  # the second that a reconnection waits is over
        log.flush()
        assert b"lost daemon" in daemon.recv(4096)
    log.close()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (LogOptions(remote_syslog="foo://x"), 'error invalid network type: "foo"'),
        (LogOptions(remote_syslog="unix:///nonexistent/log"), "no such file or directory"),
        (LogOptions(log_file="/nonexistent/x.log"), "error opening file: open /nonexistent/x.log: no such file"),
    ],
)
def test_a_target_that_cannot_be_opened_is_told(options: LogOptions, text: str) -> None:
    with pytest.raises(LogTargetError) as raised:
        LogWriter(options, pid=7, ident="nats-server")
    assert text in str(raised.value)


def test_a_reload_to_a_target_that_cannot_be_opened_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = LogWriter(LogOptions(log_file=str(path)), pid=7, ident="nats-server")
    with pytest.raises(LogTargetError):
        log.reconfigure(LogOptions(log_file="/nonexistent/x.log"))
    log.write("INF", "still here")
    log.write("DBG", "is off")
    log.reconfigure(LogOptions(log_file=str(path), debug=True, logtime=False))
    log.write("DBG", "is on")
    assert path.read_text().splitlines()[1:] == ["[7] [DBG] is on"]
    log.close()
