"""Readiness records appear whole and go with their role."""

import os
from pathlib import Path

from services.supervisor.readiness import (
    ReadinessRecord,
    RunDir,
    is_held,
    is_run_dir,
    read_records,
    sweep_temporary,
    temporary_run_dir,
)

DEAD_PID = 2**22 + 1  # above the kernel's largest pid


def record(role: str, pid: int = 0) -> ReadinessRecord:
    return ReadinessRecord(role=role, pid=pid or os.getpid(), ports={"nats": 4222}, since="2026-01-01T00:00:00Z")


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    run_dir = RunDir(str(tmp_path / "run"))
    run_dir.write(record("router"))
    assert read_records(run_dir.path) == {"router": record("router")}
    run_dir.remove("router")
    assert read_records(run_dir.path) == {}


def test_records_of_the_dead_are_removed_and_those_of_the_living_stay(tmp_path: Path) -> None:
    first = RunDir(str(tmp_path))
    first.write(record("router", DEAD_PID))
    first.write(record("monitor"))
    RunDir(str(tmp_path)).close()
    assert list(read_records(str(tmp_path))) == ["monitor"]


def test_broken_records_are_left_out(tmp_path: Path) -> None:
    for number, text in enumerate(("", "[]", "{}", '{"role": "x"}', '{"role":1,"pid":"x","ports":[],"since":0}')):
        (tmp_path / f"{number}.json").write_text(text)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    (tmp_path / "other.txt").write_text("{}")
    assert read_records(str(tmp_path)) == {}


def test_a_temporary_directory_goes_with_its_node(tmp_path: Path) -> None:
    path, lock = temporary_run_dir(str(tmp_path), pid=os.getpid())
    run_dir = RunDir(path, lock=lock)
    run_dir.write(record("router"))
    assert os.stat(path).st_mode & 0o777 == 0o700
    assert is_held(path)
    run_dir.close()
    assert not os.path.exists(path)
    assert not is_held(path)


def test_only_directories_of_dead_nodes_are_swept(tmp_path: Path) -> None:
    for name in ("natsfleet-12", "natsfleet-x", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "natsfleet-12" / "router.json").write_text("{}")
    living = RunDir(*temporary_run_dir(str(tmp_path), pid=13))
    sweep_temporary(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["natsfleet-13", "natsfleet-x", "other"]
    living.write(record("router"))
    living.close()


def test_nodes_of_one_pid_in_different_namespaces_have_a_directory_each(tmp_path: Path) -> None:
    """Whatever a pid means here: the other node has locked its directory."""
    first = RunDir(*temporary_run_dir(str(tmp_path), pid=DEAD_PID))
    sweep_temporary(str(tmp_path))
    second = RunDir(*temporary_run_dir(str(tmp_path), pid=DEAD_PID))
    assert first.path != second.path
    first.write(record("router"))
    second.close()
    assert list(read_records(first.path)) == ["router"]
    first.close()
    assert list(tmp_path.iterdir()) == []


def test_names_of_run_directories_are_told_from_others() -> None:
    assert is_run_dir("natsfleet-12")
    assert is_run_dir("natsfleet-12-1")
    assert not is_run_dir("natsfleet-")
    assert not is_run_dir("12")
    assert not is_run_dir("natsfleet-12\n")
