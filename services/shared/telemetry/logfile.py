"""A log file: appended to, rotated by size, purged, re-opened after a rotation from outside (operations 4.3).

Promise: lines go to the file in the order they came, never mixed with another writer's half lines. Invariants: one
`LogFile` per path and process; time comes in as an argument. A full or failing disk never stops the server: the line
is given up and counted. Deliberately absent: buffering, since the last line before a crash is the one that matters.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

FILE_MODE: Final = 0o640
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC


def backup_suffix(fields: Sequence[int], *, nanosecond: int) -> str:
    """`YYYY.MM.DD.HH.MM.SS.nnnnnnnnn`, what a rotated file's name ends with; sorts by age."""
    year, month, day, hour, minute, second = fields[:6]
    return f"{year:04}.{month:02}.{day:02}.{hour:02}.{minute:02}.{second:02}.{nanosecond:09}"


def surplus_backups(names: Sequence[str], *, base: str, kept_max: int) -> list[str]:
    """The backups of `base` to delete, oldest first, so that `kept_max` files remain with the current one.

    Only names that a rotation could have made count: `base`, a dot, then digits and dots.
    """
    prefix = base + "."
    backups = sorted(
        name for name in names if name.startswith(prefix) and name[len(prefix) :].replace(".", "").isdigit()
    )
    surplus = len(backups) - (kept_max - 1)
    return backups[:surplus] if kept_max > 0 and surplus > 0 else []


class LogFile:
    """The open file. Raises OSError only from the constructor and from `reopen`."""

    __slots__ = ("_fd", "_size", "lost_lines", "path", "rotate_at_bytes")

    def __init__(self, path: str, *, rotate_at_bytes: int = 0) -> None:
        self.path = path
        self.rotate_at_bytes = rotate_at_bytes
        self.lost_lines = 0
        self._fd = os.open(path, _FLAGS, FILE_MODE)
        self._size = os.fstat(self._fd).st_size

    def fileno(self) -> int:
        """The descriptor, for those who must not inherit it."""
        return self._fd

    def write(self, line: bytes) -> None:
        """Appends a line; on an error of the disk the line is counted as lost."""
        try:
            self._size += os.write(self._fd, line)
        except OSError:
            self.lost_lines += 1

    @property
    def is_full(self) -> bool:
        """Whether it is time to rotate."""
        return 0 < self.rotate_at_bytes < self._size

    def reopen(self) -> None:
        """Opens the path anew, as after another program has moved the file away."""
        fresh = os.open(self.path, _FLAGS, FILE_MODE)
        os.close(self._fd)
        self._fd = fresh
        self._size = os.fstat(fresh).st_size

    def rotate(self, suffix: str) -> str:
        """Moves the file aside and starts a new one; the path of the backup. On OSError the old one goes on."""
        backup = f"{self.path}.{suffix}"
        os.rename(self.path, backup)
        self.reopen()
        return backup

    def purge(self, *, kept_max: int) -> list[str]:
        """Deletes backups beyond `kept_max` files; the paths deleted. A file that resists is left."""
        folder, base = os.path.split(self.path)
        purged = []
        try:
            names = os.listdir(folder or ".")
        except OSError:
            return []
        for name in surplus_backups(names, base=base, kept_max=kept_max):
            victim = os.path.join(folder, name)
            try:
                os.unlink(victim)
            except OSError:
                continue
            purged.append(victim)
        return purged

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)
