"""What the server itself subscribes to and publishes: its part of the traffic, and of the log.

Promise: with `trace_verbose` every subscription and message of the server stands in the log, as nats-server writes those
of its system client (reference: operations 5.5); without it none does. The lines of clients come from the engine.
"""

from __future__ import annotations

from typing import Final

from services.shared.config.options import LogOptions
from services.shared.engine.forwarding import EngineControl
from services.shared.telemetry.log import Logger
from services.shared.wire.quote import quote

PREFIX: Final = "SYSTEM - <<-"
_BLOCK_END_BYTES: Final = 4
"""The empty line after a header block, which no log shows."""


class OwnTraffic:
    """Subscribes and publishes in the name of the server."""

    __slots__ = ("_engine", "_log", "_options")

    def __init__(self, *, engine: EngineControl, log: Logger, options: LogOptions) -> None:
        self._engine = engine
        self._log = log
        self._options = options

    def follow(self, options: LogOptions) -> None:
        """Other options are in force."""
        self._options = options

    def subscribe(self, *, account: int, subject: str, tag: int) -> None:
        """Asks for what is published on a subject: `deliver` events with the tag."""
        if self._options.trace_verbose:
            self._log.trace(f"{PREFIX} [SUB {subject}  {tag}]")
        self._engine.subscribe(account=account, subject=subject.encode(), tag=tag)

    def publish(self, *, account: int, subject: bytes, headers: bytes = b"", body: bytes) -> None:
        """Publishes a message that wants no answer."""
        if self._options.trace_verbose:
            self._log.trace(f"{PREFIX} [PUB {subject.decode(errors='replace')}  {len(headers) + len(body)}]")
            shown = traced_payload(headers=headers, body=body, options=self._options)
            if shown:
                self._log.trace(f"{PREFIX} {payload_text(shown)}")
        self._engine.publish([(account, subject, b"", len(headers), headers + body)])


def traced_payload(*, headers: bytes, body: bytes, options: LogOptions) -> bytes:
    """What the log shows of a message: of a long one the beginning, or only its header block."""
    shown = headers[:-_BLOCK_END_BYTES] if options.trace_headers else headers + body
    most = options.max_traced_msg_len
    return shown[:most] + b"..." if 0 < most < len(shown) else shown


def payload_text(shown: bytes) -> str:
    """The payload as it stands in the log."""
    return f"MSG_PAYLOAD: [{quote(shown)}]"
