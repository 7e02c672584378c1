"""Readiness records: one JSON file a role, there while the role truly serves.

`natsfleet status`, tests and compose health checks read these, never log text. They live in `<data_dir>/run`, or in a
directory of this process under the temporary one, which goes with the process; those of dead processes are swept at the
next start. Dead is who has no process of that id and no lock on the directory: in another pid namespace ids say nothing.
A record appears whole (written beside, then renamed) and is removed before a role restarts.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
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


def temporary_run_dir(temporary: str, *, pid: int) -> str:
    """Where the records go when the node has no data directory."""
    return os.path.join(temporary, f"{_TEMPORARY_PREFIX}{pid}")


def run_dir_pid(name: str) -> int | None:
    """The pid that a directory's name under the temporary directory belongs to, None if it is not one of ours."""
    digits = name.removeprefix(_TEMPORARY_PREFIX)
    return int(digits) if digits != name and digits.isascii() and digits.isdigit() else None


class RunDir:
    """The directory of one node's records. Errors of the disk raise OSError."""

    __slots__ = ("_held", "_temporary", "_written", "path")

    def __init__(self, path: str, *, temporary: bool) -> None:
        self.path = path
        self._temporary = temporary
        self._written: set[str] = set()
        self._held = -1
        os.makedirs(path, mode=0o700 if temporary else 0o755, exist_ok=True)
        if temporary and os.stat(path).st_uid != os.getuid():
            raise PermissionError(f"{path} belongs to somebody else")
        if temporary:
            self._held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(self._held, fcntl.LOCK_SH)  # waits for a sweeper at most, which has it for a moment
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
        if self._temporary:
            os.close(self._held)
            try:
                os.rmdir(self.path)
            except OSError:
                return

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
        pid = run_dir_pid(name)
        if pid is None or is_alive(pid):
            continue
        path = os.path.join(temporary, name)
        try:
            if os.lstat(path).st_uid != os.getuid() or _is_held(path):
                continue
            for entry in os.listdir(path):
                os.unlink(os.path.join(path, entry))
            os.rmdir(path)
        except OSError:
            continue


def _is_held(path: str) -> bool:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(directory)
    return False


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
