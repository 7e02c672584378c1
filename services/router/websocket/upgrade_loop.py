"""Waits for the HTTP request of a WebSocket connection and answers it."""

from __future__ import annotations

import socket

import trio

from services.router.websocket.upgrade import Accepted, NeedMore, Refused, UpgradeMachine, UpgradeRules

READ_BYTES = 4096
REQUEST_WITHIN_S = 10.0
"""Patience for the request where the options set none: a connection must not be held open for nothing."""


async def upgrade(connection: socket.socket, rules: UpgradeRules) -> Accepted | str:
    """The agreement, or why there is none; the answer has been sent either way."""
    machine = UpgradeMachine(rules)
    within_s = rules.options.handshake_timeout_ns / 1e9 or REQUEST_WITHIN_S
    stream = trio.socket.from_stdlib_socket(connection)
    with trio.move_on_after(within_s):
        while True:
            data = await stream.recv(READ_BYTES)
            if not data:
                return "closed before the upgrade"
            match machine.receive(data):
                case NeedMore():
                    continue
                case Refused(response=response, reason=reason):
                    await _send_all(stream, response)
                    return reason
                case Accepted() as accepted:
                    await _send_all(stream, accepted.response)
                    return accepted
    return "no complete upgrade request in time"


async def _send_all(stream: trio.socket.SocketType, data: bytes) -> None:
    while data:
        data = data[await stream.send(data) :]
