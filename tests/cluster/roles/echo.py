"""A small real role: greets every connection with its pid and echoes what it is sent. Speaks the control protocol."""

from __future__ import annotations

import json
import os
import socket

import trio

from services.shared.runtime.control import ControlChannel, Finished, LameDuck, Ready, Reload, Stop
from services.shared.runtime.control_loop import Order, run_control
from services.shared.runtime.role_plan import RolePlan
from services.shared.telemetry.log import Logger


def run(plan: RolePlan) -> int:
    trio.run(_Echo(plan).serve)
    return 0


class _Echo:
    def __init__(self, plan: RolePlan) -> None:
        assert plan.control is not None
        self.plan = plan
        self.channel = ControlChannel(plan.control)
        self.log = Logger(self.channel.send_log, debug=plan.options.log.debug)
        self.connections = 0
        self.accepting = trio.CancelScope()
        self.everything = trio.CancelScope()
        self.is_lame = False

    async def serve(self) -> None:
        with self.everything:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.obey)
                nursery.start_soon(self.accept, nursery)
                await trio.lowlevel.checkpoint()
                self.channel.send(Ready(ports={"extra": 7}))

    async def obey(self) -> None:
        await run_control(self.channel, self.on_order)
        self.everything.cancel()

    async def on_order(self, order: Order) -> None:
        match order:
            case Stop():
                self.log.info(f"{self.plan.role} stops")
                self.everything.cancel()
            case LameDuck():
                self.is_lame = True
                self.accepting.cancel()
                self.finish_if_idle()
            case Reload():
                self.log.info(f"{self.plan.role} reloads {order.options.max_payload_bytes}")

    def finish_if_idle(self) -> None:
        if self.is_lame and self.connections == 0:
            self.channel.send(Finished())

    async def accept(self, nursery: trio.Nursery) -> None:
        listening = trio.socket.from_stdlib_socket(socket.socket(fileno=self.plan.sockets["nats"]))
        with self.accepting, listening:
            while True:
                connection, _ = await listening.accept()
                nursery.start_soon(self.echo, trio.SocketStream(connection))

    async def echo(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        try:
            async with stream:
                facts = {"pid": os.getpid(), "server_id": self.plan.identity.server_id, "fds": _descriptors()}
                await stream.send_all(json.dumps(facts).encode() + b"\n")
                async for data in stream:
                    if data.startswith(b"log "):
                        count = int(data.split()[1])
                        for number in range(count):
                            self.log.info(f"line {number} of {count} " + "x" * 80)
                    if data.startswith(b"print"):
                        print("printed by the role", flush=True)
                    await stream.send_all(data)
        except trio.BrokenResourceError:
            return
        finally:
            self.connections -= 1
            self.finish_if_idle()


def _descriptors() -> list[str]:
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:
            continue
    return sorted(found)
