"""A router without threads, sockets and clocks: the real rules and the real desk on an engine driven by hand."""

from __future__ import annotations

import json

from services.router.admission.desk import Desk
from services.router.admission.directory import Listener
from services.router.census import Census
from services.router.rib.accounts import AccountNumbers
from services.router.rib.imports import install_imports
from services.router.rib.limits import engine_limits
from services.router.rib.permits import PermitBook
from services.router.rules import compile_rules
from services.shared.config.load import load_options
from services.shared.config.overrides import FlagOverrides
from services.shared.engine.forwarding import Arrival, Event, Permit, compile_permit
from services.shared.engine.manual import ManualForwarding
from services.shared.runtime.role_plan import Identity
from services.shared.telemetry.log import Logger
from services.shared.wire.close_reasons import CloseReason
from tests.kit.protocol_items import ProtocolItems

IDENTITY = Identity(server_id="N" * 56, server_name="manual", xkey="X" * 56)
MEMORY_BYTES = 1 << 30
PORT = 4222


def is_json(text: bytes) -> bool:
    """Whether the text is JSON; a client's INFO must be."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


class ManualRouter:
    """Takes connections on, carries bytes both ways and lets the control plane act, all in one thread."""

    def __init__(self, config: str, *, piece_bytes: int = 1 << 20) -> None:
        flags = FlagOverrides(config_file="server.conf")
        options = load_options(flags=flags, environ={}, read_file=lambda _: config.encode()).options
        rules = compile_rules(
            options, identity=IDENTITY, ports={"nats": PORT}, synthetic_secret="S" * 56, git_commit=""
        )
        self.log_lines: list[str] = []
        log = Logger(lambda level, text: self.log_lines.append(f"[{level}] {text}"), debug=False, trace=False)
        self.engine = ManualForwarding(engine_limits(options, memory_bytes=MEMORY_BYTES), seed=1)
        numbers, census = AccountNumbers(), Census()
        for name in rules.directory.accounts:
            self.engine.install_account(numbers.number(name), rules.mappings.get(name))
        install_imports(self.engine, numbers, server_name=rules.server_name, before={}, after=rules.imports)
        permits: PermitBook[Permit] = PermitBook(compile_permit)
        self.desk = Desk(engine=self.engine, rules=rules, numbers=numbers, permits=permits, census=census, log=log)
        self.piece_bytes = piece_bytes

    def connect(self) -> ManualClient:
        """A new connection through the plain door, with its INFO on the way."""
        door = self.desk.door(Listener.CLIENT)
        cid = self.engine.next_cid()
        head, rest = door.info
        info = head + str(cid).encode() + b',"client_ip":"127.0.0.1"' + rest
        arrival = Arrival(door=door.number, ip="127.0.0.1", port=50_000 + cid, nonce=b"", at_ns=1)
        welcome = door.welcome.as_mapping() | {"cid": cid}
        self.engine._engine.open(welcome, info, (arrival.door, arrival.ip, arrival.port, arrival.nonce, arrival.at_ns))
        return ManualClient(self, cid)

    def feed(self, cid: int, data: bytes) -> None:
        """Carries bytes of a client in pieces, and lets the control plane act after each."""
        for start in range(0, len(data), self.piece_bytes):
            self.engine.feed(cid, data[start : start + self.piece_bytes])
            self.act()

    def act(self) -> None:
        """The control plane sees to everything that was reported."""
        while events := self.engine.events(at_most=100):
            for event in events:
                self._take(event)

    def _take(self, event: Event) -> None:
        match event:
            case "connect", cid, arguments, came_in:
                self.desk.connect(cid, arguments, Arrival(*came_in) if came_in else None)
            case "closed", cid, *_:
                self.desk.forget(cid)
            case "info", cid, text if not is_json(text):
                self.engine.close(cid, CloseReason.PROTOCOL_VIOLATION)


class ManualClient:
    """The other end of one connection."""

    def __init__(self, router: ManualRouter, cid: int) -> None:
        self._router = router
        self._cid = cid
        self._items = ProtocolItems()
        self.ended = False

    def send(self, data: bytes) -> None:
        """Sends bytes; what follows from them has happened when this returns."""
        self._router.feed(self._cid, data)

    def next_item(self) -> bytes | None:
        """The next control line or message; b"" at the end of the connection, None when there is nothing now."""
        if not self.ended:
            output = self._router.engine.take_output(self._cid)
            self._items.feed(output.data)
            self.ended = output.ended
        item = self._items.take()
        return item if item is not None else b"" if self.ended else None
