"""From flags to what the command does: texts, checks, signals, reloads."""

import os
from pathlib import Path

import pytest

from services.cli.server import Start, make_reload, run_server
from services.shared.config.options import Options
from services.shared.config.overrides import FlagOverrides
from services.supervisor.plan import options_for_up
from services.supervisor.reload import ReloadError

START = Start(program="nats-server", argv=(), environ={})
UP = Start(program="natsfleet", argv=(), environ={}, adjust=options_for_up)


def test_version_help_and_errors_start_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_server(["-v"], START) == 0
    assert capsys.readouterr() == ("nats-server: v2.15.1\n", "")
    assert run_server(["--help"], START) == 0
    assert "Usage: nats-server" in capsys.readouterr().out
    assert run_server(["foo"], START) == 1
    assert capsys.readouterr().err == 'nats-server: unrecognized command: "foo"\n'


def test_a_file_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "good.conf", tmp_path / "bad.conf"
    good.write_text("port: 4222")
    bad.write_text("prot: 4222")
    assert run_server(["-t", "-c", str(good)], START) == 0
    assert "good.conf is valid (sha256:797533eb" in capsys.readouterr().err
    assert run_server(["-t", "-c", str(bad)], START) == 1
    assert 'unknown field "prot"' in capsys.readouterr().err


def test_a_failed_signal_is_told_and_exits_with_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_server(["--signal", "reload=abc"], START) == 1
    assert capsys.readouterr().err == "nats-server: invalid pid: abc\n"


def test_a_contradiction_is_told_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_server(["-n", "a b"], START) == 1
    assert capsys.readouterr().err == "nats-server: server name cannot contain spaces\n"


def test_a_reload_keeps_what_up_added(tmp_path: Path) -> None:
    file = tmp_path / "n.conf"
    file.write_text("max_payload: 100")
    running = options_for_up(Options(config_file=str(file), max_payload_bytes=50))
    reloaded = make_reload(FlagOverrides(config_file=str(file)), UP)(running)
    assert reloaded.options.http_port == 8222
    assert reloaded.options.max_payload_bytes == 100
    assert "Reloaded: max_payload = 100" in reloaded.lines


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("port: 1", "config reload not supported for Port: old=4222, new=1"),
        ("max_payload: 100, max_pending: 50", "max_payload (100) cannot be higher than max_pending (50)"),
        ("prot: 1", 'unknown field "prot"'),
    ],
)
def test_a_reload_that_cannot_be_followed_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    file = tmp_path / "n.conf"
    file.write_text(text)
    with pytest.raises(ReloadError) as raised:
        make_reload(FlagOverrides(config_file=str(file)), START)(Options(config_file=str(file)))
    assert reason in str(raised.value)


def test_a_node_without_a_file_cannot_reload() -> None:
    with pytest.raises(ReloadError, match="can only reload config when a file is provided using -c or --config"):
        make_reload(FlagOverrides(), START)(Options())


def test_checking_loads_neither_engine_nor_supervisor(tmp_path: Path) -> None:
    import subprocess
    import sys

    program = (
        "import sys; from services.cli.main import main; code = main(['server', '-v'])\n"
        "heavy = [n for n in sys.modules if n.startswith(('trio', 'nacl', 'services.shared.engine', 'services.router'))]\n"
        "print(code, heavy, 'services.supervisor.app' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=os.getcwd(), capture_output=True, text=True, timeout=20, check=True
    )
    assert ended.stdout.splitlines() == ["nats-server: v2.15.1", "0 [] False"]
