"""INFO for clients, as bytes (reference: wire protocol 0.3, 1.4, 1.15).

What all connections of a listener share is rendered once; a connection adds its few members by joining bytes. Members
appear in the reference's order and are left out where the reference leaves them out, so recorded dialogues compare.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from services.shared.records.record import record, replace

CLIENT_PROTOCOL: Final = 1
_ENDING: Final = b"} \r\n"
_UNSAFE: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_UNSAFE_TABLE: Final = str.maketrans(_UNSAFE)


@record
class ServerInfo:
    """What INFO says about the server, the same for every connection of one listener.

    `auth_advertised` is `auth_required` of the first INFO of a connection and `auth_required` that of all later ones;
    they differ where a no_auth_user stands in. Empty texts and tuples are left out.
    """

    server_id: str
    server_name: str
    version: str
    go: str
    host: str
    port: int
    max_payload_bytes: int
    xkey: str
    git_commit: str = ""
    headers: bool = True
    auth_advertised: bool = False
    auth_required: bool = False
    tls_required: bool = False
    tls_verify: bool = False
    tls_available: bool = False
    jetstream: bool = False
    cluster: str = ""
    domain: str = ""
    connect_urls: tuple[str, ...] = ()
    api_level: int = 0


class InfoTemplate:
    """One listener's INFO with the shared parts rendered. Made anew whenever something of `server` changes."""

    __slots__ = ("_after_nonce", "_after_payload", "_first_head", "_inside_tls_head", "_last", "_later_head")

    def __init__(self, server: ServerInfo) -> None:
        later_head = _head(server, auth_required=server.auth_required)
        payload_max = b"%d" % server.max_payload_bytes
        self._first_head = _head(server, auth_required=server.auth_advertised) + payload_max
        # Where TLS is a choice, who begins with it is told that it is required; later INFOs do not say so.
        inside = replace(server, tls_required=server.tls_required or server.tls_available)
        self._inside_tls_head = _head(inside, auth_required=server.auth_advertised) + payload_max
        self._later_head = later_head
        self._after_payload = _flag("jetstream", server.jetstream) + b',"client_id":'
        urls = _texts("connect_urls", server.connect_urls)
        self._after_nonce = _text("cluster", server.cluster) + _text("domain", server.domain) + urls
        level = b',"api_lvl":%d' % server.api_level if server.api_level else b""
        self._last = level + _text("xkey", server.xkey) + _ENDING

    def first(self, *, client_id: int, client_ip: str, nonce: bytes = b"", inside_tls: bool = False) -> bytes:
        """The INFO that greets a connection, `inside_tls` where the handshake came first.

        An empty `client_ip` or `nonce` is left out.
        """
        return b"".join(
            (
                self._inside_tls_head if inside_tls else self._first_head,
                self._after_payload,
                _connection_members(client_id=client_id, client_ip=client_ip, nonce=nonce),
                self._after_nonce,
                self._last,
            )
        )

    def halves(self) -> tuple[bytes, bytes]:
        """The greeting before the client id, and after the members that each connection adds."""
        return self._first_head + self._after_payload, self._after_nonce + self._last

    def connect_info(
        self, *, client_id: int, client_ip: str, max_payload_bytes: int, account: str, is_system: bool
    ) -> bytes:
        """The INFO that follows the first PONG: what the connection was bound to."""
        bound = b',"connect_info":true,"remote_account":' + encode_string(account)
        return self._later(
            client_id=client_id,
            client_ip=client_ip,
            max_payload_bytes=max_payload_bytes,
            tail=bound + (b',"acc_is_sys":true' if is_system else b""),
        )

    def connect_info_halves(self, *, max_payload_bytes: int, account: str, is_system: bool) -> tuple[bytes, bytes]:
        """The same, before the client id and after the client's address."""
        bound = b',"connect_info":true,"remote_account":' + encode_string(account)
        system = b',"acc_is_sys":true' if is_system else b""
        head = self._later_head + b"%d" % max_payload_bytes + self._after_payload
        return head, self._after_nonce + bound + system + self._last

    def update(self, *, client_id: int, client_ip: str, max_payload_bytes: int, lame_duck: bool = False) -> bytes:
        """The INFO that tells a running connection of changed `connect_urls`, or that the server is going away."""
        return self._later(
            client_id=client_id,
            client_ip=client_ip,
            max_payload_bytes=max_payload_bytes,
            tail=b',"ldm":true' if lame_duck else b"",
        )

    def _later(self, *, client_id: int, client_ip: str, max_payload_bytes: int, tail: bytes) -> bytes:
        return b"".join(
            (
                self._later_head,
                b"%d" % max_payload_bytes,
                self._after_payload,
                _connection_members(client_id=client_id, client_ip=client_ip, nonce=b""),
                self._after_nonce,
                tail,
                self._last,
            )
        )


def encode_string(text: str) -> bytes:
    """A JSON string the way the reference writes it: `<`, `>`, `&` and two line separators are escaped."""
    return _encode_string(text).translate(_UNSAFE_TABLE).encode("utf-8", "replace")


_encode_string: Final[Callable[[str], str]] = json.JSONEncoder(ensure_ascii=False).encode


def _connection_members(*, client_id: int, client_ip: str, nonce: bytes) -> bytes:
    ip = b',"client_ip":"%b"' % client_ip.encode() if client_ip else b""
    challenge = b',"nonce":"%b"' % nonce if nonce else b""
    return b"%d%b%b" % (client_id, ip, challenge)


def _head(server: ServerInfo, *, auth_required: bool) -> bytes:
    return b"".join(
        (
            b'INFO {"server_id":' + encode_string(server.server_id),
            b',"server_name":' + encode_string(server.server_name),
            b',"version":' + encode_string(server.version),
            b',"proto":%d' % CLIENT_PROTOCOL,
            _text("git_commit", server.git_commit),
            b',"go":' + encode_string(server.go),
            b',"host":' + encode_string(server.host),
            b',"port":%d' % server.port,
            b',"headers":true' if server.headers else b',"headers":false',
            _flag("auth_required", auth_required),
            _flag("tls_required", server.tls_required),
            _flag("tls_verify", server.tls_verify),
            _flag("tls_available", server.tls_available),
            b',"max_payload":',
        )
    )


def _flag(name: str, value: bool) -> bytes:
    return f',"{name}":true'.encode() if value else b""


def _text(name: str, value: str) -> bytes:
    return f',"{name}":'.encode() + encode_string(value) if value else b""


def _texts(name: str, values: tuple[str, ...]) -> bytes:
    return f',"{name}":['.encode() + b",".join(map(encode_string, values)) + b"]" if values else b""
