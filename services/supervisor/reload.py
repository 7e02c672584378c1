"""What a reload of the configuration gives: new options with the lines to log, or one reason why not.

The decision what may change while running belongs to `services.shared.config`; this is the shape in which the
supervisor takes it (operations 4.2: all or nothing).
"""

from __future__ import annotations

from collections.abc import Callable

from services.shared.config.options import Options
from services.shared.records.record import record


class ReloadError(Exception):
    """The new configuration is not taken; the text stands behind `Failed to reload server configuration:`."""


@record
class Reloaded:
    """The options now in force and the lines that say what changed, the closing one included."""

    options: Options
    lines: tuple[str, ...]


Reload = Callable[[Options], Reloaded]
"""Reads the configuration again and compares it with the options in force. Raises ReloadError."""
