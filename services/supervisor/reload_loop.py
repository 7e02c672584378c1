"""Carrying out a reload in the supervisor: the options in force, the log, the certificates of nobody.

Promise: all or nothing. The new log target is opened before anything else changes, so that a failure leaves the old
configuration running (operations 4.2).
"""

from __future__ import annotations

from services.shared.config.options import Options
from services.shared.runtime.log_stream import LogTargetError
from services.supervisor.log_loop import LogWriter
from services.supervisor.reload import Reload, Reloaded, ReloadError


class Reloader:
    """Holds the options in force; `read_again` reads and compares the configuration."""

    __slots__ = ("_log", "_read_again", "options")

    def __init__(self, options: Options, log: LogWriter, read_again: Reload) -> None:
        self.options = options
        self._log = log
        self._read_again = read_again

    def reload(self) -> Reloaded:
        """Puts the configuration in force, the log's part included. Raises ReloadError and changes nothing."""
        reloaded = self._read_again(self.options)
        if reloaded.options.log != self.options.log:
            try:
                self._log.reconfigure(reloaded.options.log)
            except LogTargetError as error:
                raise ReloadError(str(error)) from error
        self.options = reloaded.options
        return reloaded
