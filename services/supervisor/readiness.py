"""Readiness records: one JSON file a role, there while the role truly serves.

`natsfleet status`, tests and compose health checks read these, never log text. They live in `<data_dir>/run`, or in a
directory of this process under the temporary one, which goes with the process; those of dead processes are swept at the
next start. A record appears whole (written beside, then renamed) and is removed before a role restarts.

A temporary directory is locked by its node: nodes in different process namespaces may share the temporary directory of
the machine, and a process id says nothing there, neither that a node is dead nor that a name is free.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from services.shared.records.record import record

SUPERVISOR: Final = "supervisor"
_TEMPORARY_PREFIX: Final = "natsfleet-"
_RECORD_BYTES_MAX: Final = 65_536


@record
class ReadinessRecord:
    """A role that serves. `since` is RFC 3339 in UTC; `roles` is filled in the supervisor's record: all it wants up."""

    role: str
    pid: int
    ports: Mapping[str, int]
    since: str
    roles: tuple[str, ...] = ()


def temporary_run_dir(temporary: str, *, pid: int) -> tuple[str, int]:
    """Makes and locks the directory for the records of a node without a data directory; its path and the lock.

    It is named after the pid, with another number behind it if a node elsewhere holds that name.
    """
    for number in itertools.count():
        path = os.path.join(temporary, f"{_TEMPORARY_PREFIX}{pid}{f'-{number}' if number else ''}")
        os.makedirs(path, mode=0o700, exist_ok=True)
        if os.stat(path).st_uid != os.getuid():
            raise PermissionError(f"{path} belongs to somebody else")
        lock = _lock(path)
        if lock is not None:
            return path, lock
    raise AssertionError("numbers do not end")


def is_run_dir(name: str) -> bool:
    """Whether a name under the temporary directory is that of a node's records."""
    numbers = name.removeprefix(_TEMPORARY_PREFIX)
    parts = numbers.split("-")
    return numbers != name and len(parts) <= 2 and all(part.isascii() and part.isdigit() for part in parts)


def is_held(path: str) -> bool:
    """Whether a node lives that holds this temporary directory."""
    try:
        lock = _lock(path)
    except OSError:
        return False
    if lock is None:
        return True
    os.close(lock)
    return False


def _lock(path: str) -> int | None:
    """The descriptor that locks a directory; None if another holds it, or it was just swept. Raises OSError."""
    import fcntl  # only where there is no data directory

    lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.stat(path), os.fstat(lock)):
            return lock
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(lock)
    return None


class RunDir:
    """The directory of one node's records; `lock` is that of a temporary one. Errors of the disk raise OSError."""

    __slots__ = ("_lock", "_written", "path")

    def __init__(self, path: str, lock: int | None = None) -> None:
        self.path = path
        self._lock = lock
        self._written: set[str] = set()
        os.makedirs(path, mode=0o755, exist_ok=True)
        for stale in read_records(path).values():
            if not is_alive(stale.pid):
                self.remove(stale.role)

    def write(self, record: ReadinessRecord) -> None:
        """Makes the record visible, whole."""
        fields: dict[str, object] = {
            "role": record.role, "pid": record.pid, "ports": dict(record.ports), "since": record.since,
        }  # fmt: skip
        if record.roles:
            fields["roles"] = list(record.roles)
        path = self._path(record.role)
        with open(f"{path}.new", "w", encoding="utf-8") as fresh:
            fresh.write(json.dumps(fields) + "\n")
        os.replace(f"{path}.new", path)
        self._written.add(record.role)

    def remove(self, role: str) -> None:
        """Takes the record away; none there is fine."""
        try:
            os.unlink(self._path(role))
        except FileNotFoundError:
            return

    def close(self) -> None:
        """Removes what this node wrote, and the directory if it is a temporary one."""
        for role in self._written:
            self.remove(role)
        if self._lock is not None:
            with suppress(OSError):
                os.rmdir(self.path)
            os.close(self._lock)
            self._lock = None

    def _path(self, role: str) -> str:
        return os.path.join(self.path, f"{role}.json")


def is_alive(pid: int) -> bool:
    """Whether a process of this id exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sweep_temporary(temporary: str) -> None:
    """Removes the temporary directories of nodes that are dead and were this user's."""
    for name in os.listdir(temporary):
        if not is_run_dir(name):
            continue
        path = os.path.join(temporary, name)
        with suppress(OSError):
            if os.lstat(path).st_uid == os.getuid():
                _sweep(path)


def _sweep(path: str) -> None:
    lock = _lock(path)
    if lock is None:
        return
    try:
        for entry in os.listdir(path):
            os.unlink(os.path.join(path, entry))
        os.rmdir(path)
    finally:
        os.close(lock)


def read_records(path: str) -> dict[str, ReadinessRecord]:
    """The records in a directory, by role. What is no record, or just being replaced, is left out."""
    records = {}
    try:
        names = os.listdir(path)
    except OSError:
        return {}
    for name in names:
        if not name.endswith(".json"):
            continue
        record = _read(os.path.join(path, name))
        if record is not None:
            records[record.role] = record
    return records


def _read(path: str) -> ReadinessRecord | None:
    try:
        with open(path, encoding="utf-8") as stored:
            fields = json.loads(stored.read(_RECORD_BYTES_MAX))
        return ReadinessRecord(
            role=str(fields["role"]),
            pid=int(fields["pid"]),
            ports={str(name): int(port) for name, port in fields["ports"].items()},
            since=str(fields["since"]),
            roles=tuple(str(role) for role in fields.get("roles", ())),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
