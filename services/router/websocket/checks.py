"""What is wrong with a `websocket` block that parses (reference: operations 2.10).

These rules need no other block. The texts are nats-server's; the last rule is our own, because a line break in a header
would let the configuration forge a response.
"""

from __future__ import annotations

import re
from typing import Final

from services.router.websocket.origin import parse_origin
from services.shared.config.options import WebsocketOptions

_RESERVED: Final = frozenset({"upgrade", "connection", "host", "content-length", "nats-no-masking"})
_RESERVED_PREFIX: Final = "sec-websocket-"
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


def websocket_problem(options: WebsocketOptions) -> str | None:
    """The first thing that keeps a listener from starting with these options, or None."""
    if options.tls is None and not options.no_tls:
        return "websocket requires TLS configuration"
    for text in options.allowed_origins:
        try:
            parse_origin(text)
        except ValueError as error:
            return f"unable to parse allowed origin: {error}"
    for name, value in options.headers.items():
        problem = _header_problem(name, value)
        if problem is not None:
            return f"websocket: invalid header {problem}"
    return None


def _header_problem(name: str, value: str) -> str | None:
    if name.lower() in _RESERVED:
        return f'"{name}" not allowed'
    if name.lower().startswith(_RESERVED_PREFIX):
        return f'"{name}", "Sec-WebSocket-" prefix not allowed'
    if _HEADER_NAME.fullmatch(name) is None:
        return f'"{name}": not a header name'
    if _HEADER_VALUE.fullmatch(value) is None:
        return f'"{name}": its value {value!r} has characters that a header cannot carry'
    return None
