"""Listens for requests of the system account and sends the answers (reference: security 8.4).

Light on purpose: what it takes to answer is loaded with the first request, so that a router starts without it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from services.router.links_loop import is_link
from services.router.own_traffic import OwnTraffic
from services.router.rib.accounts import AccountNumbers
from services.shared.engine.forwarding import Event
from services.shared.telemetry.log import Logger

if TYPE_CHECKING:
    from services.router.views.endpoints import EncodedAnswer, RouterEndpoints

SERVER_ENDPOINTS: Final = (
    "IDZ", "STATSZ", "VARZ", "SUBSZ", "CONNZ", "ROUTEZ", "GATEWAYZ", "LEAFZ", "ACCOUNTZ", "JSZ", "HEALTHZ",
)  # fmt: skip
ACCOUNT_ENDPOINTS: Final = ("SUBSZ", "CONNZ", "LEAFZ", "INFO", "STATZ", "CONNS")
NO_SYSTEM_ACCOUNT: Final = ""
"""The name of the account that links live in when no system account is configured. Nobody else can be in it."""
FAILED: Final = b'{"error":{"code":503,"description":"internal error, see the log of the server"}}'

ORDERS: Final = ("KICK", "LDM")
"""What can only be asked of one server, by its id."""
OWN_REQUESTS: Final = (
    ("$SYS.REQ.USER.INFO", "USER.INFO"),
    ("$SYS.REQ.ACCOUNT.PING.CONNZ", "ACCOUNT.CONNZ"),
    ("$SYS.REQ.SERVER.PING.CONNZ", "ACCOUNT.CONNZ"),
    ("$SYS.REQ.ACCOUNT.PING.STATZ", "ACCOUNT.STATZ"),
)
"""What every account may ask about itself (reference: security 8.6); the system account only the first."""

_ACCOUNT_TOKEN: Final = 3
_OWN_TAGS: Final = 1 << 16
"""Requests of accounts about themselves have tags from here on."""


def requests_of(server_id: str) -> tuple[tuple[str, str], ...]:
    """Every subject that is answered, and the endpoint that answers it."""
    ping = "$SYS.REQ.SERVER.PING"
    subjects = [(ping, "STATSZ")]
    for name in SERVER_ENDPOINTS:
        subjects += [(f"{ping}.{name}", name), (f"$SYS.REQ.SERVER.{server_id}.{name}", name)]
    subjects += [(f"$SYS.REQ.SERVER.{server_id}.{name}", name) for name in ORDERS]
    return (*subjects, *((f"$SYS.REQ.ACCOUNT.*.{name}", f"ACCOUNT.{name}") for name in ACCOUNT_ENDPOINTS))


class SystemRequests:
    """Answers the requests that arrive. `load` makes the endpoints when the first one comes."""

    __slots__ = ("_endpoints", "_load", "_log", "_names", "_numbers", "_own", "_served", "_subjects")

    def __init__(
        self, own: OwnTraffic, *, numbers: AccountNumbers, server_id: str, load: Callable[[], RouterEndpoints],
        log: Logger,
    ) -> None:  # fmt: skip
        self._log = log
        self._own = own
        self._numbers = numbers
        self._served: set[int] = set()
        self._load = load
        self._endpoints: RouterEndpoints | None = None
        self._subjects = requests_of(server_id)
        self._names = [name for _, name in self._subjects]

    def listen(self, account: int) -> None:
        """Answers requests in this account from now on. The system account is the same until the next start."""
        for tag, (subject, _) in enumerate(self._subjects):
            self._own.subscribe(account=account, subject=subject, tag=tag)

    def serve(self, account: int, *, is_system: bool) -> None:
        """Answers what an account asks about itself, from now on."""
        if account in self._served:
            return
        self._served.add(account)
        for at, (subject, _) in enumerate(OWN_REQUESTS[:1] if is_system else OWN_REQUESTS):
            tag = _OWN_TAGS + account * len(OWN_REQUESTS) + at
            self._own.subscribe(account=account, subject=subject, tag=tag)

    def take(self, event: Event) -> None:
        """Answers one request: a `deliver` event. Without a reply subject there is nobody to answer."""
        _, tag, account, _, _, reply, *_ = event
        if not reply:
            return
        try:
            answer = self._answer(event)
        except Exception as error:
            # Whoever only looks at a router must not be able to end it.
            self._log.error(f"A request failed, {self._name(tag)}: {type(error).__name__}: {error}")
            self._own.publish(account=account, subject=reply, body=FAILED)
            return
        if answer is not None:
            self._own.publish(account=account, subject=reply, headers=answer.headers, body=answer.body)

    def _name(self, tag: int) -> str:
        return OWN_REQUESTS[(tag - _OWN_TAGS) % len(OWN_REQUESTS)][1] if tag >= _OWN_TAGS else self._names[tag]

    def _answer(self, event: Event) -> EncodedAnswer | None:
        # Imported here for the same reason as the endpoints.
        from services.shared.member.system_services import Asker

        _, tag, account, sender, subject, _, header_bytes, body = event
        if self._endpoints is None:
            self._endpoints = self._load()
        name = self._name(tag)
        of_account = ""
        if tag >= _OWN_TAGS:
            of_account = self._numbers.name(account)
        elif name.startswith("ACCOUNT."):
            of_account = subject.decode(errors="replace").split(".")[_ACCOUNT_TOKEN]
        asker = Asker(cid=sender, account=of_account, is_trusted=is_link(sender))
        return self._endpoints.answer(name, body[header_bytes:], headers=body[:header_bytes], asker=asker)
