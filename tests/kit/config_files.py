"""Configuration files in memory, for tests of the configuration."""

from __future__ import annotations

from collections.abc import Mapping

from services.shared.config.includes import ReadFile
from services.shared.config.load import Loaded, load_options
from services.shared.config.options import Options
from services.shared.config.overrides import FlagOverrides

FILE = "node.conf"


def reader(files: Mapping[str, str | bytes]) -> ReadFile:
    """Reads files from a mapping."""

    def read_file(path: str) -> bytes:
        if path not in files:
            raise FileNotFoundError(2, "No such file or directory", path)
        content = files[path]
        return content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")

    return read_file


def load(
    text: str,
    *,
    environ: Mapping[str, str] | None = None,
    files: Mapping[str, str | bytes] | None = None,
    flags: FlagOverrides | None = None,
) -> Loaded:
    """What a start with this configuration text gives."""
    given = flags or FlagOverrides(config_file=FILE)
    return load_options(flags=given, environ=environ or {}, read_file=reader({FILE: text, **(files or {})}))


def options(text: str, **more: Mapping[str, str | bytes]) -> Options:
    """The options of this configuration text."""
    return load(text, files=more.get("files")).options
