"""Runs a router: wires the parts that need an event loop, starts the loops, obeys the supervisor."""

from __future__ import annotations

import itertools
import json
import os
import random
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import trio

from services.router.admission.directory import Listener
from services.router.admission.verdict import CheckPassword, Verdict
from services.router.departures import update_info
from services.router.doors_loop import Doors
from services.router.events_loop import EventSink, events_loop, take_waiting
from services.router.farewell_loop import Farewell
from services.router.foundation import Foundation, memory_bytes
from services.router.inspection_loop import Inspection, unique_id
from services.router.own_traffic import OwnTraffic
from services.router.reception import Reception
from services.router.reload import Reloader
from services.router.rib.limits import engine_limits
from services.router.rules import clustered, first_face
from services.router.tracer import Tracer
from services.shared.config.options import Options
from services.shared.member.cluster_face import Face, shown_cluster
from services.shared.member.server_info import server_info
from services.shared.records.record import replace
from services.shared.runtime.control import ControlChannel, Failed, Finished, LameDuck, Ready, Reload, Stop
from services.shared.runtime.control_loop import Order, run_control
from services.shared.runtime.role_plan import CLUSTER_LISTENER, NATS_LISTENER, WEBSOCKET_LISTENER, RolePlan

if TYPE_CHECKING:
    from services.router.doors_loop import Porters
    from services.router.service_latency import Stopwatch
    from services.shared.engine.forwarding import Event
    from services.shared.member.routes.handshake_loop import RouteLayers
    from services.shared.member.routes.mesh_loop import MeshLoops

FIRST_ROUTES_S = 0.5
"""How long clients wait at most for the routes of a starting server. They wait in the kernel, connected."""

LISTENERS = {NATS_LISTENER: Listener.CLIENT, WEBSOCKET_LISTENER: Listener.WEBSOCKET}


class Serving:
    """The running half of a router."""

    def __init__(self, plan: RolePlan, channel: ControlChannel | None, foundation: Foundation) -> None:
        self.plan = plan
        self.channel = channel
        self.log = foundation.log
        self.compile = foundation.compile
        self.templates = foundation.templates
        self.options = plan.options
        self.face = first_face(plan.options, plan.identity)
        self.cluster: MeshLoops | None = None
        self.numbers = foundation.numbers
        self.engine = foundation.engine
        self.desk = foundation.desk
        self.desk.hand_checks_to(self._check_password)
        info = server_info(plan.options, plan.identity)
        messages = itertools.count(1)
        self.own = OwnTraffic(engine=self.engine, log=self.log, options=plan.options.log)
        tracer = Tracer(
            engine=self.engine,
            own=self.own,
            numbers=self.numbers,
            server=lambda now_ns: info.block(seq=next(messages), now_ns=now_ns),
        )
        self.inspection = Inspection(
            plan, engine=self.engine, own=self.own, desk=self.desk, numbers=self.numbers,
            next_message=partial(next, messages), log=self.log,
        )  # fmt: skip
        self.reception = Reception(engine=self.engine, desk=self.desk, ring=self.inspection.ring, log=self.log)
        self.sink = EventSink(
            engine=self.engine, desk=self.desk, census=foundation.census, numbers=self.numbers, tracer=tracer,
            ring=self.inspection.ring, log=self.log,
        )  # fmt: skip
        self.sink.on_message = self.inspection.requests.take
        self.sink.on_served = self._measured
        self._stopwatch: Stopwatch | None = None
        self.farewell = Farewell(engine=self.engine, desk=self.desk, log=self.log)

    def _measured(self, event: Event) -> None:
        """The answer of a service was timed."""
        if self._stopwatch is None:
            from services.router.service_latency import Stopwatch  # Only nodes that time services pay for it.

            name = self.desk.rules.server_name
            self._stopwatch = Stopwatch(own=self.own, server_name=name, draw_id=unique_id)
        self._stopwatch.report(event, now_ns=time.time_ns())

    async def serve(self) -> None:
        """Runs the loops until the supervisor says stop or is gone."""
        async with trio.open_nursery() as nursery:
            self.nursery = nursery
            sockets = {LISTENERS[name]: fd for name, fd in self.plan.sockets.items() if name in LISTENERS}
            self.doors = Doors(
                sockets, engine=self.engine, desk=self.desk, reception=self.reception, log=self.log, nursery=nursery
            )
            try:
                porters, layers = self.doors.prepare(self.options), self._route_layers(self.options)
            except ValueError as error:
                self._fail(str(error))
                return
            self.inspection.open(nursery)
            if layers is not None:
                self._join_cluster(nursery, layers)
            nursery.start_soon(events_loop, self.engine, self.sink, name="events")
            nursery.start_soon(self._open_doors, porters)
            if self.channel is not None:
                await run_control(self.channel, self._obey)
                nursery.cancel_scope.cancel()
        self.engine.stop()

    async def _open_doors(self, porters: Porters) -> None:
        """Lets clients in, after the servers that routes are configured to were dialled once."""
        if self.cluster is not None:
            with trio.move_on_after(FIRST_ROUTES_S):
                await self.cluster.tried.wait()
            try:
                self.doors.listen()
            except OSError as error:
                self._fail(f"Error listening for clients: {os.strerror(error.errno or 0)}")
                return
        # Meanwhile another configuration may have come.
        self.doors.change(porters if self.options is self.plan.options else self.doors.prepare(self.options))
        if self.channel is not None:
            self.channel.send(Ready())

    def _fail(self, text: str) -> None:
        """Ends a router that cannot serve; trying again would not help."""
        if self.channel is not None:
            self.channel.send(Failed(text=text))
        self.nursery.cancel_scope.cancel()

    async def _obey(self, order: Order) -> None:
        match order:
            case Stop():
                await self.farewell.stop(order.grace_ns)
                take_waiting(self.engine, self.sink)  # how the connections ended belongs in the log
                self.nursery.cancel_scope.cancel()
            case LameDuck():
                self.doors.close()
                if self.cluster is not None:
                    self.cluster.retire()
                    self._show(self.cluster.mesh.face)
                self.nursery.start_soon(self._lame_duck, self.plan.options)
            case Reload():
                self._reload(order.options, loaded_ns=order.loaded_at_ns)
            case _:
                self.log.debug(f"nothing to do for {type(order).__name__}")

    async def _lame_duck(self, options: Options) -> None:
        await self.farewell.lame_duck(grace_ns=options.lame_duck_grace_ns, duration_ns=options.lame_duck_duration_ns)
        if self.channel is not None:
            self.channel.send(Finished())

    def _reload(self, options: Options, *, loaded_ns: int) -> None:
        try:
            rules, porters = self.compile(options, self.face), self.doors.prepare(options)
            layers = self._route_layers(options)
        except ValueError as error:
            self.log.error(f"Failed to apply the new configuration: {error}")
            return
        self.options = options
        if self.cluster is not None:
            self.cluster.layers = layers or self.cluster.layers
        self.log.debugs, self.log.traces = options.log.debug, options.log.trace
        self.own.follow(options.log)
        self.engine.configure(engine_limits(options, memory_bytes=memory_bytes()))
        Reloader(
            engine=self.engine, desk=self.desk, numbers=self.numbers, pick=random.sample, log=self.log
        ).apply(rules)  # fmt: skip
        self._follow_cluster()
        self.doors.change(porters)
        self.inspection.follow(options, loaded_ns=loaded_ns)

    def _route_layers(self, options: Options) -> RouteLayers | None:
        """What routes have under their protocol; raises ValueError for files without use, and is None without a cluster."""
        cluster = clustered(options)
        if cluster is None:
            return None
        # Only then are its modules needed.
        from services.router.cluster import route_layers

        return route_layers(cluster)

    def _join_cluster(self, nursery: trio.Nursery, layers: RouteLayers) -> None:
        """Starts the routes."""
        options = clustered(self.options)
        assert options is not None, "there are layers for it"
        from services.router.cluster import EngineCarrier, member, pooling
        from services.shared.member.routes.mesh import Mesh
        from services.shared.member.routes.mesh_loop import MeshLoops, Reporting

        myself = member(self.options, options, identity=self.plan.identity, ports=self.plan.ports)
        reporting = Reporting(
            connect=self.options.connect_error_reports, reconnect=self.options.reconnect_error_reports
        )  # fmt: skip
        self.cluster = self.sink.routes = MeshLoops(
            Mesh(myself, pooling(options, self.desk.rules.directory)), options,
            carrier=EngineCarrier(self.engine, self.numbers, self.options), layers=layers, reporting=reporting,
            on_change=self._cluster_changed, log=self.log,
        )  # fmt: skip
        mesh = self.cluster.mesh
        self.inspection.peers = lambda: mesh.peers
        if not options.name:
            self.log.info(f"Cluster name is {mesh.name}")
        door = socket.socket(fileno=os.dup(self.plan.sockets[CLUSTER_LISTENER]))
        nursery.start_soon(self.cluster.run, door, name="routes")

    def _follow_cluster(self) -> None:
        """Tells other servers what a reload changed in what they know of this one."""
        options = clustered(self.options)
        if self.cluster is None or options is None:
            return
        from services.router.cluster import member, name_accounts, pooling

        directory = self.desk.rules.directory
        pools = pooling(options, directory)
        myself = member(self.options, options, identity=self.plan.identity, ports=self.plan.ports)
        # First what goes, so that nobody is told anything over it.
        self.cluster.follow(myself, pools)
        name_accounts(self.engine, pools, directory, self.numbers)

    def _cluster_changed(self, face: Face) -> None:
        """Tells clients what changed in the cluster, those who come and those who are there."""
        if shown_cluster(self.options) is None:
            return
        renamed = face.name != self.face.name
        self._show(face)
        if renamed:
            # Mappings may be for one cluster only.
            self.desk.rules = replace(self.desk.rules, mappings=self.compile(self.options, face).mappings)
            for name, mappings in self.desk.rules.mappings.items():
                self.engine.install_account(self.numbers.number(name), mappings)
        self.doors.refresh()
        for view in self.engine.connections():
            if view.about:
                info = update_info(json.loads(view.about), cid=view.cid, rules=self.desk.rules)
                if info is not None:
                    self.engine.announce([view.cid], info)

    def _show(self, face: Face) -> None:
        if shown_cluster(self.options) is None:
            return
        self.face = face
        rules = self.desk.rules
        self.desk.rules = replace(rules, templates=self.templates(self.options, rules.directory, face))

    def _check_password(self, check: CheckPassword, settle: Callable[[Verdict], None]) -> None:
        self.nursery.start_soon(self._checked, check, settle)

    async def _checked(self, check: CheckPassword, settle: Callable[[Verdict], None]) -> None:
        # bcrypt takes its time on purpose, and is loaded only where somebody uses it.
        from services.shared.identity.passwords import matches_bcrypt

        matches = await trio.to_thread.run_sync(partial(matches_bcrypt, stored=check.hash, given=check.password))
        settle(check.then if matches else check.otherwise)
