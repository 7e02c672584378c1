"""`natsfleet server` as a program called nats-server: flags, files, signals and exit codes, with the real router."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.supervised import DEADLINE_SECONDS, ROOT, eventually, is_gone


class Server:
    """A running shim named nats-server, as the suites of the clients start one."""

    def __init__(self, folder: Path, *flags: str) -> None:
        shim = folder / "nats-server"
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m services.cli.main server "$@"\n')
        shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
        self.folder = folder
        self.log_path = folder / "stderr.log"
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [shim, "--ports_file_dir", folder, *flags], cwd=ROOT, stderr=log, start_new_session=True
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def ports(self) -> dict[str, list[str]]:
        """The ports file, once it is there."""
        path = self.folder / f"nats-server_{self.process.pid}.ports"

        def read() -> dict[str, list[str]]:
            assert self.process.poll() is None, self.log
            return json.loads(path.read_text() or "{}") if path.exists() else {}

        return eventually(read, what=lambda: self.log)

    def info(self) -> dict[str, object]:
        """The first line that a client gets."""
        host, port = self.ports()["nats"][0].removeprefix("nats://").rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=DEADLINE_SECONDS) as client:
            line = client.makefile("rb").readline()
        assert line.startswith(b"INFO "), line
        info: dict[str, object] = json.loads(line[5:])
        return info


@contextmanager
def serving(folder: Path, *flags: str) -> Iterator[Server]:
    server = Server(folder, *flags)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait(timeout=DEADLINE_SECONDS)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", *words], cwd=ROOT, capture_output=True, text=True, timeout=20
    )


def test_a_client_is_greeted_by_the_node_of_the_log(tmp_path: Path) -> None:
    with serving(tmp_path, "-a=127.0.0.1", "-p", "-1", "--server_name", "n1") as server:
        info = server.info()
        assert info["version"] == "2.15.1"
        assert info["server_name"] == "n1"
        assert f"  ID:       {info['server_id']}\n" in server.log


def test_tools_find_exactly_one_process(tmp_path: Path) -> None:
    with serving(tmp_path, "-a", "127.0.0.1", "-p", "-1") as server:
        server.ports()
        found = subprocess.run(["pgrep", "nats-server"], capture_output=True, text=True, timeout=10).stdout.split()
        ours = [pid for pid in found if os.path.exists(f"/proc/{pid}") and os.getpgid(int(pid)) == server.process.pid]
        assert ours == [str(server.process.pid)]


def test_secrets_are_not_visible_in_the_arguments(tmp_path: Path) -> None:
    with serving(tmp_path, "-a", "127.0.0.1", "-p", "-1", "--user", "alice", "--pass", "verysecret") as server:
        server.ports()
        for pid in (server.process.pid, *_children(server.process.pid)):
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
            assert b"alice" not in arguments
            assert b"verysecret" not in arguments


@pytest.mark.parametrize(("word", "code"), [("quit", 0), ("term", 0), ("stop", -signal.SIGKILL), ("ldm", 0)])
def test_a_signal_command_ends_the_server_in_the_pid_file(tmp_path: Path, word: str, code: int) -> None:
    pid_file = tmp_path / "n.pid"
    with serving(tmp_path, "-a", "127.0.0.1", "-p", "-1", "-P", str(pid_file)) as server:
        server.ports()
        roles = _children(server.process.pid)
        told = command("server", "--signal", f"{word}={pid_file}")
        assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
        assert server.process.wait(timeout=DEADLINE_SECONDS) == code
        eventually(lambda: all(is_gone(pid) for pid in roles), seconds=2)


def test_a_reload_changes_what_clients_are_told(tmp_path: Path) -> None:
    file = tmp_path / "n.conf"
    file.write_text("host: 127.0.0.1, port: -1, max_payload: 1000")
    with serving(tmp_path, "-c", str(file)) as server:
        assert server.info()["max_payload"] == 1000
        file.write_text("host: 127.0.0.1, port: -1, max_payload: 2000")
        assert command("server", "--signal", f"reload={server.process.pid}").returncode == 0
        eventually(lambda: server.info()["max_payload"] == 2000, what=lambda: server.log)
        assert "[INF] Reloaded: max_payload = 2000\n" in server.log
        file.write_text("host: 127.0.0.1, port: -1, max_payload: no")
        server.process.send_signal(signal.SIGHUP)
        eventually(lambda: "[ERR] Failed to reload server configuration: " in server.log)
        assert server.info()["max_payload"] == 2000


def test_a_reload_without_a_file_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, "-a", "127.0.0.1", "-p", "-1") as server:
        server.ports()
        server.process.send_signal(signal.SIGHUP)
        text = "can only reload config when a file is provided using -c or --config"
        eventually(lambda: f"[ERR] Failed to reload server configuration: {text}\n" in server.log)


def test_a_killed_router_serves_again_within_a_second(tmp_path: Path) -> None:
    with serving(tmp_path, "-a", "127.0.0.1", "-p", "-1") as server:
        first = server.info()
        (router,) = _children(server.process.pid)
        os.kill(router, signal.SIGKILL)
        eventually(lambda: is_gone(router), seconds=1)
        assert server.info()["server_id"] == first["server_id"]
        assert "was killed by SIGKILL, it is restarted at once" in server.log


def test_two_monitoring_ports_are_told_in_the_log(tmp_path: Path) -> None:
    with serving(tmp_path, "-a", "127.0.0.1", "-p", "-1", "-m", "1", "-ms", "2") as server:
        assert server.process.wait(timeout=DEADLINE_SECONDS) == 1
        text = "[FTL] Can't start monitoring: can't specify both HTTP (1) and HTTPs (2) ports\n"
        assert server.log.endswith(text)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["handler", "router", "name", "monitor"])
def test_a_stop_in_the_middle_of_the_start_is_quiet_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signum: signal.Signals, moment: str
) -> None:
    """Whether signals were just taken over, the router or the monitor was just forked, or its name was just set."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with serving(tmp_path, "-a=127.0.0.1", "-p", "-1", "-m", "-1") as server:
        pid = server.process.pid

        def children() -> list[int]:
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

        def caught() -> bool:
            status = Path(f"/proc/{pid}/status").read_text()
            return bool(int(status.partition("SigCgt:")[2].split()[0], 16) >> (signal.SIGTERM - 1) & 1)

        reached = {
            "handler": caught,
            "router": lambda: bool(children()),
            "name": lambda: Path(f"/proc/{pid}/comm").read_text() == "nats-server\n" and caught(),
            "monitor": lambda: len(children()) == 2,
        }[moment]
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not reached():
            assert time.monotonic() < deadline
        born = children()
        server.process.send_signal(signum)
        assert server.process.wait(timeout=DEADLINE_SECONDS) == 0
        for child in born:
            eventually(lambda child=child: is_gone(child))  # type: ignore[misc]
        assert "Traceback" not in server.log
        assert "ERR" not in server.log


def test_a_bad_file_ends_the_start(tmp_path: Path) -> None:
    file = tmp_path / "n.conf"
    file.write_text("prot: 1")
    with serving(tmp_path, "-c", str(file)) as server:
        assert server.process.wait(timeout=DEADLINE_SECONDS) == 1
        assert server.log == f'nats-server: {file}:1:0: unknown field "prot"\n\n'


def test_status_follows_the_node(tmp_path: Path) -> None:
    file = tmp_path / "n.conf"
    file.write_text(f'host: 127.0.0.1, port: -1, fleet {{ data_dir: "{tmp_path}/data" }}')
    with serving(tmp_path, "-c", str(file)) as server:
        server.ports()
        up = command("status", f"{tmp_path}/data")
        assert up.returncode == 0
        assert "router      ready, pid " in up.stdout
    down = command("status", f"{tmp_path}/data")
    assert (down.returncode, down.stdout) == (1, f"no node runs in {tmp_path}/data/run\n")


def test_one_role_alone_is_a_node_of_its_own(tmp_path: Path) -> None:
    refused = command("monitor", "-a", "127.0.0.1", "-p", "-1")
    assert refused.returncode == 1
    assert "[FTL] Nothing to run: monitor (needs a monitoring port)" in refused.stderr


def test_an_unknown_command_shows_how_to_use_it() -> None:
    ended = command("frobnicate")
    assert ended.returncode == 1
    assert "Usage: natsfleet COMMAND" in ended.stderr


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
