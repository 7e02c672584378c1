"""The HTTP upgrade of one connection: request bytes in, one outcome out (reference: wire protocol 5.1).

`UpgradeRules` holds what is the same for all connections of a listener; an `UpgradeMachine` serves one connection and
ends with `Refused` or `Accepted`. Either way `response` is to be sent as it is; after a refusal the connection is to be
closed. The rules are judged in nats-server's order, so that a request with several faults gets its answer.

Absent on purpose: keep-alive after a refusal (one request, one answer), the time limit (the loop's), and frames.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from enum import Enum
from typing import Final

from services.router.websocket.cookies import NO_CREDENTIALS, CookieCredentials, cookie_credentials
from services.router.websocket.origin import OriginPolicy, origin_policy
from services.router.websocket.request import RequestError, RequestHead, RequestReader
from services.shared.config.options import WebsocketOptions
from services.shared.records.record import record

_ACCEPT_SUFFIX: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY_BYTES: Final = 16
_DEFLATE_ANSWER: Final = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
_DEFLATE_PARAMETERS: Final = frozenset({"server_no_context_takeover", "client_no_context_takeover"})
_PERCENT_DAMAGED: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST: Final = re.compile(r"[A-Za-z0-9!$%&'()*+,\-.:;=\[\]_~]*")
_PHRASES: Final = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    413: "Content Too Large",
    414: "URI Too Long",
    431: "Request Header Fields Too Large",
    501: "Not Implemented",
    505: "HTTP Version Not Supported",
}


class UpgradeKind(Enum):
    """Which protocol the path asks for."""

    CLIENT = "client"
    LEAFNODE = "leafnode"
    MQTT = "mqtt"


_SUFFIXES: Final = {UpgradeKind.LEAFNODE: "/leafnode", UpgradeKind.MQTT: "/mqtt"}


@record
class UpgradeRules:
    """What one listener accepts, made once from its options with `upgrade_rules`."""

    options: WebsocketOptions
    origins: OriginPolicy
    tls: bool
    kinds: frozenset[UpgradeKind]


@record
class NeedMore:
    """The request is not complete."""


@record
class Refused:
    """No upgrade: send `response` (it may be empty), log `reason`, close."""

    response: bytes
    reason: str


@record
class Accepted:
    """The upgrade is agreed: send `response`; frames follow in both directions.

    `compress`: permessage-deflate without context takeover. `no_masking`: the peer's frames come without masks.
    `browser`: frames sent must be small; `fragment_compressed` is false for Safari, which wants each compressed message
    in one frame all the same. `client_ip`: what a proxy says the client's address is, for logs only; empty if nothing.
    """

    response: bytes
    kind: UpgradeKind
    compress: bool = False
    no_masking: bool = False
    browser: bool = False
    fragment_compressed: bool = True
    client_ip: str = ""
    cookies: CookieCredentials = NO_CREDENTIALS


def upgrade_rules(options: WebsocketOptions, *, tls: bool, leafnodes: bool = False, mqtt: bool = False) -> UpgradeRules:
    """The rules of a listener. `leafnodes` and `mqtt` say whether those features are on. Raises ValueError for an
    allowed origin that is none.
    """
    kinds = {UpgradeKind.CLIENT}
    if leafnodes:
        kinds.add(UpgradeKind.LEAFNODE)
    if mqtt:
        kinds.add(UpgradeKind.MQTT)
    origins = origin_policy(same_origin=options.same_origin, allowed_origins=options.allowed_origins)
    return UpgradeRules(options=options, origins=origins, tls=tls, kinds=frozenset(kinds))


class UpgradeMachine:
    """The upgrade of one connection. Feed it with `receive` until the outcome is not NeedMore, then drop it."""

    __slots__ = ("_reader", "_rules")

    def __init__(self, rules: UpgradeRules) -> None:
        self._rules = rules
        self._reader = RequestReader()

    def receive(self, data: bytes) -> NeedMore | Refused | Accepted:
        """The outcome after some more bytes."""
        try:
            head = self._reader.receive(data)
            return NeedMore() if head is None else _judge(self._rules, head)
        except RequestError as error:
            return _unreadable(error)


def _judge(rules: UpgradeRules, head: RequestHead) -> Refused | Accepted:
    """The outcome for a complete request. Raises RequestError when target or host make no sense."""
    place = _place(head)
    objection = _objection(rules, head, place)
    if objection is not None:
        status, reason = objection
        return _refusal(status, reason, with_body=head.method != "HEAD")
    if head.data_follows:
        # The peer does not wait for the answer, so it does not speak WebSocket. There is no way to tell it.
        return Refused(response=b"", reason="client sent data before handshake is complete")
    return _accept(rules, head, place)


@record
class _Place:
    """Where a request goes: the host it names and the protocol its path asks for."""

    host: str
    kind: UpgradeKind


def _place(head: RequestHead) -> _Place:
    host, path = head.first("host"), head.target.partition("?")[0]
    if path.startswith(("http://", "https://")):
        # The absolute form overrules the Host field (RFC 9112, section 3.2.2).
        host, slash, path = path.partition("://")[2].partition("/")
        path = slash + path
    elif head.method == "GET" and not path.startswith("/"):
        raise RequestError(400, f"target {head.target!r}, wanted a path")
    if _PERCENT_DAMAGED.search(path):
        raise RequestError(400, f"target {head.target!r} has a damaged percent-encoding")
    if _HOST.fullmatch(host) is None:
        raise RequestError(400, f"malformed Host {host!r}")
    for kind, suffix in _SUFFIXES.items():
        if path.endswith(suffix):
            return _Place(host=host, kind=kind)
    return _Place(host=host, kind=UpgradeKind.CLIENT)


def _objection(rules: UpgradeRules, head: RequestHead, place: _Place) -> tuple[int, str] | None:
    """Status and reason of the first rule that the request breaks (RFC 6455, section 4.2.1)."""
    if place.kind not in rules.kinds:
        return 404, f"{place.kind.value} websocket endpoint not enabled"
    if head.method != "GET":
        return 405, "request method must be GET"
    if not place.host:
        return 400, "'Host' missing in request"
    if not head.lists("upgrade", "websocket"):
        return 400, "invalid value for header 'Upgrade'"
    if not head.lists("connection", "upgrade"):
        return 400, "invalid value for header 'Connection'"
    key = head.first("sec-websocket-key")
    if not key:
        return 400, "key missing"
    if not _is_key(key):
        return 400, "invalid websocket key"
    if not head.lists("sec-websocket-version", "13"):
        return 400, "invalid version"
    origin = head.first("origin") or head.first("sec-websocket-origin")
    objection = rules.origins.objection(origin, host_field=place.host, tls=rules.tls)
    if objection is not None:
        return 403, f"origin not allowed: {objection}"
    return None


def _accept(rules: UpgradeRules, head: RequestHead, place: _Place) -> Accepted:
    options = rules.options
    agent = head.first("user-agent")
    compress = options.compression and any(map(_is_deflate_offer, head.elements("sec-websocket-extensions")))
    no_masking = head.first("nats-no-masking") == "true"
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accept_value(head.first("sec-websocket-key")),
    }
    if compress:
        fields["Sec-WebSocket-Extensions"] = _DEFLATE_ANSWER
    if no_masking:
        fields["Nats-No-Masking"] = "true"
    if place.kind is UpgradeKind.MQTT:
        fields["Sec-Websocket-Protocol"] = "mqtt"
    return Accepted(
        response=_message("101 Switching Protocols", [*fields.items(), *options.headers.items()], b""),
        kind=place.kind,
        compress=compress,
        no_masking=no_masking,
        browser=agent.startswith("Mozilla/"),
        fragment_compressed=not ("Version/" in agent and "Safari/" in agent),
        client_ip=_forwarded_ip(head),
        cookies=cookie_credentials(options, head.values("cookie")),
    )


def accept_value(key: str) -> str:
    """The proof that the server understood the key (RFC 6455, section 4.2.2)."""
    digest = hashlib.sha1(key.encode("latin-1") + _ACCEPT_SUFFIX, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except ValueError:
        return False


def _is_deflate_offer(offer: str) -> bool:
    """Whether an extension is permessage-deflate with nothing in it that our fixed answer leaves out.

    Window sizes for the server would have to be kept, so offers that insist on one are declined (RFC 7692, 7.1).
    """
    name, *parameters = (part.strip().lower() for part in offer.split(";"))
    return name == "permessage-deflate" and all(
        parameter in _DEFLATE_PARAMETERS or parameter.partition("=")[0].rstrip() == "client_max_window_bits"
        for parameter in parameters
    )


def _forwarded_ip(head: RequestHead) -> str:
    """The first address in X-Forwarded-For; empty when it is not an address."""
    candidate = head.first("x-forwarded-for").partition(",")[0].strip()
    try:
        return str(ipaddress.ip_address(candidate))
    except ValueError:
        return ""


def _refusal(status: int, reason: str, *, with_body: bool) -> Refused:
    body = f"{_PHRASES[status]}\n".encode("ascii")
    fields = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Sec-Websocket-Version", "13"),
        ("X-Content-Type-Options", "nosniff"),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    ]
    response = _message(f"{status} {_PHRASES[status]}", fields, body if with_body else b"")
    return Refused(response=response, reason=reason)


def _unreadable(error: RequestError) -> Refused:
    """The answer to what is not HTTP, or not enough of it to be judged."""
    line = f"{error.status} {_PHRASES.get(error.status, 'Bad Request')}"
    fields = [("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close")]
    return Refused(response=_message(line, fields, line.encode("ascii")), reason=f"invalid HTTP request: {error}")


def _message(status_line: str, fields: list[tuple[str, str]], body: bytes) -> bytes:
    head = "".join([f"HTTP/1.1 {status_line}\r\n", *(f"{name}: {value}\r\n" for name, value in fields), "\r\n"])
    return head.encode("latin-1") + body
