"""The router role: wires its parts, starts its loops, and nothing else."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Callable
from functools import partial

import trio

from services.router.accept_loop import accept_loop
from services.router.admission.desk import Desk
from services.router.admission.directory import SYNTHETIC_SECRET_CHARS, Listener
from services.router.admission.errors import DirectoryError
from services.router.admission.verdict import CheckPassword, Verdict
from services.router.census import Census
from services.router.events_loop import EventSink, events_loop
from services.router.farewell_loop import Farewell
from services.router.reception import Layers, Reception
from services.router.reload import Reloader
from services.router.rib.accounts import AccountNumbers
from services.router.rib.limits import engine_limits
from services.router.rib.permits import PermitBook
from services.router.rules import compile_rules
from services.router.websocket.upgrade import UpgradeRules
from services.shared.engine.forwarding import Forwarding, Permit, WebsocketLayer, compile_permit
from services.shared.runtime.control import ControlChannel, Failed, Finished, LameDuck, Ready, Reload, Stop
from services.shared.runtime.control_loop import Order, run_control
from services.shared.runtime.role_plan import NATS_LISTENER, WEBSOCKET_LISTENER, RolePlan
from services.shared.telemetry.log import Level, Logger

BROWSER_FRAME_BYTES = 4096
"""Largest frame sent to a browser (reference: wire protocol 5.2)."""


def run(plan: RolePlan) -> int:
    """Serves until told to stop; returns the exit code of the process."""
    return trio.run(_Router(plan).serve)


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class _Router:
    """The parts of one router and the tasks that move them."""

    def __init__(self, plan: RolePlan) -> None:
        self.plan = plan
        self.options = plan.options
        self.channel = ControlChannel(plan.control) if plan.control is not None else None
        options = plan.options
        self.log = Logger(self._emit, debug=options.log.debug, trace=options.log.trace)
        self.synthetic_secret = base64.b32encode(os.urandom(SYNTHETIC_SECRET_CHARS))[:SYNTHETIC_SECRET_CHARS].decode()
        self.census = Census()
        self.numbers = AccountNumbers()
        self.exit_code = 0

    def _emit(self, level: Level, text: str) -> None:
        if self.channel is not None:
            self.channel.send_log(level, text)
        else:
            os.write(2, f"[{os.getpid()}] [{level}] {text}\n".encode(errors="replace"))

    def _compile(self) -> bool:
        """Builds everything that the options decide; false when they cannot be."""
        plan = self.plan
        try:
            rules = compile_rules(
                plan.options, identity=plan.identity, ports=plan.ports, synthetic_secret=self.synthetic_secret,
                git_commit=plan.git_commit,
            )  # fmt: skip
            permits: PermitBook[Permit] = PermitBook(compile_permit)
            for user in (*rules.directory.users.values(), *rules.directory.nkeys.values()):
                permits.permit(user.permissions)
        except (DirectoryError, ValueError) as error:
            if self.channel is not None:
                self.channel.send(Failed(text=str(error)))
            return False
        limits = engine_limits(plan.options, memory_bytes=_memory_bytes())
        self.engine = Forwarding(limits, seed=int.from_bytes(os.urandom(8)))
        for name in rules.directory.accounts:
            self.engine.install_account(self.numbers.number(name), rules.mappings.get(name))
        self.desk = Desk(
            engine=self.engine, rules=rules, numbers=self.numbers, permits=permits, census=self.census, log=self.log,
            check=self._check_password,
        )  # fmt: skip
        self.reception = Reception(engine=self.engine, desk=self.desk, log=self.log)
        self.sink = EventSink(engine=self.engine, desk=self.desk, census=self.census, log=self.log)
        return True

    async def serve(self) -> int:
        if not self._compile():
            return 1
        async with trio.open_nursery() as nursery:
            self.nursery = nursery
            async with trio.open_nursery() as doors:
                self.doors = doors
                self._open_doors(doors)
                nursery.start_soon(events_loop, self.engine, self.sink, name="events")
                self.farewell = Farewell(engine=self.engine, desk=self.desk, log=self.log)
                if self.channel is not None:
                    self.channel.send(Ready())
                    await run_control(self.channel, self._obey)
                else:
                    await trio.sleep_forever()
                doors.cancel_scope.cancel()
            nursery.cancel_scope.cancel()
        self.engine.stop()
        return self.exit_code

    def _open_doors(self, doors: trio.Nursery) -> None:
        fd = self.plan.sockets.get(NATS_LISTENER)
        if fd is not None:
            self.engine.open_door(fd, self.desk.door(Listener.CLIENT))
        fd = self.plan.sockets.get(WEBSOCKET_LISTENER)
        if fd is not None and self.options.websocket is not None:
            from services.router.websocket.upgrade import upgrade_rules

            rules = upgrade_rules(self.options.websocket, tls=False)
            entrance = partial(self._start_upgrade, rules)
            doors.start_soon(accept_loop, socket.socket(fileno=fd), entrance, self.log, name="accept websocket")

    def _start_upgrade(self, rules: UpgradeRules, connection: socket.socket, ip: str, port: int) -> None:
        self.nursery.start_soon(self._upgrade, rules, connection, ip, port)

    async def _upgrade(self, rules: UpgradeRules, connection: socket.socket, ip: str, port: int) -> None:
        from services.router.websocket.upgrade_loop import upgrade

        with connection:
            try:
                outcome = await upgrade(connection, rules)
            except OSError as error:
                outcome = str(error)
            if isinstance(outcome, str):
                self.log.debug(f"{ip}:{port} - WebSocket handshake error: {outcome}")
                return
            layer = WebsocketLayer(
                compress=outcome.compress,
                masked_input=not outcome.no_masking,
                frame_bytes_max=BROWSER_FRAME_BYTES if outcome.browser else None,
                fragment_compressed=outcome.fragment_compressed,
                message_bytes_max=self.options.max_payload_bytes,
            )
            layers = Layers(websocket=layer, cookies=outcome.cookies, client_ip=outcome.client_ip)
            newcomer = self.reception.newcomer(Listener.WEBSOCKET, ip, port, layers)
            self.reception.hand_over(connection, newcomer, greeting=self.reception.greeting(newcomer), layers=layers)

    def _check_password(self, check: CheckPassword, settle: Callable[[Verdict], None]) -> None:
        self.nursery.start_soon(self._checked, check, settle)

    async def _checked(self, check: CheckPassword, settle: Callable[[Verdict], None]) -> None:
        from services.shared.identity.passwords import matches_bcrypt

        matches = await trio.to_thread.run_sync(partial(matches_bcrypt, stored=check.hash, given=check.password))
        settle(check.then if matches else check.otherwise)

    async def _obey(self, order: Order) -> None:
        match order:
            case Stop():
                await self.farewell.stop(order.grace_ns)
                self.nursery.cancel_scope.cancel()
            case LameDuck():
                self.engine.close_doors()
                self.doors.cancel_scope.cancel()
                self.nursery.start_soon(self._lame_duck)
            case Reload():
                self._reload(order)
            case _:
                self.log.debug(f"nothing to do for {type(order).__name__}")

    async def _lame_duck(self) -> None:
        await self.farewell.lame_duck(
            grace_ns=self.options.lame_duck_grace_ns, duration_ns=self.options.lame_duck_duration_ns
        )
        if self.channel is not None:
            self.channel.send(Finished())

    def _reload(self, order: Reload) -> None:
        plan = self.plan
        rules = compile_rules(
            order.options, identity=plan.identity, ports=plan.ports, synthetic_secret=self.synthetic_secret,
            git_commit=plan.git_commit,
        )  # fmt: skip
        self.options = order.options
        self.log.debugs, self.log.traces = order.options.log.debug, order.options.log.trace
        self.engine.configure(engine_limits(order.options, memory_bytes=_memory_bytes()))
        Reloader(engine=self.engine, desk=self.desk, numbers=self.numbers, log=self.log).apply(rules)
        self.engine.change_door(self.desk.door(Listener.CLIENT))
