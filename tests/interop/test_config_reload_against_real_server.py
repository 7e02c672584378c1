"""The table of reloads in `spec/config` is what the real server logs, line by line and in its order."""

from __future__ import annotations

import re
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.kit.config_tables import FILE, ReloadRow, reload_rows, tls_files
from tests.kit.eventually import eventually_blocking
from tests.kit.servers import Server, ServerKind, start_server

pytestmark = pytest.mark.real

AT_ONCE = 2
DEADLINE_S = 20
POLL_S = 0.005
_PREFIX = re.compile(r"^\[\d+\] (?:\S+ \S+ )?\[(\w+)\] ")
_WEBSOCKET_PORT = re.compile(r"\{127\.0\.0\.1 [1-9]\d* ")
_REFUSED = "Failed to reload server configuration: "
_ALWAYS = ("Reloaded: authorization users", "Reloaded: accounts")
_DONE = "Reloaded server configuration (sha256:"


def _reload(row: ReloadRow) -> tuple[tuple[str, ...], str]:
    """The lines of a reload without the usual ones, and why it was refused."""
    server = start_server(
        ServerKind.REAL, config=row.old, files={name: content.decode() for name, content in tls_files().items()}
    )
    try:
        before = len(server.log_text())
        server.write_config(row.new)
        server.signal(signal.SIGHUP)
        text = _wait_for_end(server, before).replace("server.conf", FILE).replace(f"{server.folder}/", "")
    finally:
        server.stop()
    lines = [_PREFIX.sub("", line) for line in text.splitlines()]
    refused = [line.removeprefix(_REFUSED) for line in lines if line.startswith(_REFUSED)]
    told = [line for line in lines if line.startswith("Reload") and not line.startswith((_DONE, *_ALWAYS))]
    return tuple(told), _WEBSOCKET_PORT.sub("{127.0.0.1 -1 ", refused[0]) if refused else ""


def _wait_for_end(server: Server, before: int) -> str:
    def told() -> str:
        text = server.log_text()[before:]
        return text if (_DONE in text or _REFUSED in text) and text.endswith("\n") else ""

    return eventually_blocking(told, within_s=DEADLINE_S, what="word of a reload in the log")


def test_the_real_server_logs_what_the_table_says() -> None:
    listed = reload_rows()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        seen = list(pool.map(_reload, listed))
    surprises = [
        f"{row.written}\n    nats-server: {lines} {refused!r}"
        for row, (lines, refused) in zip(listed, seen, strict=True)
        if (lines, refused) != (row.lines, row.refused)
    ]
    assert not surprises, "\n".join(surprises)
