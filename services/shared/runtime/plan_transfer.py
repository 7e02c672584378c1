"""Giving a role its plan and its sockets: the first thing that goes over a control channel.

One byte carries the descriptors, the `Start` record follows as an ordinary frame. Used once per process, before the
channel belongs to anyone; a role never sees it.
"""

from __future__ import annotations

import os
import socket
from typing import Final

from services.shared.records.record import replace
from services.shared.runtime.control import (
    FRAME_BYTES_MAX,
    LENGTH_BYTES,
    ChannelClosed,
    ControlChannel,
    Start,
    decode_record,
)
from services.shared.runtime.role_plan import RolePlan

SOCKETS_MAX: Final = 64
_CARRIER: Final = b"\0"


def send_plan(channel: ControlChannel, plan: RolePlan) -> None:
    """Sends the plan on a fresh channel, without waiting. Silent when the role is gone already."""
    with socket.socket(fileno=os.dup(channel.fd)) as carrier:
        try:
            if plan.sockets:
                socket.send_fds(carrier, [_CARRIER], list(plan.sockets.values()))
            else:
                carrier.send(_CARRIER)
        except (BrokenPipeError, ConnectionResetError):
            return
    channel.send(Start(plan=plan))


def receive_plan(control: int) -> RolePlan:
    """Waits for the plan on a still blocking descriptor; its sockets and control channel are this process's.

    Reads not a byte of what follows. Raises ChannelClosed when the supervisor goes, or has no use for this role.
    """
    with socket.socket(fileno=os.dup(control)) as channel:
        carried, sockets, _, _ = socket.recv_fds(channel, len(_CARRIER), SOCKETS_MAX)
        if not carried:
            raise ChannelClosed
        for fd in sockets:
            os.set_inheritable(fd, False)
        length = int.from_bytes(_read_exactly(channel, LENGTH_BYTES))
        if length > FRAME_BYTES_MAX:
            raise ChannelClosed(f"a plan of {length} bytes, at most {FRAME_BYTES_MAX} wanted")
        record = decode_record(_read_exactly(channel, length))
    if not isinstance(record, Start):
        raise ChannelClosed(f"a {type(record).__name__} before the plan")
    return replace(record.plan, control=control, sockets=dict(zip(record.plan.sockets, sockets, strict=True)))


def _read_exactly(channel: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = channel.recv(count - len(data))
        if not piece:
            raise ChannelClosed
        data += piece
    return bytes(data)
