"""The handshake of a route, either side, as a machine of bytes (reference: wire protocol 2.4, 2.16). Pure.

```text
dialled:   INFO of the peer -> CONNECT, INFO [, Compress, INFO of the peer -> INFO], PING -> anything but -ERR: joined
accepted:  INFO -> CONNECT of the peer, its INFO [-> Compress, INFO -> its INFO] -> joined
```

Whoever dials waits for the peer's INFO first: it tells who it is before we say anything, and asks for credentials. Where
both agree on compression, the INFO that tells so is not yet the one that introduces anybody.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from services.shared.member.compression import UnknownCompressionError, answer, choose
from services.shared.member.routes.mesh import Mesh
from services.shared.member.routes.pool import Place, Rejection
from services.shared.member.routes.route_info import (
    LINE_BYTES_MAX,
    MalformedLineError,
    RouteConnect,
    RouteInfo,
    parse_connect,
    parse_info,
)
from services.shared.records.record import field, record
from services.shared.wire import errors
from services.shared.wire.close_reasons import CloseReason

_PLAIN: Final = frozenset((b"RS+", b"RS-", b"RMSG", b"HMSG", b"PING", b"PONG", b"INFO", b"+OK"))


@record
class Credentials:
    """User and password, empty where there are none."""

    user: str = ""
    password: str = field(default="", repr=False)


@record
class Joined:
    """The route is up, in its place. `rest` was received already and belongs to whoever carries the route."""

    info: RouteInfo
    place: Place
    headers: bool
    rest: bytes


@record
class Failed:
    """The connection is to be closed. `text` is for the log."""

    rejection: Rejection
    text: str


@record
class Compress:
    """After `output` and what was taken in so far, both directions are compressed.

    `received` came already and belongs to that; `greeting` is to be sent first.
    """

    mode: str
    received: bytes
    greeting: bytes


@record
class CheckPassword:
    """A password has to be compared with a hash, which takes its time: `AcceptedHandshake.checked` is told the outcome."""

    hash: str = field(repr=False)
    given: str = field(repr=False)


Outcome: TypeAlias = Joined | Failed
Step: TypeAlias = Outcome | Compress | CheckPassword | None
"""What came of input: the end of the handshake, a change on the way, or nothing yet."""


def _refused(reason: CloseReason, text: str, *, err: str = "") -> Failed:
    return Failed(rejection=Rejection(reason=reason, text=err), text=text)


class _Lines:
    """Input cut into lines, as long as they are not too long."""

    __slots__ = ("received",)

    def __init__(self) -> None:
        self.received = b""

    def next(self) -> tuple[bytes, bytes] | None:
        """Verb in capitals and argument of the next line, taken out; None when there is no whole one."""
        line, newline, rest = self.received.partition(b"\n")
        if not newline:
            return None
        self.received = rest
        verb, _, argument = line.removesuffix(b"\r").partition(b" ")
        return verb.upper(), argument.strip()

    def take(self) -> bytes:
        """What was not cut yet, taken out."""
        received, self.received = self.received, b""
        return received

    @property
    def is_too_long(self) -> bool:
        return len(self.received) > LINE_BYTES_MAX and b"\n" not in self.received[:LINE_BYTES_MAX]


class DialledHandshake:
    """We are the one who dialled. `output` is what is to be sent; whoever sends it empties it.

    `wanted` is the server that we want to be there and the place of this connection, None for the first to whoever is there.
    Whoever drives the handshake releases its place when it is over.
    """

    __slots__ = ("_compression", "_credentials", "_gossip_mode", "_info", "_lines", "_mesh", "_place", "_wanted",
                 "output")  # fmt: skip

    def __init__(
        self, mesh: Mesh, *, credentials: Credentials, gossip_mode: int, wanted: tuple[str, Place] | None = None
    ) -> None:
        self._mesh = mesh
        self._wanted = wanted
        self._place: Place | None = None
        self._credentials = credentials
        self._gossip_mode = gossip_mode
        self._lines = _Lines()
        self._info: RouteInfo | None = None
        self._compression: str | None = None
        self.output = b""

    @property
    def info(self) -> RouteInfo | None:
        """Who the other side is, once it said so and was not refused."""
        return self._info

    def release(self) -> None:
        """It is over, one way or the other."""
        if self._info is not None and self._place is not None:
            self._mesh.release(self._info.server_id, self._place)

    def receive(self, data: bytes) -> Step:
        """Takes input."""
        lines = self._lines
        lines.received += data
        while True:
            before = lines.received
            line = lines.next()
            if line is None:
                break
            verb, argument = line
            if verb == b"-ERR":
                text = argument.decode(errors="replace")
                return _refused(CloseReason.PARSE_ERROR, f"Route Error {text[:256]}")
            if self._info is not None:
                return self._taken_in(verb, before)
            if verb != b"INFO":
                return _refused(CloseReason.PROTOCOL_VIOLATION, f"wanted INFO, got {verb[:16]!r}")
            step = self._introduced(argument)
            if step is not None:
                return step
        if self._info is not None and lines.received and not lines.received.startswith((b"-", b"I", b"i")):
            # A line longer than what came so far can only be traffic.
            return self._joined(lines.received)
        return _too_long() if lines.is_too_long else None

    def _introduced(self, argument: bytes) -> Failed | Compress | None:
        try:
            info = parse_info(argument)
        except MalformedLineError as error:
            return _refused(CloseReason.PROTOCOL_VIOLATION, f"INFO: {error}")
        rejection = self._mesh.judge(info, solicited=True)
        if rejection is None:
            rejection = self._mesh.agree(info.cluster, dynamic=info.cluster_dynamic, solicited=True)
        if rejection is not None:
            return Failed(rejection=rejection, text=rejection.text or rejection.reason.text)
        if self._wanted is not None and info.server_id != self._wanted[0]:
            return _refused(CloseReason.DUPLICATE_ROUTE, f"another server is there now: {info.server_id[:64]}")
        if self._compression is not None:
            # The second INFO: the peer speaks compressed as well.
            return self._introduce(info, self._compression)
        try:
            mode = choose(self._mesh.compression, info.compression)
        except UnknownCompressionError as error:
            return _unknown_compression(error)
        self._compression = answer(mode, local=self._mesh.compression, remote=info.compression)
        given = self._credentials
        connect = self._mesh.connect(user=given.user, password=given.password)
        if not mode:
            return self._introduce(info, self._compression, connect=connect)
        self.output += connect + self._mesh.info(gossip_mode=self._gossip_mode, compression=mode)
        return Compress(mode=mode, received=self._lines.take(), greeting=b"")

    def _introduce(self, info: RouteInfo, compression: str, *, connect: bytes = b"") -> Failed | None:
        place = self._mesh.claim(info, wanted=self._wanted[1] if self._wanted is not None else None)
        if isinstance(place, Rejection):
            return Failed(rejection=place, text=place.reason.text)
        self._info, self._place = info, place
        own = self._mesh.info(gossip_mode=self._gossip_mode, compression=compression, place=place)
        self.output += connect + own + b"PING\r\n"
        return None

    def _taken_in(self, verb: bytes, rest: bytes) -> Outcome:
        if verb[:4] not in _PLAIN and verb not in _PLAIN:
            return _refused(CloseReason.PROTOCOL_VIOLATION, f"wanted a line of a route, got {verb[:16]!r}")
        return self._joined(rest)

    def _joined(self, rest: bytes) -> Outcome:
        assert self._info is not None and self._place is not None, "the peer said who it is"
        # Meanwhile it may have come to us by itself.
        rejection = self._mesh.duplicate(self._info, self._place)
        if rejection is not None:
            return Failed(rejection=rejection, text=rejection.reason.text)
        return Joined(info=self._info, place=self._place, headers=self._info.headers, rest=rest)


class AcceptedHandshake:
    """The other side dialled. `output` starts with our INFO.

    `vouched`: whether its certificate lets it in, in place of credentials; None where certificates do not decide that.
    """

    __slots__ = ("_compared", "_connect", "_lines", "_mesh", "_unchecked", "_vouched", "_wanted", "output")

    def __init__(self, mesh: Mesh, *, wanted: Credentials, vouched: bool | None = None) -> None:
        self._mesh = mesh
        self._wanted = wanted
        self._vouched = vouched
        self._lines = _Lines()
        self._connect: RouteConnect | None = None
        self._unchecked: RouteConnect | None = None
        self._compared = False
        self.output = mesh.info()

    def receive(self, data: bytes) -> Step:
        """Takes input."""
        lines = self._lines
        lines.received += data
        while (line := lines.next()) is not None:
            verb, argument = line
            step: Step
            if self._connect is None:
                step = self._authenticate(verb, argument)
            else:
                step = self._introduced(self._connect, verb, argument)
            if step is not None:
                return step
        return _too_long() if lines.is_too_long else None

    def _authenticate(self, verb: bytes, argument: bytes) -> Outcome | CheckPassword | None:
        if verb != b"CONNECT":
            return _unknown()
        try:
            connect = parse_connect(argument)
        except MalformedLineError as error:
            return _refused(CloseReason.PROTOCOL_VIOLATION, f"CONNECT: {error}")
        if connect.lang:
            text = "attempted to connect to route port"
            return _refused(CloseReason.INCORRECT_PORT, text, err=text)
        if connect.gateway:
            text = f'Rejecting connection from gateway "{connect.gateway}" on the Route port'
            return _refused(CloseReason.WRONG_GATEWAY, text, err=text)
        known = self._knows(connect)
        if isinstance(known, CheckPassword):
            self._unchecked = connect
            return known
        return self._let_in(connect) if known else _unknown()

    def checked(self, matches: bool) -> Step:
        """The password was compared: goes on with what came meanwhile."""
        connect, self._unchecked = self._unchecked, None
        assert connect is not None, "there was something to check"
        return (self._let_in(connect) if matches else _unknown()) or self.receive(b"")

    def _let_in(self, connect: RouteConnect) -> Outcome | None:
        rejection = self._mesh.agree(connect.cluster, dynamic=connect.cluster_dynamic, solicited=False)
        if rejection is not None:
            return Failed(rejection=rejection, text=rejection.text)
        self._connect = connect
        return None

    def _knows(self, connect: RouteConnect) -> bool | CheckPassword:
        if self._vouched is not None:
            return self._vouched
        if not self._wanted.user:
            return True
        # Imported here: only clusters with credentials need it.
        from services.shared.identity.passwords import is_bcrypt, matches_plain

        user = matches_plain(stored=self._wanted.user, given=connect.user)
        if user and is_bcrypt(self._wanted.password):
            return CheckPassword(hash=self._wanted.password, given=connect.password)
        return matches_plain(stored=self._wanted.password, given=connect.password) and user

    def _introduced(self, connect: RouteConnect, verb: bytes, argument: bytes) -> Step:
        if verb[:4] in (b"PING", b"PONG"):
            self.output += b"PONG\r\n" if verb[:4] == b"PING" else b""
            return None
        if verb == b"-ERR":
            text = argument.decode(errors="replace")
            return _refused(CloseReason.PARSE_ERROR, f"Route Error {text[:256]}")
        if verb != b"INFO":
            return _refused(CloseReason.PROTOCOL_VIOLATION, f"wanted INFO, got {verb[:16]!r}")
        try:
            info = parse_info(argument)
        except MalformedLineError as error:
            return _refused(CloseReason.PROTOCOL_VIOLATION, f"INFO: {error}")
        if not self._compared:
            self._compared = True
            try:
                mode = choose(self._mesh.compression, info.compression)
            except UnknownCompressionError as error:
                return _unknown_compression(error)
            if mode:
                return Compress(mode=mode, received=self._lines.take(), greeting=self._mesh.info(compression=mode))
        rejection = self._mesh.judge(info, solicited=False)
        if rejection is None and info.cluster:
            rejection = self._mesh.agree(info.cluster, dynamic=info.cluster_dynamic, solicited=False)
        if rejection is not None:
            return Failed(rejection=rejection, text=rejection.text or rejection.reason.text)
        place = self._mesh.asked_place(info)
        return Joined(info=info, place=place, headers=info.headers and connect.headers, rest=self._lines.received)


def _unknown() -> Failed:
    return _refused(CloseReason.AUTHENTICATION_FAILURE, "authentication error", err=errors.AUTHORIZATION_VIOLATION)


def _unknown_compression(error: UnknownCompressionError) -> Failed:
    text = f"unsupported route compression mode {error}"
    return _refused(CloseReason.PROTOCOL_VIOLATION, text, err=text)


def _too_long() -> Failed:
    text = errors.MAXIMUM_CONTROL_LINE_EXCEEDED
    return _refused(CloseReason.MAXIMUM_CONTROL_LINE_EXCEEDED, text, err=text)
