"""The router role: wires its parts, starts its loops, and nothing else."""

from __future__ import annotations

import base64
import itertools
import os
from collections.abc import Callable
from functools import partial

import trio

from services.router.admission.desk import Desk, Rules
from services.router.admission.directory import SYNTHETIC_SECRET_CHARS, Listener
from services.router.admission.verdict import CheckPassword, Verdict
from services.router.census import Census
from services.router.doors_loop import Doors
from services.router.events_loop import EventSink, events_loop
from services.router.farewell_loop import Farewell
from services.router.reception import Reception
from services.router.reload import Reloader
from services.router.rib.accounts import AccountNumbers
from services.router.rib.limits import engine_limits
from services.router.rib.permits import PermitBook
from services.router.rules import compile_rules
from services.router.tracer import Tracer
from services.shared.config.options import Options
from services.shared.engine.forwarding import Forwarding, Permit, compile_permit
from services.shared.member.server_info import server_info
from services.shared.runtime.control import ControlChannel, Failed, Finished, LameDuck, Ready, Reload, Stop
from services.shared.runtime.control_loop import Order, run_control
from services.shared.runtime.role_plan import NATS_LISTENER, WEBSOCKET_LISTENER, RolePlan
from services.shared.telemetry.log import Level, Logger

LISTENERS = {NATS_LISTENER: Listener.CLIENT, WEBSOCKET_LISTENER: Listener.WEBSOCKET}


def run(plan: RolePlan) -> int:
    """Serves until told to stop; returns the exit code of the process."""
    channel = ControlChannel(plan.control) if plan.control is not None else None
    try:
        router = Router(plan, channel)
    except ValueError as error:
        # What options cannot be together, or what cannot be compiled of them; trying again would not help.
        _log(plan, channel).fatal(str(error))
        if channel is not None:
            channel.send(Failed(text=str(error)))
        return 1
    trio.run(router.serve)
    return 0


def _log(plan: RolePlan, channel: ControlChannel | None) -> Logger:
    def emit(level: Level, text: str) -> None:
        if channel is not None:
            channel.send_log(level, text)
        else:
            os.write(2, f"[{plan.node_pid}] [{level}] {text}\n".encode(errors="replace"))

    return Logger(emit, debug=plan.options.log.debug, trace=plan.options.log.trace)


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class Router:
    """The parts of one router, wired; raises ValueError when the options cannot be enforced."""

    def __init__(self, plan: RolePlan, channel: ControlChannel | None) -> None:
        self.plan = plan
        self.channel = channel
        self.log = _log(plan, channel)
        secret = base64.b32encode(os.urandom(SYNTHETIC_SECRET_CHARS))[:SYNTHETIC_SECRET_CHARS].decode()
        self.compile = partial(
            compile_rules, identity=plan.identity, ports=plan.ports, synthetic_secret=secret, git_commit=plan.git_commit
        )
        rules: Rules = self.compile(plan.options)
        permits: PermitBook[Permit] = PermitBook(compile_permit)
        for user in (*rules.directory.users.values(), *rules.directory.nkeys.values()):
            permits.permit(user.permissions)
        self.numbers = AccountNumbers()
        limits = engine_limits(plan.options, memory_bytes=_memory_bytes())
        self.engine = Forwarding(limits, seed=int.from_bytes(os.urandom(8)))
        for name in rules.directory.accounts:
            self.engine.install_account(self.numbers.number(name), rules.mappings.get(name))
        census = Census()
        self.desk = Desk(
            engine=self.engine, rules=rules, numbers=self.numbers, permits=permits, census=census, log=self.log,
            check=self._check_password,
        )  # fmt: skip
        self.reception = Reception(engine=self.engine, desk=self.desk, log=self.log)
        info = server_info(plan.options, plan.identity)
        messages = itertools.count(1)
        tracer = Tracer(
            engine=self.engine, numbers=self.numbers, server=lambda now_ns: info.block(seq=next(messages), now_ns=now_ns)
        )
        self.sink = EventSink(
            engine=self.engine, desk=self.desk, census=census, numbers=self.numbers, tracer=tracer, log=self.log
        )
        self.farewell = Farewell(engine=self.engine, desk=self.desk, log=self.log)

    async def serve(self) -> None:
        """Runs the loops until the supervisor says stop or is gone."""
        async with trio.open_nursery() as nursery:
            self.nursery = nursery
            sockets = {LISTENERS[name]: fd for name, fd in self.plan.sockets.items() if name in LISTENERS}
            self.doors = Doors(
                sockets, engine=self.engine, desk=self.desk, reception=self.reception, log=self.log, nursery=nursery
            )
            try:
                self.doors.open(self.plan.options)
            except ValueError as error:
                if self.channel is not None:
                    self.channel.send(Failed(text=str(error)))
                nursery.cancel_scope.cancel()
            nursery.start_soon(events_loop, self.engine, self.sink, name="events")
            if self.channel is not None:
                self.channel.send(Ready())
                await run_control(self.channel, self._obey)
                nursery.cancel_scope.cancel()
        self.engine.stop()

    async def _obey(self, order: Order) -> None:
        match order:
            case Stop():
                await self.farewell.stop(order.grace_ns)
                self.nursery.cancel_scope.cancel()
            case LameDuck():
                self.doors.close()
                self.nursery.start_soon(self._lame_duck, self.plan.options)
            case Reload():
                self._reload(order.options)
            case _:
                self.log.debug(f"nothing to do for {type(order).__name__}")

    async def _lame_duck(self, options: Options) -> None:
        await self.farewell.lame_duck(
            grace_ns=options.lame_duck_grace_ns, duration_ns=options.lame_duck_duration_ns
        )
        if self.channel is not None:
            self.channel.send(Finished())

    def _reload(self, options: Options) -> None:
        try:
            rules, porters = self.compile(options), self.doors.prepare(options)
        except ValueError as error:
            self.log.error(f"Failed to apply the new configuration: {error}")
            return
        self.log.debugs, self.log.traces = options.log.debug, options.log.trace
        self.engine.configure(engine_limits(options, memory_bytes=_memory_bytes()))
        Reloader(engine=self.engine, desk=self.desk, numbers=self.numbers, log=self.log).apply(rules)
        self.doors.change(porters)

    def _check_password(self, check: CheckPassword, settle: Callable[[Verdict], None]) -> None:
        self.nursery.start_soon(self._checked, check, settle)

    async def _checked(self, check: CheckPassword, settle: Callable[[Verdict], None]) -> None:
        # bcrypt takes its time on purpose, and is loaded only where somebody uses it.
        from services.shared.identity.passwords import matches_bcrypt

        matches = await trio.to_thread.run_sync(partial(matches_bcrypt, stored=check.hash, given=check.password))
        settle(check.then if matches else check.otherwise)
