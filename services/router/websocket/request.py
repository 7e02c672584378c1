"""One HTTP/1.x request head, read from bytes as they come (RFC 9112), with a bound on its size.

h11 does the reading; it is imported when the first reader is made, since most nodes have no WebSocket listener.
Bodies are not read: an upgrade request has none, and bytes after the head are only noticed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from services.shared.records.record import record

if TYPE_CHECKING:
    import h11

REQUEST_BYTES_MAX: Final = 64 * 1024
"""Longest request head. Browsers stay far below; nats-server allows 1 MiB, which is a lot to hold for a stranger."""
REQUEST_LINE_BYTES_MAX: Final = 8 * 1024
"""Longest request line that may come in pieces."""

_REQUEST_LINE: Final = re.compile(rb"[!-~]+ [!-~]+ HTTP/[0-9]\.[0-9]\r?")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


@record
class RequestHead:
    """Request line and header fields. Field names are lower case; values are Latin-1 text without outer blanks."""

    method: str
    target: str
    fields: tuple[tuple[str, str], ...]
    data_follows: bool
    """Bytes after the head, or a body announced, came with it."""

    def values(self, name: str) -> list[str]:
        """All values of a field, in order."""
        return [value for field, value in self.fields if field == name]

    def first(self, name: str) -> str:
        """The first value of a field; empty when it is absent."""
        return next(iter(self.values(name)), "")

    def elements(self, name: str) -> list[str]:
        """The elements of a field that is a comma-separated list, over all its lines."""
        return [element.strip() for value in self.values(name) for element in value.split(",")]

    def lists(self, name: str, token: str) -> bool:
        """Whether a list field has an element, in any case."""
        return any(element.lower() == token for element in self.elements(name))


class RequestError(Exception):
    """What came is not an acceptable HTTP request. `status` is the answer to give."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class RequestReader:
    """Collects bytes until they are one request head."""

    __slots__ = ("_connection", "_received_bytes", "_request_line")

    def __init__(self) -> None:
        import h11  # deferred: see the module docstring

        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=REQUEST_BYTES_MAX)
        self._received_bytes = 0
        self._request_line: bytes | None = b""

    def receive(self, data: bytes) -> RequestHead | None:
        """The request head once it is complete, else None. Raises RequestError for anything that cannot become one."""
        import h11  # already loaded by the constructor

        self._received_bytes += len(data)
        if self._received_bytes > REQUEST_BYTES_MAX:
            raise RequestError(431, f"request larger than {REQUEST_BYTES_MAX} bytes")
        self._check_request_line(data)
        try:
            if data:
                self._connection.receive_data(data)
            request = self._connection.next_event()
            if not isinstance(request, h11.Request):
                return None
            body = self._connection.next_event()
        except h11.RemoteProtocolError as error:
            raise RequestError(error.error_status_hint, str(error)) from error
        if not request.http_version.startswith(b"1."):
            raise RequestError(505, f"HTTP version {request.http_version.decode('ascii')}, wanted 1.1")
        for name, value in request.headers:
            if _CONTROL.search(value):
                raise RequestError(400, f"control character in field {name.decode('ascii')}")
        rest, _ = self._connection.trailing_data
        return RequestHead(
            method=request.method.decode("ascii"),
            target=request.target.decode("ascii"),
            fields=tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in request.headers),
            data_follows=bool(rest) or not isinstance(body, h11.EndOfMessage) or _is_chunked(request),
        )

    def _check_request_line(self, data: bytes) -> None:
        """Refuses another protocol at its first line, without waiting for an empty one that may never come."""
        if self._request_line is None:
            return
        self._request_line, end, _ = (self._request_line + data).partition(b"\n")
        if end:
            if _REQUEST_LINE.fullmatch(self._request_line) is None:
                raise RequestError(400, f"request line {self._request_line[:40]!r}")
            self._request_line = None
        elif len(self._request_line) > REQUEST_LINE_BYTES_MAX:
            raise RequestError(414, f"request line longer than {REQUEST_LINE_BYTES_MAX} bytes")


def _is_chunked(request: h11.Request) -> bool:
    return any(name == b"transfer-encoding" for name, _ in request.headers)
