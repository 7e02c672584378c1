"""Asks a server's monitoring port, over a connection of its own for each request."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.kit.servers import Server

ASK_S = 10.0


@dataclass(frozen=True)
class Page:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    text: str

    def json(self) -> Any:
        """The body read as JSON."""
        return json.loads(self.text)


async def get(server: Server, path: str, *, method: str = "GET", tls: ssl.SSLContext | None = None) -> Page:
    """Asks for a path as it is, without following redirects."""
    scheme = "http" if tls is None else "https"
    url = httpx.URL(f"{scheme}://127.0.0.1:{server.monitor_port}", raw_path=path.encode())
    async with httpx.AsyncClient(verify=tls or True, timeout=ASK_S) as client:
        answer = await client.request(method, url)
        return Page(answer.status_code, answer.headers, answer.text)
