"""A program called `nats-server` for suites that start one from PATH: it becomes the server under test.

The process that the suite started is the server: the shim replaces itself. When `SUITE_STARTS` names a file, it first
notes there how it was started (one JSON line: flags, and the configuration file with its includes). `SUITE_SERVER_FLAGS`
are flags for every server, after those of the suite.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.kit.servers import REPOSITORY, ServerKind

INCLUDE = re.compile(r"""^\s*include\s+['"]?([^'"\s;]+)""", re.MULTILINE)


def write_shim(folder: Path, kind: ServerKind) -> Path:
    """Writes the program into `folder`, which belongs in front of PATH."""
    command = " ".join(shlex.quote(word) for word in kind.command())
    note = f"{shlex.quote(sys.executable)} -P -m tests.interop.suites.note_start"
    path = folder / "nats-server"
    path.write_text(f"""#!/bin/sh
PYTHONPATH={shlex.quote(str(REPOSITORY))}
export PYTHONPATH
[ -z "$SUITE_STARTS" ] || {note} "$@"
exec {command} "$@" $SUITE_SERVER_FLAGS
""")
    path.chmod(0o755)
    return path


def config_text(arguments: Sequence[str]) -> str:
    """The text of the configuration file that the flags name, included files appended."""
    for position, argument in enumerate(arguments):
        flag, _, value = argument.lstrip("-").partition("=")
        if flag in ("c", "config") and argument.startswith("-"):
            return with_includes(Path(value or arguments[position + 1]))
    return ""


def with_includes(path: Path) -> str:
    """A file and what it includes, relative to its folder; a file that is not there is empty."""
    if not path.is_file():
        return ""
    text = path.read_text(errors="replace")
    return text + "".join("\n" + with_includes(path.parent / name) for name in INCLUDE.findall(text))
