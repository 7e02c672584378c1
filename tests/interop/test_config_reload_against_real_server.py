"""The table of reloads in `spec/config` is what the real server logs, line by line and in its order."""

from __future__ import annotations

import re
import signal

import pytest
import trio

from tests.kit.config_tables import FILE, ReloadRow, reload_rows, tls_files
from tests.kit.eventually import eventually
from tests.kit.servers import ServerKind, running_server

pytestmark = pytest.mark.real

AT_ONCE = 2
DEADLINE_S = 20
_PREFIX = re.compile(r"^\[\d+\] (?:\S+ \S+ )?\[(\w+)\] ")
_WEBSOCKET_PORT = re.compile(r"\{127\.0\.0\.1 [1-9]\d* ")
_REFUSED = "Failed to reload server configuration: "
_ALWAYS = ("Reloaded: authorization users", "Reloaded: accounts")
_DONE = "Reloaded server configuration (sha256:"


async def _reload(row: ReloadRow) -> tuple[tuple[str, ...], str]:
    """The lines of a reload without the usual ones, and why it was refused."""
    files = {name: content.decode() for name, content in tls_files().items()}
    async with running_server(ServerKind.REAL, config=row.old, files=files) as server:
        before = len(server.log_text())

        def finished() -> str:
            text = server.log_text()[before:]
            return text if (_DONE in text or _REFUSED in text) and text.endswith("\n") else ""

        server.write_config(row.new)
        server.signal(signal.SIGHUP)
        text = await eventually(finished, within_s=DEADLINE_S, what="the end of a reload")
    text = text.replace("server.conf", FILE).replace(f"{server.folder}/", "")
    lines = [_PREFIX.sub("", line) for line in text.splitlines()]
    refused = [line.removeprefix(_REFUSED) for line in lines if line.startswith(_REFUSED)]
    told = [line for line in lines if line.startswith("Reload") and not line.startswith((_DONE, *_ALWAYS))]
    return tuple(told), _WEBSOCKET_PORT.sub("{127.0.0.1 -1 ", refused[0]) if refused else ""


async def test_the_real_server_logs_what_the_table_says() -> None:
    surprises: list[str] = []
    places = trio.CapacityLimiter(AT_ONCE)

    async def reload(row: ReloadRow) -> None:
        async with places:
            lines, refused = await _reload(row)
        if (lines, refused) != (row.lines, row.refused):
            surprises.append(f"{row.written}\n    nats-server: {lines} {refused!r}")

    async with trio.open_nursery() as nursery:
        for row in reload_rows():
            nursery.start_soon(reload, row)
    assert not surprises, "\n".join(surprises)
