"""Log files: appended to, rotated, purged, re-opened."""

from pathlib import Path

from services.shared.telemetry.logfile import LogFile, backup_suffix, surplus_backups

FIELDS = (2026, 11, 24, 9, 2, 5, 0, 0, 0)


def test_a_backup_is_named_by_its_moment() -> None:
    assert backup_suffix(FIELDS, nanosecond=42) == "2026.11.24.09.02.05.000000042"


def test_the_oldest_backups_are_surplus() -> None:
    names = ["n.log", "n.log.2026.01", "n.log.2025.01", "n.log.2027.01", "n.log.txt", "other.2020"]
    assert surplus_backups(names, base="n.log", kept_max=2) == ["n.log.2025.01", "n.log.2026.01"]
    assert surplus_backups(names, base="n.log", kept_max=4) == []
    assert surplus_backups(names, base="n.log", kept_max=0) == []


def test_rotation_moves_the_file_and_starts_another(tmp_path: Path) -> None:
    path = tmp_path / "n.log"
    file = LogFile(str(path), rotate_at_bytes=10)
    file.write(b"0123456789")
    assert not file.is_full
    file.write(b"x")
    assert file.is_full
    backup = file.rotate("1")
    file.write(b"new\n")
    file.close()
    assert Path(backup).read_bytes() == b"0123456789x"
    assert path.read_bytes() == b"new\n"


def test_an_existing_file_counts_towards_the_size(tmp_path: Path) -> None:
    path = tmp_path / "n.log"
    path.write_bytes(b"x" * 20)
    file = LogFile(str(path), rotate_at_bytes=10)
    assert file.is_full
    file.close()


def test_a_failing_disk_costs_lines_not_the_server() -> None:
    file = LogFile("/dev/full")
    file.write(b"x\n")
    assert file.lost_lines == 1
    file.close()
