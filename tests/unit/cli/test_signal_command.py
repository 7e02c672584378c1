"""`--signal`: which processes are meant, and what they are sent."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.cli.signal_command import SignalCommandError, SignalRequest, choose_targets, parse_request, send_signal


def test_a_request_is_a_command_and_perhaps_a_target() -> None:
    assert parse_request("reload") == SignalRequest(command="reload", target="")
    assert parse_request("ldm=12*") == SignalRequest(command="ldm", target="12*")


def test_a_second_equals_sign_is_refused() -> None:
    with pytest.raises(SignalCommandError, match=r"^invalid signal parameters: \[2\]$"):
        parse_request("reload=1=2")


@pytest.mark.parametrize(
    ("target", "running", "chosen"),
    [
        ("12", [], [12]),
        ("", [7], [7]),
        ("*", [7, 8], [7, 8]),
        ("1*", [12, 13, 7], [12, 13]),
        ("9*", [12], []),
    ],
)
def test_targets_are_chosen(target: str, running: list[int], chosen: list[int]) -> None:
    assert choose_targets(target, running=running) == chosen


@pytest.mark.parametrize(
    ("target", "running", "text"),
    [
        ("abc", [], "invalid pid: abc"),
        ("a*", [1], "invalid pid: a"),
        ("", [], "no nats-server processes running"),
        ("*", [], "no nats-server processes running"),
        ("", [1, 2], "multiple nats-server processes running:\n1\n2"),
    ],
)
def test_targets_that_mean_nobody_are_refused(target: str, running: list[int], text: str) -> None:
    with pytest.raises(SignalCommandError) as raised:
        choose_targets(target, running=running)
    assert str(raised.value) == text


def test_a_process_named_in_a_pid_file_is_signalled(tmp_path: Path) -> None:
    sleeping = subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE)
    pid_file = tmp_path / "n.pid"
    pid_file.write_text(f"{sleeping.pid}\n")
    send_signal(f"stop={pid_file}")
    assert sleeping.wait(timeout=10) == -signal.SIGKILL
    assert sleeping.stdin is not None
    sleeping.stdin.close()


def test_a_dead_process_is_reported_on_a_line_of_its_own() -> None:
    with pytest.raises(SignalCommandError) as raised:
        send_signal("reload=4194305")
    assert str(raised.value) == '\nsignal "reload" 4194305: no such process'


def test_an_unknown_command_is_refused() -> None:
    with pytest.raises(SignalCommandError, match=r'^unknown signal "bogus"$'):
        send_signal(f"bogus={os.getpid()}")
