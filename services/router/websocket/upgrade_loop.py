"""Waits for the HTTP request of a WebSocket connection and answers it."""

from __future__ import annotations

from typing import Final

import trio

from services.router.websocket.upgrade import Accepted, NeedMore, Refused, UpgradeMachine, UpgradeRules
from services.shared.runtime.tls import ByteStream, send_all

READ_BYTES: Final = 4096
REQUEST_WITHIN_S: Final = 10.0
"""Patience for the request where the options set none: a connection must not be held open for nothing."""


async def upgrade(stream: ByteStream, rules: UpgradeRules) -> Accepted | str:
    """The agreement, or why there is none; the answer has been sent either way. Raises OSError when the peer is lost."""
    machine = UpgradeMachine(rules)
    with trio.move_on_after(rules.options.handshake_timeout_ns / 1e9 or REQUEST_WITHIN_S):
        while True:
            data = await stream.recv(READ_BYTES)
            if not data:
                return "closed before the upgrade"
            match machine.receive(data):
                case NeedMore():
                    continue
                case Refused(response=response, reason=reason):
                    await send_all(stream, response)
                    return reason
                case Accepted() as accepted:
                    await send_all(stream, accepted.response)
                    return accepted
    return "no complete upgrade request in time"
