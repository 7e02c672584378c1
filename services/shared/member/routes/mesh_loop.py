"""Accepts, dials and keeps the routes of one server. All decisions are the machines' (`handshake`, `mesh`).

A route that is up belongs to the `Carrier`, which reports what it hears (`heard`) and when it ends (`closed`).
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from typing import Final, assert_never

import trio

from services.shared.config.options import ClusterOptions
from services.shared.config.route_urls import RouteUrl, parse_route_url
from services.shared.member.cluster_face import Face
from services.shared.member.routes.carrier import Carrier
from services.shared.member.routes.handshake import AcceptedHandshake, Credentials, DialledHandshake, Failed, Joined
from services.shared.member.routes.handshake_loop import Dialled, RouteLayers, os_text, refuse, secure, shake_hands
from services.shared.member.routes.mesh import Action, Dial, Drop, Forget, Member, Mesh, Peer, Tell
from services.shared.member.routes.pool import Place, Pooling, Rejection
from services.shared.member.routes.route_info import GOSSIP_DEFAULT, MalformedLineError, RouteInfo, parse_info
from services.shared.member.routes.upkeep_loop import JITTER_S, RETRY_S, Upkeep
from services.shared.records.record import record
from services.shared.runtime.layered_stream import LayeredStream
from services.shared.telemetry.log import Logger
from services.shared.wire import errors
from services.shared.wire.close_reasons import CloseReason

DIAL_S: Final = 1.0
HANDSHAKE_S: Final = 2.0
"""Reference: wire protocol 2.13."""

PROBE_S: Final = 2.0
"""How long a route may stay silent after a PING when its server comes by another connection."""

HANDSHAKES_MAX: Final = 256
"""Accepted connections whose handshake goes on, and learned servers that are dialled, at a time."""


@record
class Reporting:
    """Which failures to connect are logged: the first, and every so-manieth before and after a first success."""

    connect: int
    reconnect: int

    def is_due(self, attempt: int, *, connected_before: bool) -> bool:
        """Whether this attempt's failure is logged."""
        every = self.reconnect if connected_before else self.connect
        return attempt == 1 or (every > 0 and attempt % every == 0)


@record
class _Way:
    """How a server is dialled."""

    url: RouteUrl
    credentials: Credentials
    explicit: bool
    gossip_mode: int = GOSSIP_DEFAULT


_LATE: Final = Failed(
    rejection=Rejection(reason=CloseReason.AUTHENTICATION_TIMEOUT, text=errors.AUTHENTICATION_TIMEOUT),
    text="authentication timeout",
)


class MeshLoops:
    """The routes of this server. `on_change` is told whenever what clients should know of the cluster changes."""

    def __init__(
        self, mesh: Mesh, options: ClusterOptions, *, carrier: Carrier, layers: RouteLayers, reporting: Reporting,
        on_change: Callable[[Face], None], log: Logger,
    ) -> None:  # fmt: skip
        self.mesh = mesh
        self._options = options
        self._carrier = carrier
        self.layers = layers
        self._reporting = reporting
        self._on_change = on_change
        self._log = log
        self._face = mesh.face
        self._upkeep = Upkeep(mesh)
        self._learning: set[str] = set()
        self._probed: set[int] = set()
        self._handshakes = 0
        self._untried = set(options.routes)
        self.tried = trio.Event()
        """Every configured route was dialled once, or there is none."""
        if not self._untried:
            self.tried.set()

    async def run(self, door: socket.socket) -> None:
        """Accepts from `door` and dials the configured routes, for ever."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            for text in self._options.routes:
                nursery.start_soon(self._keep, text)
            while True:
                await trio.lowlevel.wait_readable(door)
                try:
                    connection, address = door.accept()
                except (BlockingIOError, ConnectionAbortedError):
                    continue
                except OSError as error:
                    self._log.error(f"Error accepting a route: {error}; trying again in {RETRY_S} s")
                    await trio.sleep(RETRY_S)
                    continue
                if self._handshakes >= HANDSHAKES_MAX:
                    connection.close()
                    continue
                connection.setblocking(False)
                nursery.start_soon(self._accepted, connection, address[0].removeprefix("::ffff:"), address[1])

    # What the carrier reports.

    def heard(self, cid: int, text: bytes) -> None:
        """INFO came over a route."""
        try:
            info = parse_info(text)
        except MalformedLineError as error:
            self._log.error(f"rid:{cid} - Error processing route INFO: {error}")
            self._carrier.close(cid, CloseReason.PROTOCOL_VIOLATION)
            return
        self._carry_out(self.mesh.hear(cid, info))
        self._carrier.proceed(cid)
        self._changed()

    def closed(self, cid: int, reason: CloseReason, detail: str) -> bool:
        """A connection has ended; true when it was a route."""
        peer = self.mesh.leave(cid)
        if peer is None:
            return False
        prefix = _prefix(peer)
        if detail:
            self._log.error(f"{prefix} - {detail}")
        self._log.info(f"{prefix} - Router connection closed: {reason.text} - Remote: {_name(peer)}")
        self._upkeep.changed()
        self._changed()
        return True

    def prefix(self, cid: int) -> str:
        """How the log names a route; empty for what is none."""
        peer = self.mesh.of_connection(cid)
        return "" if peer is None else _prefix(peer)

    def retire(self) -> None:
        """Lame duck mode: tells the other servers."""
        self._carry_out(self.mesh.retire())

    def follow(self, member: Member, pooling: Pooling) -> None:
        """A reload changed what this server is."""
        self._carry_out(self.mesh.follow(member, pooling))
        self._upkeep.changed()

    # Connections on their way.

    async def _accepted(self, connection: socket.socket, ip: str, port: int) -> None:
        own = Credentials(user=self._options.user, password=self._options.password)
        timeout_ns = self._options.auth_timeout_ns
        self._handshakes += 1
        try:
            with connection:
                stream = LayeredStream(trio.socket.from_stdlib_socket(connection))
                failure = await secure(stream, self.layers.accept(), self.layers)
                if failure:
                    self._log.error(f"{ip}:{port} - {failure}")
                    return
                handshake = AcceptedHandshake(self.mesh, wanted=own, vouched=self.layers.vouched(stream.tls))
                outcome: Dialled = _LATE
                with trio.move_on_after(HANDSHAKE_S if timeout_ns is None else timeout_ns / 1e9):
                    outcome = await shake_hands(stream, handshake, self.layers)
                match outcome:
                    case Joined():
                        await self._let_own_dial_end(outcome.info.server_id, outcome.place)
                        self._join(stream, outcome, ip=ip, port=port)
                    case Failed():
                        if outcome.rejection.duplicate_of:
                            self._nursery.start_soon(self._probe, outcome.rejection)
                        await self._refuse(stream, outcome, f"{ip}:{port}")
                    case str():
                        self._log.debug(f"{ip}:{port} - a route was lost while it came up: {outcome}")
                    case _:
                        assert_never(outcome)
        finally:
            self._handshakes -= 1

    async def _let_own_dial_end(self, server_id: str, place: Place) -> None:
        """Of two that dial each other at once one has to wait."""
        with trio.move_on_after(HANDSHAKE_S):
            while self.mesh.has_to_wait(server_id, place):
                await self._upkeep.wait()

    async def _probe(self, rejection: Rejection) -> None:
        """A server that is connected comes again: perhaps its first connection is dead, and only we do not know yet."""
        peer = self.mesh.at(rejection.duplicate_of, rejection.place)
        if peer is None or peer.cid in self._probed:
            return
        self._probed.add(peer.cid)
        try:
            before = self._carrier.last_heard_ns(peer.cid)
            self._carrier.tell_peer(peer.cid, b"PING\r\n")
            await trio.sleep(PROBE_S)
            if before and self._carrier.last_heard_ns(peer.cid) == before:
                self._carrier.close(peer.cid, CloseReason.STALE_CONNECTION)
        finally:
            self._probed.discard(peer.cid)

    async def _keep(self, text: str) -> None:
        """A configured route: dialled until it is there, and again when it is gone."""
        url = parse_route_url(text)
        way = _Way(url=url, credentials=Credentials(user=url.user, password=url.password), explicit=True)
        attempt, connected = 0, False
        while True:
            attempt += 1
            outcome = await self._dial(way)
            self._untried.discard(text)
            if not self._untried:
                self.tried.set()
            if isinstance(outcome, Failed) and outcome.rejection.self_route:
                self._log.debug(f'Detected route to self, ignoring "{url.address}"')
                return
            server_id = _reached(outcome)
            if server_id:
                attempt, connected = 0, True
                await self._complete(server_id, way, ours=isinstance(outcome, Joined))
            else:
                self._report(outcome, attempt, connected=connected)
            await trio.sleep(RETRY_S + random.uniform(0, JITTER_S))

    async def _learn(self, dial: Dial) -> None:
        """A server that another one told of: dialled as often as configured, then given up."""
        try:
            url = parse_route_url(dial.url)
        except ValueError as error:
            self._log.debug(f"cannot dial a server that was told of: {error}")
            return
        configured = {parse_route_url(text).address for text in self._options.routes}
        if url.address in configured | self._learning or len(self._learning) >= HANDSHAKES_MAX:
            return
        own = Credentials(user=self._options.user, password=self._options.password)
        way = _Way(
            url=url,
            credentials=own if dial.auth_required else Credentials(),
            explicit=False,
            gossip_mode=dial.gossip_mode,
        )
        self._learning.add(url.address)
        try:
            attempt, connected = 0, False
            while attempt <= self._options.connect_retries:
                attempt += 1
                outcome = await self._dial(way)
                if isinstance(outcome, Failed) and (outcome.rejection.self_route or outcome.rejection.duplicate_of):
                    return  # whoever is there already cares for it
                server_id = _reached(outcome)
                if server_id:
                    attempt, connected = 0, True
                    await self._complete(server_id, way, ours=True)
                else:
                    self._report(outcome, attempt, connected=connected)
                await trio.sleep(random.uniform(0, JITTER_S) + (0 if server_id else RETRY_S))
        finally:
            self._learning.discard(url.address)

    async def _complete(self, server_id: str, way: _Way, *, ours: bool) -> None:
        """Keeps the connections to a server complete until it is gone."""

        async def dial(server_id: str, place: Place) -> bool:
            outcome = await self._dial(way, (server_id, place))
            if not isinstance(outcome, Joined):
                name = f'account "{place.account}"' if place.account else f"slot {place.slot}"
                self._log.debug(f"no connection to {way.url.address} for {name}: {_text(outcome)}")
            return isinstance(outcome, Joined)

        self.mesh.solicit(server_id, explicit=way.explicit)
        await self._upkeep.keep(server_id, dial, delay_s=RETRY_S if way.explicit else 0, ours=ours)

    async def _dial(self, way: _Way, wanted: tuple[str, Place] | None = None) -> Dialled:
        handshake = DialledHandshake(
            self.mesh, credentials=way.credentials, gossip_mode=way.gossip_mode, wanted=wanted
        )  # fmt: skip
        outcome: Dialled = "i/o timeout"
        try:
            with trio.move_on_after(DIAL_S):
                stream = await trio.open_tcp_stream(way.url.host, way.url.port)
                outcome = "the handshake took too long"
        except OSError as error:
            return f"dial tcp {way.url.address}: {os_text(error)}"
        if outcome == "i/o timeout":
            return f"dial tcp {way.url.address}: i/o timeout"
        layered = LayeredStream(stream.socket)
        try:
            with stream.socket:
                outcome = await secure(layered, self.layers.dial(way.url.host), self.layers) or outcome
                if layered.tls is None and self.layers.secure:
                    return outcome
                with trio.move_on_after(HANDSHAKE_S):
                    outcome = await shake_hands(layered, handshake, self.layers)
                    if isinstance(outcome, Joined):
                        ip, port = stream.socket.getpeername()[:2]
                        return self._join(layered, outcome, ip=ip, port=port, way=way)
                    if isinstance(outcome, Failed):
                        await self._refuse(layered, outcome, way.url.address)
        except OSError as error:
            return os_text(error)
        finally:
            handshake.release()
            self._upkeep.changed()
        if isinstance(outcome, str) and handshake.info is not None and self.mesh.knows(handshake.info.server_id):
            # It hung up because it had dialled us meanwhile.
            return _duplicate(handshake.info)
        return outcome

    def _join(self, stream: LayeredStream, joined: Joined, *, ip: str, port: int, way: _Way | None = None) -> Dialled:
        if self.mesh.duplicate(joined.info, joined.place) is not None:
            # It came by another connection while this one was being answered.
            return _duplicate(joined.info)
        cid = self._carrier.next_cid()
        peer = Peer(
            cid=cid, info=joined.info, ip=ip, port=port, solicited=way is not None,
            explicit=way is not None and way.explicit, place=joined.place,
        )  # fmt: skip
        actions = self.mesh.join(peer, dial_mode=way.gossip_mode if way is not None else GOSSIP_DEFAULT)
        self._log.info(f"{_prefix(peer)} - Route connection created")
        self._log.debug(f'{_prefix(peer)} - Registering remote route "{joined.info.server_id}"')
        # Clients first: once the peer hears from us, whoever comes is told of it.
        self._changed()
        place = self.mesh.carried(joined.info, joined.place)
        fd, layers = stream.give_away(joined.rest)
        self._carrier.carry(fd, layers, place, cid=cid, headers=joined.headers)
        self._carry_out(actions)
        self._upkeep.changed()
        return joined

    async def _refuse(self, stream: LayeredStream, failed: Failed, address: str) -> None:
        rejection: Rejection = failed.rejection
        quiet = rejection.self_route or rejection.duplicate_of
        (self._log.debug if quiet else self._log.error)(f"{address} - {failed.text}")
        if rejection.text:
            await refuse(stream, rejection.text)

    def _report(self, outcome: Dialled, attempt: int, *, connected: bool) -> None:
        """A failure to connect; those that are not to be reported go to the debug log."""
        again = "re-" if connected else ""
        due = self._reporting.is_due(attempt, connected_before=connected)
        write = self._log.error if due else self._log.debug
        write(f"Error trying to {again}connect to route (attempt {attempt}): {_text(outcome)}")

    def _carry_out(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Tell():
                    self._carrier.tell_peer(action.cid, action.line)
                case Drop():
                    self._carrier.close(action.cid, action.reason)
                case Forget():
                    self._carrier.forget_interest(action.cid, action.account)
                case Dial():
                    self._nursery.start_soon(self._learn, action)
                case _:
                    assert_never(action)

    def _changed(self) -> None:
        face = self.mesh.face
        if face != self._face:
            if face.name != self._face.name:
                self._log.info(f"Cluster name updated to {face.name}")
            self._face = face
            self._on_change(face)


def _duplicate(info: RouteInfo) -> Failed:
    reason = CloseReason.DUPLICATE_ROUTE
    return Failed(rejection=Rejection(reason=reason, duplicate_of=info.server_id), text=reason.text)


def _text(outcome: Dialled) -> str:
    """Why there is no connection."""
    return outcome if isinstance(outcome, str) else outcome.text if isinstance(outcome, Failed) else ""


def _reached(outcome: Dialled) -> str:
    """The id of the server that is connected, by this dial or otherwise."""
    if isinstance(outcome, Joined):
        return outcome.info.server_id
    return outcome.rejection.duplicate_of if isinstance(outcome, Failed) else ""


def _name(peer: Peer) -> str:
    return peer.info.server_name or peer.info.server_id


def _prefix(peer: Peer) -> str:
    return f"{peer.ip}:{peer.port} - rid:{peer.cid}"
