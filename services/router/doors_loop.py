"""The listening sockets of a router: which of them the engine accepts from, and which need handshakes of ours.

The sockets stay with us as long as the node accepts anybody; the engine and the accepting tasks work on copies, so a
reload may turn TLS on or off.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import trio

from services.router.accept_loop import accept_loop
from services.router.admission.desk import Desk
from services.router.admission.directory import Listener
from services.router.reception import Reception
from services.router.rules import engine_greets
from services.shared.config.options import Options
from services.shared.engine.forwarding import Forwarding
from services.shared.runtime.listeners import start_listening
from services.shared.telemetry.log import Logger

if TYPE_CHECKING:
    from services.router.entrances_loop import Porter

    Porters: TypeAlias = Mapping[Listener, Porter | None]


class Doors:
    """Opens, changes and closes the listeners. `nursery` holds the tasks of connections that are coming up."""

    __slots__ = ("_accepting", "_desk", "_engine", "_greeting", "_log", "_nursery", "_reception", "_sockets")

    def __init__(
        self, sockets: Mapping[Listener, int], *, engine: Forwarding, desk: Desk, reception: Reception, log: Logger,
        nursery: trio.Nursery,
    ) -> None:  # fmt: skip
        self._sockets = dict(sockets)
        self._engine = engine
        self._desk = desk
        self._reception = reception
        self._log = log
        self._nursery = nursery
        self._accepting: list[trio.CancelScope] = []
        self._greeting: list[Listener] = []

    def listen(self) -> None:
        """Lets connections come, on sockets that were opened to listen late too. Raises OSError."""
        for fd in self._sockets.values():
            start_listening(fd)

    def prepare(self, options: Options) -> Porters:
        """Reads what the listeners need, certificates too; raises ValueError and changes nothing if that fails."""
        porters: dict[Listener, Porter | None] = {}
        for listener in self._sockets:
            if listener is Listener.CLIENT and engine_greets(options):
                porters[listener] = None
                continue
            # Imported here: plain listeners, the usual case, need none of it.
            from services.router.entrances import compile_entrance
            from services.router.entrances_loop import Porter

            entrance = compile_entrance(options, listener)
            porters[listener] = Porter(entrance=entrance, reception=self._reception, log=self._log)
        return porters

    def change(self, porters: Porters) -> None:
        """Treats those who come from now on as was prepared."""
        self._leave()
        for listener, fd in self._sockets.items():
            porter = porters.get(listener)
            if porter is None:
                self._engine.open_door(os.dup(fd), self._desk.door(listener))
                self._greeting.append(listener)
            else:
                scope = trio.CancelScope()
                self._accepting.append(scope)
                self._nursery.start_soon(self._accept, os.dup(fd), porter, scope)

    def refresh(self) -> None:
        """What newcomers are told has changed; nothing else."""
        for listener in self._greeting:
            self._engine.change_door(self._desk.door(listener))

    def close(self) -> None:
        """Accepts nobody any more; connections that are coming up may finish."""
        self._leave()
        for fd in self._sockets.values():
            os.close(fd)
        self._sockets.clear()

    def _leave(self) -> None:
        self._engine.close_doors()
        self._greeting.clear()
        for scope in self._accepting:
            scope.cancel()
        self._accepting.clear()

    async def _accept(self, fd: int, porter: Porter, scope: trio.CancelScope) -> None:
        def receive(connection: socket.socket, ip: str, port: int) -> None:
            self._nursery.start_soon(porter.bring_up, connection, ip, port)

        with socket.socket(fileno=fd) as door, scope:
            async with trio.open_nursery() as nursery:
                secure = porter.entrance.tls
                if secure is not None and secure.rate is not None:
                    from services.router.admission.tls_rate_loop import report_rejected

                    nursery.start_soon(report_rejected, secure.rate, self._log)
                await accept_loop(door, receive, self._log)
