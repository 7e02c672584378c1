"""Where an `include` leads, and the bounds on following it.

An include is joined to the directory of the file that includes it, even when it looks absolute. Cycles, depth and the
number of files are bounded (reference: operations 1.6; nats-server runs out of stack instead).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from services.shared.config.errors import FileError, ParseError, describe_os_error

DEPTH_MAX: Final = 32
FILES_MAX: Final = 1_000

ReadFile = Callable[[str], bytes]
"""Returns the bytes of a file, or raises OSError."""


def read_text(path: str, read_file: ReadFile) -> str:
    """The text of a file; bytes that are not UTF-8 survive as surrogates. Raises FileError."""
    try:
        return read_file(path).decode("utf-8", "surrogateescape")
    except OSError as error:
        raise FileError(describe_os_error(error, path)) from error


def resolve(included: str, *, by: str) -> str:
    """The path of `included` as written in the file `by`."""
    from posixpath import dirname, normpath  # Part of every interpreter's start-up; here to name what is used.

    return normpath(f"{dirname(by) or '.'}/{included}")


class IncludeTrail:
    """The files being read, outermost first, and how many were read so far."""

    def __init__(self, first: str) -> None:
        self._trail = [first]
        self._files = 1

    def enter(self, path: str) -> None:
        """Goes one file deeper. Raises ParseError when that file is already being read or a bound is reached."""
        if path in map(_normal, self._trail):
            raise ParseError(f"include cycle: {' -> '.join((*self._trail, path))}")
        if len(self._trail) >= DEPTH_MAX:
            raise ParseError(f"includes are nested deeper than {DEPTH_MAX} files")
        if self._files >= FILES_MAX:
            raise ParseError(f"more than {FILES_MAX} files are included")
        self._trail.append(path)
        self._files += 1

    def leave(self) -> None:
        """The file that was entered last has been read."""
        self._trail.pop()


def _normal(path: str) -> str:
    from posixpath import normpath

    return normpath(path)
