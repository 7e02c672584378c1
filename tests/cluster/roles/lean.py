"""A role that imports next to nothing: what remains of its start is the supervisor's share."""

import os
import select

from services.shared.runtime.control import ControlChannel, Ready
from services.shared.runtime.role_plan import RolePlan


def run(plan: RolePlan) -> int:
    import socket

    assert plan.control is not None
    channel = ControlChannel(plan.control)
    channel.send(Ready())
    listening = socket.socket(fileno=plan.sockets["nats"])
    poller = select.poll()
    poller.register(listening, select.POLLIN)
    poller.register(channel.fd, select.POLLIN)
    while True:
        for fd, _ in poller.poll():
            if fd == channel.fd:
                return 0
            connection, _ = listening.accept()
            connection.send(b"%d\n" % os.getpid())
            connection.close()
