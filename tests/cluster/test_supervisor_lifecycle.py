"""How a supervised node starts, survives the death of a role, and ends."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.cluster.supervised import ECHO, eventually, is_gone, supervised

MONITOR = {"name": "monitor", "module": "tests.cluster.roles.stubborn", "comm": "nf-monitor"}


def test_a_node_logs_its_start_in_order_and_serves(tmp_path: Path) -> None:
    with supervised(tmp_path, server_name="n1") as node:
        record = node.wait_ready()
        connection, facts = node.connect()
        connection.close()
        node.wait_log("Server is ready")
        lines = [text for text in node.texts() if "Git:" not in text]
        assert lines[:2] == ["Starting nats-server", "  Version:  2.15.1"]
        assert lines[2:] == [
            "  Name:     n1",
            f"  ID:       {facts['server_id']}",
            f"Listening for client connections on 127.0.0.1:{record.ports['nats']}",
            "Server is ready",
        ]
        assert len(facts["server_id"]) == 56
        assert facts["server_id"].startswith("N")
        assert all(line.startswith(f"[{node.pid}] ") for line in node.log.splitlines())
        assert record.pid == facts["pid"]
        assert record.ports == {"nats": record.ports["nats"], "extra": 7}


def test_only_the_supervisor_is_called_nats_server(tmp_path: Path) -> None:
    with supervised(tmp_path) as node:
        record = node.wait_ready()
        assert Path(f"/proc/{node.pid}/comm").read_text() == "nats-server\n"
        assert Path(f"/proc/{record.pid}/comm").read_text() == "nf-router\n"
        assert Path(f"/proc/{record.pid}/cmdline").read_bytes().rstrip(b"\0") == b"natsfleet: router"


def test_a_role_inherits_nothing_but_its_sockets(tmp_path: Path) -> None:
    log_file = str(tmp_path / "n.log")
    with supervised(tmp_path, log={"log_file": log_file}) as node:
        node.wait_ready()
        connection, facts = node.connect()
        connection.close()
        shared = set(facts["fds"]) & {os.readlink(fd) for fd in Path(f"/proc/{node.pid}/fd").iterdir()}
        assert log_file not in shared
        # The listener, and the pipe with the role's output. Never the pipe of signals, never the log.
        assert len([name for name in shared if name.startswith("socket:")]) == 1
        assert len([name for name in shared if name.startswith("pipe:")]) == 1


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_all_processes_within_two_seconds(tmp_path: Path, signum: signal.Signals) -> None:
    with supervised(tmp_path) as node:
        role = node.wait_ready().pid
        started = time.monotonic()
        node.signal(signum)
        assert node.wait_exit(seconds=2) == 0
        assert time.monotonic() - started < 2
        assert is_gone(role)
        name = {signal.SIGINT: "interrupt", signal.SIGTERM: "terminated"}[signum]
        assert node.texts()[-4:] == [
            f'Trapped "{name}" signal', "Initiating Shutdown...", "router stops", "Server Exiting..",
        ]  # fmt: skip
        assert node.record() is None
        assert node.record("supervisor") is None


def test_ctrl_c_at_a_terminal_reaches_the_whole_group_and_stops_it_once(tmp_path: Path) -> None:
    with supervised(tmp_path) as node:
        role = node.wait_ready().pid
        os.killpg(node.pid, signal.SIGINT)
        assert node.wait_exit(seconds=2) == 0
        assert is_gone(role)
        assert node.log.count("router stops") == 1


def test_no_role_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    with supervised(tmp_path, roles=[ECHO, MONITOR]) as node:
        roles = [node.wait_ready("router").pid, node.wait_ready("monitor").pid]
        record = node.record("supervisor")
        assert record is not None
        node.signal(signal.SIGKILL)
        assert node.wait_exit() == -signal.SIGKILL
        eventually(lambda: all(is_gone(pid) for pid in roles), seconds=2)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", record.ports["nats"]), timeout=2)


def test_a_killed_role_serves_again_within_a_second_and_refuses_nobody(tmp_path: Path) -> None:
    with supervised(tmp_path, roles=[ECHO, MONITOR]) as node:
        first = node.wait_ready().pid
        monitor = node.wait_ready("monitor").pid
        supervisor = node.record("supervisor")
        assert supervisor is not None
        address = ("127.0.0.1", supervisor.ports["nats"])
        refused: list[OSError] = []
        over = threading.Event()

        def knock() -> None:
            while not over.is_set():
                try:
                    socket.create_connection(address, timeout=5).close()
                except OSError as error:
                    refused.append(error)

        knocking = threading.Thread(target=knock)
        knocking.start()
        try:
            os.kill(first, signal.SIGKILL)
            started = time.monotonic()
            connection, facts = eventually(lambda: greeting_of_another(node.connect, first))
            elapsed = time.monotonic() - started
            connection.close()
        finally:
            over.set()
            knocking.join()
        assert facts["pid"] != first
        assert elapsed < 1
        assert refused == []
        second = node.wait_ready(other_than=first)
        assert second.pid == facts["pid"]
        assert node.wait_ready("monitor").pid == monitor
        node.wait_log(f"Role router (pid {first}) was killed by SIGKILL, it is restarted at once")
        node.wait_log("Role router serves again")
        assert node.log.count("Server is ready") == 1


def greeting_of_another(connect, pid):  # type: ignore[no-untyped-def]
    """A greeted connection, or None while the role that is dying still answers or breaks off."""
    try:
        connection, facts = connect()
    except (ConnectionResetError, ValueError):
        return None
    if facts["pid"] == pid:
        connection.close()
        return None
    return connection, facts


def test_a_role_that_never_gets_ready_ends_the_node(tmp_path: Path) -> None:
    crashing = {"name": "router", "module": "tests.cluster.roles.crashing", "comm": "nf-router", "essential": True}
    with supervised(tmp_path, roles=[crashing, {**ECHO, "name": "other", "essential": False}]) as node:
        assert node.wait_exit() == 1
        assert "[FTL] Role router can't be kept up: it ended 5 times before it was ready" in node.log
        assert "[ERR] Role router: RuntimeError: start 4 of router fails" in node.log
        assert "Server is ready" not in node.log


def test_a_role_that_knows_it_cannot_start_ends_the_node_at_once(tmp_path: Path) -> None:
    failing = {"name": "router", "module": "tests.cluster.roles.failing", "comm": "nf-router", "essential": True}
    with supervised(tmp_path, roles=[failing]) as node:
        assert node.wait_exit() == 1
        assert node.log.count("[FTL] The disk is missing") == 1
        assert "restarted" not in node.log


def test_a_role_that_ignores_the_stop_is_killed_after_its_grace(tmp_path: Path) -> None:
    stubborn = {**MONITOR, "stop_grace_ns": 300_000_000}
    with supervised(tmp_path, roles=[ECHO, stubborn]) as node:
        node.wait_ready("router")
        role = node.wait_ready("monitor").pid
        node.signal(signal.SIGINT)
        assert node.wait_exit(seconds=2) == 0
        assert is_gone(role)
        assert "Role monitor did not stop in time and is killed" in node.log


def test_a_second_interrupt_hurries_the_stop(tmp_path: Path) -> None:
    with supervised(tmp_path, roles=[ECHO, {**MONITOR, "stop_grace_ns": 3_600_000_000_000}]) as node:
        node.wait_ready("router")
        node.wait_ready("monitor")
        node.signal(signal.SIGINT)
        node.wait_log("Initiating Shutdown...")
        eventually(lambda: node.signal(signal.SIGINT) or node.process.poll() is not None)
        assert node.wait_exit(seconds=2) == 0


def test_one_interrupt_delivered_twice_is_a_graceful_stop(tmp_path: Path) -> None:
    with supervised(tmp_path) as node:
        node.wait_ready()
        node.signal(signal.SIGINT)
        node.signal(signal.SIGINT)
        assert node.wait_exit(seconds=2) == 0
        assert "is killed" not in node.log


def test_quit_dumps_the_stacks_and_exits_with_two(tmp_path: Path) -> None:
    with supervised(tmp_path) as node:
        role = node.wait_ready().pid
        node.signal(signal.SIGQUIT)
        assert node.wait_exit(seconds=2) == 2
        assert is_gone(role)
        assert "children_loop.py" in node.log
        assert "echo.py" in node.log


def test_lame_duck_refuses_new_clients_and_ends_when_the_last_has_gone(tmp_path: Path) -> None:
    with supervised(tmp_path) as node:
        node.wait_ready()
        connection, _ = node.connect()
        supervisor = node.record("supervisor")
        assert supervisor is not None
        address = ("127.0.0.1", supervisor.ports["nats"])
        node.signal(signal.SIGUSR2)
        node.wait_log("Entering lame duck mode, stop accepting new clients")
        eventually(lambda: is_refused(address))
        node.signal(signal.SIGTERM)
        node.signal(signal.SIGUSR2)
        node.wait_log('Trapped "terminated" signal')
        node.wait_log('Trapped "user defined signal 2" signal', count=2)
        connection.sendall(b"still served")
        assert connection.recv(100) == b"still served"
        assert node.process.poll() is None
        connection.close()
        assert node.wait_exit(seconds=2) == 0
        assert node.texts()[-3:] == ["Initiating Shutdown...", "router stops", "Server Exiting.."]


def is_refused(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=2).close()
    except ConnectionRefusedError:
        return True
    return False


def test_an_interrupt_ends_lame_duck_at_once(tmp_path: Path) -> None:
    with supervised(tmp_path) as node:
        node.wait_ready()
        connection, _ = node.connect()
        node.signal(signal.SIGUSR2)
        node.wait_log("Entering lame duck mode")
        node.signal(signal.SIGINT)
        assert node.wait_exit(seconds=2) == 0
        connection.close()


def test_reload_reaches_the_roles_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    with supervised(tmp_path) as node:
        node.wait_ready()
        node.describe(max_payload_bytes=4096)
        node.signal(signal.SIGHUP)
        node.wait_log("router reloads 4096")
        assert node.texts().index("Reloaded: max_payload = 4096") < node.texts().index("Reloaded server configuration")
        node.description.write_text("{")
        node.signal(signal.SIGHUP)
        node.wait_log("[ERR] Failed to reload server configuration: ")
        assert node.log.count("router reloads") == 1


def test_a_taken_port_ends_the_start_with_the_known_text(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with supervised(tmp_path, port=port) as node:
            assert node.wait_exit() == 1
            where = f"127.0.0.1:{port}"
            want = f'Error listening on port: {where}, "listen tcp {where}: bind: address already in use"'
            assert node.texts()[-1] == want
            assert node.texts()[0] == "Starting nats-server"


def test_a_pid_file_that_cannot_be_written_ends_the_start(tmp_path: Path) -> None:
    with supervised(tmp_path, pid_file=str(tmp_path / "no" / "pid")) as node:
        assert node.wait_exit() == 1
        assert f"[FTL] Could not write pidfile: open {tmp_path}/no/pid: no such file or directory" in node.log


def test_a_node_started_without_standard_descriptors_serves(tmp_path: Path) -> None:
    with supervised(tmp_path, redirects="<&- >&- 2>&-") as node:
        node.wait_ready()
        connection, _ = node.connect()
        connection.sendall(b"echo")
        assert connection.recv(100) == b"echo"
        connection.close()
