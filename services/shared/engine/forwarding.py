"""The forwarding engine as the control plane uses it: typed values down, events up.

All methods but the views (`connections`, `subscriptions`, `subscription_page`, `totals`, `accounts`) and `set_permit`
return at once; those wait for the end of the forwarding thread's current batch, which is short.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

from services.shared.config.options import SubjectMapping
from services.shared.engine import _native
from services.shared.engine.layers import S2Session, TlsSession
from services.shared.identity.permissions import Permissions, SubjectPermission
from services.shared.records.record import fields, record
from services.shared.wire.close_reasons import CloseReason

Permit: TypeAlias = _native.Permit
Mappings: TypeAlias = _native.Mappings
Imports: TypeAlias = _native.Imports
Event: TypeAlias = tuple[Any, ...]
ConnectionKind: TypeAlias = Literal["client", "link", "route", "leaf_below", "leaf_above", "gateway_out", "gateway_in"]


@record
class WebsocketLayer:
    """What the HTTP upgrade agreed. `frame_bytes_max` of None does not split output."""

    compress: bool
    masked_input: bool
    frame_bytes_max: int | None
    fragment_compressed: bool
    message_bytes_max: int


@record
class OpenRule:
    """Lets the engine settle a plain CONNECT by itself where nobody has to say who they are.

    `info` are the halves of the INFO after the first PONG; `about` are JSON members of the note, the same for everybody.
    """

    info: tuple[bytes, bytes]
    about: bytes
    headers: bool


@record
class Handover:
    """A connection as it is given to the engine; see `Admission` in `engine/core/src/conn.rs` for each member.

    `connect_within_ns` of None means that the connection is admitted; otherwise nothing but CONNECT is accepted, within
    that time (0: without limit); with `silent_ok` another first frame becomes a `connect` event with empty arguments.
    `client_info` is what services of other accounts may know (`services/router/client_info.py`), None where none may.
    `kind` is what the other end is (`Kind` in `engine/core/src/conn.rs`): a `client`; a `link` is another process of this
    node, which is neither counted nor shown; a `route` another server of the cluster, whose handshake is over. That is told
    of all accounts, with `pool_slot` of those with this slot, with `one_account` of its own account only.
    """

    cid: int
    account: int
    permit: Permit | None
    verbose: bool
    pedantic: bool
    echo: bool
    headers: bool
    no_responders: bool
    payload_max: int
    subs_max: int
    ping_interval_ns: int
    first_pong_info: bytes
    about: bytes
    system: bool
    connect_within_ns: int | None
    client_info: tuple[bytes, bytes, bytes] | None = None
    silent_ok: bool = False
    open_rule: OpenRule | None = None
    kind: ConnectionKind = "client"
    pool_slot: int | None = None
    one_account: bool = False

    def as_mapping(self) -> dict[str, object]:
        """The members by name, as the native module wants them."""
        members = {name: getattr(self, name) for name in _HANDOVER_MEMBERS}
        rule = self.open_rule
        members["open_rule"] = None if rule is None else (*rule.info, rule.about, rule.headers)
        return members


_HANDOVER_MEMBERS: Final = tuple(field.name for field in fields(Handover))


@record(kw_only=False)
class Traffic:
    """Messages and their bytes, both ways."""

    in_msgs: int
    in_bytes: int
    out_msgs: int
    out_bytes: int


@record(kw_only=False)
class Arrival:
    """How a connection came in through a door of the engine. `at_ns` is wall-clock time."""

    door: int
    ip: str
    port: int
    nonce: bytes
    at_ns: int


@record
class Door:
    """How the engine treats those who come through a listening socket that it accepts from by itself.

    `welcome` is what they may do before their CONNECT (its client id is filled in); `info` are the two halves of the INFO
    that greets them, around client id, address and, with `nonce`, the challenge.
    """

    number: int
    welcome: Handover
    info: tuple[bytes, bytes]
    nonce: bool


@record(kw_only=False)
class ConnectionView:
    """A connection as the engine sees it now. Times are nanoseconds of the engine's clock (`totals()["now_ns"]`).

    `account` is None until a CONNECT was accepted, where one is needed.
    """

    cid: int
    account: int | None
    traffic: Traffic
    stalls: int
    subscriptions: int
    pending_bytes: int
    opened_ns: int
    last_in_ns: int
    rtt_ns: int
    about: bytes
    arrival: Arrival | None


@record(kw_only=False)
class SubscriptionView:
    """A subscription. `cid` 0 is the control plane; `max` 0 is without end."""

    cid: int
    account: int
    subject: bytes
    queue: bytes
    sid: bytes
    delivered: int
    max: int


@record(kw_only=False)
class Lookups:
    """How an account's subjects were looked up so far: the figures of subsz (reference: operations 6.8)."""

    subscriptions: int = 0
    inserts: int = 0
    removes: int = 0
    matches: int = 0
    hits: int = 0
    remembered: int = 0
    fanout_max: int = 0
    fanout_total: int = 0


@record(kw_only=False)
class AccountView:
    """An account as the engine sees it now. `connections` and `traffic` are those of its clients."""

    number: int
    connections: int
    traffic: Traffic
    slow_consumers: int
    lookups: Lookups


@record(kw_only=False)
class OpenRequest:
    """A request that may still be answered on `subject`. `asker` is the number of the account that asked, `reply` its own
    reply subject; `latency` is `(results, percentage)` where the answer is timed.
    """

    subject: bytes
    asker: int
    reply: bytes
    shared: bool
    latency: tuple[bytes, int | None] | None


def _connection_view(
    cid: int, account: int | None, traffic: tuple[int, int, int, int], stalls: int, subscriptions: int,
    pending_bytes: int, opened_ns: int, last_in_ns: int, rtt_ns: int, about: bytes,
    arrival: tuple[int, str, int, bytes, int] | None,
) -> ConnectionView:  # fmt: skip
    return ConnectionView(
        cid, account, Traffic(*traffic), stalls, subscriptions, pending_bytes, opened_ns, last_in_ns, rtt_ns, about,
        Arrival(*arrival) if arrival else None,
    )  # fmt: skip


def compile_permit(permissions: Permissions) -> Permit:
    """Compiles permissions; raises ValueError with the reference's text for a subject that is none."""
    publish, subscribe, responses = permissions.publish, permissions.subscribe, permissions.responses
    return _native.Permit(
        publish_allow=_allow(publish),
        publish_deny=_deny(publish),
        subscribe_allow=_allow(subscribe),
        subscribe_deny=_deny(subscribe),
        responses=None if responses is None else (responses.max_msgs, responses.expires_ns),
    )


def compile_mappings(mappings: Sequence[SubjectMapping], *, cluster: str) -> Mappings | None:
    """Compiles an account's mappings for a server of `cluster`; raises ValueError with the reference's text.

    No mappings at all are None.
    """
    if not mappings:
        return None
    specs = [
        (
            mapping.source.encode(),
            [(to.subject.encode(), to.weight, to.cluster.encode()) for to in mapping.destinations],
        )
        for mapping in mappings
    ]
    return _native.Mappings(specs, cluster.encode())


def compile_imports(
    *, name: bytes, server: bytes, streams: Sequence[tuple[int, bytes, bytes, bool]],
    services: Sequence[tuple[int, bytes, bytes, bool, int, bool, tuple[bytes, int | None] | None, bool]],
) -> Imports:  # fmt: skip
    """Compiles what an account imports; raises ValueError when subjects do not fit together.

    `streams` are `(exporter, subject, to, allow_trace)`, `services` are `(exporter, subject, to, streamed, threshold_ns,
    share, latency, allow_trace)`, where latency is `(results, percentage)`, or None; `name` of the account and of the
    `server` are JSON.
    """
    return _native.Imports(name, server, streams, services)


def _allow(side: SubjectPermission | None) -> list[bytes] | None:
    return None if side is None or side.allow is None else [entry.encode() for entry in side.allow]


def _deny(side: SubjectPermission | None) -> list[bytes]:
    return [] if side is None else [entry.encode() for entry in side.deny]


class EngineControl:
    """What the control plane may ask of an engine, however it is driven."""

    __slots__ = ("_engine",)

    _engine: _native.Engine | _native.ManualEngine

    def events(self, *, at_most: int) -> list[Event]:
        """Takes events: tuples whose first member is their name (`engine/py/src/events.rs`)."""
        return self._engine.events(at_most)

    def dropped_events(self) -> int:
        """How many events nobody took in time."""
        return self._engine.dropped_events()

    def configure(self, limits: dict[str, object]) -> None:
        """Replaces the limits that hold for all connections."""
        self._engine.configure(limits)

    def install_account(self, number: int, mappings: Mappings | None = None) -> None:
        """Makes an account known, or replaces its mappings."""
        self._engine.install_account(number, mappings)

    def install_imports(self, changes: Sequence[tuple[int, Imports]]) -> None:
        """Replaces what these accounts import, all at once."""
        self._engine.install_imports(changes)

    def next_cid(self) -> int:
        """A client id for a connection that is going to be adopted."""
        return self._engine.next_cid()

    def readmit(self, handover: Handover) -> None:
        """Answers the CONNECT of a connection: it goes on as the handover says, without its old subscriptions."""
        self._engine.readmit(handover.as_mapping())

    def close(self, cid: int, reason: CloseReason, text: str | None = None) -> None:
        """Closes a connection, after an `-ERR` if there is a text."""
        self._engine.close(cid, reason, text)

    def announce(self, cids: Sequence[int], info: bytes) -> None:
        """Sends an INFO to connections that want it; those before their first PONG get it with that."""
        self._engine.announce(cids, info)

    def set_permit(self, cid: int, permit: Permit | None) -> list[str]:
        """Replaces what a connection may do; returns the subscriptions that it lost, for the log."""
        return self._engine.set_permit(cid, permit)

    def set_limits(self, cid: int, *, payload_max: int, subs_max: int) -> None:
        """Replaces the limits of a connection."""
        self._engine.set_limits(cid, payload_max, subs_max)

    def set_about(self, cid: int, about: bytes) -> None:
        """Replaces the note about a connection."""
        self._engine.set_about(cid, about)

    def set_client_info(self, cid: int, info: tuple[bytes, bytes, bytes] | None) -> None:
        """Replaces what services of other accounts may know about a connection."""
        self._engine.set_client_info(cid, info)

    def subscribe(self, *, account: int, subject: bytes, tag: int, queue: bytes | None = None) -> None:
        """Asks for what is published on a subject: `deliver` events with the tag."""
        self._engine.subscribe(account, subject, tag, queue)

    def publish(self, messages: Sequence[tuple[int, bytes, bytes, int, bytes]]) -> None:
        """Publishes messages `(account, subject, reply, header_bytes, body)`."""
        self._engine.publish(messages)

    def totals(self) -> dict[str, int]:
        """Counters of the whole engine."""
        return self._engine.totals()

    def connections(self, cid: int | None = None) -> list[ConnectionView]:
        """All open connections, or the one with a client id."""
        return [_connection_view(*view) for view in self._engine.connections(cid)]

    def subscriptions(self, cids: Sequence[int]) -> list[SubscriptionView]:
        """All subscriptions of some connections."""
        return [SubscriptionView(*s) for s in self._engine.subscriptions(cids)]

    def subscription_page(
        self, *, account: int | None, test: bytes | None, offset: int, limit: int
    ) -> tuple[int, list[SubscriptionView]]:
        """How many subscriptions there are in an account (None: in all) and a page of them.

        With `test` only those count that this published subject reaches.
        """
        total, page = self._engine.subscription_page(account, test, offset, limit)
        return total, [SubscriptionView(*s) for s in page]

    def accounts(self) -> list[AccountView]:
        """All accounts that were installed, by number."""
        return [AccountView(a[0], a[1], Traffic(*a[2]), a[3], Lookups(*a[4])) for a in self._engine.accounts()]

    def open_requests(self, account: int, *, at_most: int) -> list[OpenRequest]:
        """Requests of other accounts that may still be answered in this one."""
        return [OpenRequest(*request) for request in self._engine.open_requests(account, at_most)]


class Forwarding(EngineControl):
    """The engine of one router. Owns the forwarding thread and every socket given to it.

    With `crew` so many threads more read and write for the forwarding thread (ADR-0011).
    """

    __slots__ = ()

    _engine: _native.Engine

    def __init__(self, limits: dict[str, object], *, seed: int, crew: int) -> None:
        self._engine = _native.Engine(limits, seed, crew)

    @property
    def events_fd(self) -> int:
        """Readable when there are events."""
        return self._engine.events_fd()

    def adopt(
        self,
        fd: int,
        handover: Handover,
        *,
        greeting: bytes = b"",
        received: bytes = b"",
        websocket: WebsocketLayer | None = None,
        tls: TlsSession | None = None,
        s2: S2Session | None = None,
    ) -> None:
        """Gives a connected socket away. `greeting` is sent first; `received` was read from the socket already.

        The engine takes the sessions out of `tls` and `s2`, with what waits in them; the objects are of no use afterwards.
        """
        layer = None
        if websocket is not None:
            layer = (
                websocket.compress,
                websocket.masked_input,
                websocket.frame_bytes_max,
                websocket.fragment_compressed,
                websocket.message_bytes_max,
            )
        self._engine.adopt(fd, handover.as_mapping(), greeting, received, layer, tls, s2)

    def name_account(self, number: int, name: str, *, system: bool, slot: int | None) -> None:
        """Tells by which name other servers know an account, and whether they hear what we ourselves want in it.

        `slot` is its place in the pool of connections to each of them, None when it has one of its own.
        """
        self._engine.name_account(number, name.encode(), system, slot)

    def tell_peer(self, cid: int, line: bytes) -> None:
        """Sends a protocol line to another server."""
        self._engine.tell_peer(cid, line)

    def forget_interest(self, cid: int, account: str) -> None:
        """Forgets what another server told over this connection that it wants in an account."""
        self._engine.forget_interest(cid, account.encode())

    def proceed(self, cid: int) -> None:
        """Goes on with the connection of another server, whose INFO (a `peer` event) was read."""
        self._engine.proceed(cid)

    def open_door(self, fd: int, door: Door) -> None:
        """Has the engine accept connections from a listening socket, which it owns from now on."""
        self._engine.open_door(fd, door.number, door.welcome.as_mapping(), door.info, door.nonce)

    def change_door(self, door: Door) -> None:
        """Changes how the door with this number treats newcomers."""
        self._engine.change_door(door.number, door.welcome.as_mapping(), door.info, door.nonce)

    def close_doors(self) -> None:
        """Accepts nobody any more through any door; their sockets are closed."""
        self._engine.close_doors()

    def routes(self) -> list[ConnectionView]:
        """All open connections to other servers of the cluster."""
        return [_connection_view(*view) for view in self._engine.routes()]

    def compressions(self, cids: Sequence[int]) -> list[str | None]:
        """For each of these connections the mode of its compression between servers, None without one."""
        return self._engine.compressions(cids)

    def peer_certificates(self, cids: Sequence[int]) -> list[list[bytes]]:
        """For each of these connections the certificates that its peer showed (DER), its own first."""
        return self._engine.peer_certificates(cids)

    def stop(self) -> None:
        """Ends the forwarding thread; every socket is closed."""
        self._engine.stop()
