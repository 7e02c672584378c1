"""Readiness records appear whole and go with their role."""

import os
from pathlib import Path

from services.supervisor.readiness import (
    ReadinessRecord,
    RunDir,
    read_records,
    run_dir_pid,
    sweep_temporary,
    temporary_run_dir,
)

DEAD_PID = 2**22 + 1  # above the kernel's largest pid


def record(role: str, pid: int = 0) -> ReadinessRecord:
    return ReadinessRecord(role=role, pid=pid or os.getpid(), ports={"nats": 4222}, since="2026-01-01T00:00:00Z")


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    run_dir = RunDir(str(tmp_path / "run"), temporary=False)
    run_dir.write(record("router"))
    assert read_records(run_dir.path) == {"router": record("router")}
    run_dir.remove("router")
    assert read_records(run_dir.path) == {}


def test_records_of_the_dead_are_removed_and_those_of_the_living_stay(tmp_path: Path) -> None:
    first = RunDir(str(tmp_path), temporary=False)
    first.write(record("router", DEAD_PID))
    first.write(record("monitor"))
    RunDir(str(tmp_path), temporary=False).close()
    assert list(read_records(str(tmp_path))) == ["monitor"]


def test_broken_records_are_left_out(tmp_path: Path) -> None:
    for number, text in enumerate(("", "[]", "{}", '{"role": "x"}', '{"role":1,"pid":"x","ports":[],"since":0}')):
        (tmp_path / f"{number}.json").write_text(text)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    (tmp_path / "other.txt").write_text("{}")
    assert read_records(str(tmp_path)) == {}


def test_a_temporary_directory_goes_with_its_node(tmp_path: Path) -> None:
    path = temporary_run_dir(str(tmp_path), pid=os.getpid())
    run_dir = RunDir(path, temporary=True)
    run_dir.write(record("router"))
    assert os.stat(path).st_mode & 0o777 == 0o700
    run_dir.close()
    assert not os.path.exists(path)


def test_only_directories_of_dead_nodes_are_swept(tmp_path: Path) -> None:
    for name in (f"natsfleet-{DEAD_PID}", f"natsfleet-{os.getpid()}", "natsfleet-x", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / f"natsfleet-{DEAD_PID}" / "router.json").write_text("{}")
    sweep_temporary(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f"natsfleet-{os.getpid()}", "natsfleet-x", "other"]
    )


def test_names_of_run_directories_are_told_from_others() -> None:
    assert run_dir_pid("natsfleet-12") == 12
    assert run_dir_pid("natsfleet-") is None
    assert run_dir_pid("12") is None


def test_a_node_that_holds_its_directory_is_not_swept_whatever_its_process_id_says(tmp_path: Path) -> None:
    """A node in another pid namespace has an id that is dead, or somebody else's, here."""
    run_dir = RunDir(temporary_run_dir(str(tmp_path), pid=DEAD_PID), temporary=True)
    run_dir.write(record("router"))
    sweep_temporary(str(tmp_path))
    assert read_records(run_dir.path) == {"router": record("router")}
    run_dir.close()
    assert list(tmp_path.iterdir()) == []
