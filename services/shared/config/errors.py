"""What can be wrong with a configuration.

    ConfigError
    ├── ParseError         the text is not in the configuration language; nothing was interpreted
    ├── FileError          a file could not be read
    ├── OptionErrors       options were refused or warned about; everything found in one pass
    └── ValidationError    options contradict each other (checked at start and on reload, not by `-t`)

Every `str()` is the text nats-server prints after `nats-server: ` (reference: operations 1.7, 2.13).
"""

from __future__ import annotations

from typing import NamedTuple


class ConfigError(Exception):
    """Any reason why a configuration cannot be used."""


class ParseError(ConfigError):
    """The text breaks the grammar, a variable is missing, or an include fails. Raised at the first one."""


class FileError(ConfigError):
    """The configuration file itself could not be read."""


class ValidationError(ConfigError):
    """Two options contradict each other."""


class Position(NamedTuple):
    """Where something was written. `line` counts from 1; `column` from 0 on line 1 and from 1 below it."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class OptionErrors(ConfigError):
    """All problems of one pass; `errors` may be empty, then a start goes on and only `-t` refuses."""

    def __init__(self, *, warnings: tuple[str, ...], errors: tuple[str, ...]) -> None:
        super().__init__(warnings, errors)
        self.warnings = warnings
        self.errors = errors

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in (*self.warnings, *self.errors))


class OptionProblem(Exception):
    """One refused option, on its way to the list. Never leaves this package."""

    def __init__(self, message: str, *, at: Position) -> None:
        super().__init__(message)
        self.message = message
        self.at = at


class Problems:
    """Collects the warnings and errors of one pass, in the order of the file."""

    def __init__(self) -> None:
        self._warnings: list[str] = []
        self._errors: list[str] = []

    @property
    def refused(self) -> int:
        """How many errors were collected so far."""
        return len(self._errors)

    def refuse(self, message: str, *, at: Position) -> None:
        """An option that stops the start."""
        self._errors.append(f"{at}: {message}")

    def warn(self, field: str, reason: str, *, at: Position) -> None:
        """An option that is taken, though it should not be there."""
        self._warnings.append(f'{at}: invalid use of field "{field}": {reason}')

    def warn_empty(self, file: str) -> None:
        """A file that says nothing."""
        self._warnings.append(f"{file}: config has no values or is empty")

    def found(self) -> OptionErrors | None:
        """Everything collected so far, or None when there is nothing to say."""
        if not self._warnings and not self._errors:
            return None
        return OptionErrors(warnings=tuple(self._warnings), errors=tuple(self._errors))


def describe_os_error(error: OSError, path: str) -> str:
    """The operating system's refusal in nats-server's form: `open F: no such file or directory`."""
    reason = (error.strerror or str(error)).lower()
    verb = "read" if isinstance(error, IsADirectoryError) else "open"
    return f"{verb} {path}: {reason}"
