"""What a command line of `natsfleet server` boils down to: one of these records. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from services.shared.config.options import Options
from services.supervisor.reload import Reload


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNode:
    """Run a node with these options. `warnings` about the file go to standard error, one a line, before it starts."""

    options: Options
    read_again: Reload
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowText:
    """Print this and exit: the version, the help, the outcome of `-t`, an error in the flags or in the file."""

    text: str
    exit_code: int = 0
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SendSignal:
    """Signal another server: the value of `--signal`."""

    value: str


CommandLine = RunNode | ShowText | SendSignal
