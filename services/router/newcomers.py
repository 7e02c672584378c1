"""Connections on their way in, and the note about each that the engine keeps for us.

A newcomer is remembered here only until its CONNECT is settled. After that the engine holds the connection and, as an
opaque note (`about`), what the control plane wants to know of it later: for logs, for views, for a second CONNECT and
for a reload. So an idle connection costs no Python object.
"""

from __future__ import annotations

import json
from typing import Any, Final

from services.router.admission.decision import ConnectionFacts
from services.router.admission.directory import ConnectionType, Listener
from services.router.admission.hello import SILENT, Hello
from services.router.admission.verdict import Admitted, claimed_identity, client_label
from services.router.websocket.cookies import NO_CREDENTIALS, CookieCredentials
from services.shared.engine.forwarding import Arrival
from services.shared.identity.certificates import PeerCertificate
from services.shared.records.record import record, replace

CONNECTION_TYPES: Final = {
    Listener.CLIENT: ConnectionType.STANDARD,
    Listener.WEBSOCKET: ConnectionType.WEBSOCKET,
}
DOORS: Final = (Listener.CLIENT, Listener.WEBSOCKET)
"""The listeners by the numbers that the engine knows them by."""


@record
class Newcomer:
    """What is known of a connection before it has said who it is. `started_ns` is wall-clock time."""

    cid: int
    listener: Listener
    connection_type: ConnectionType
    ip: str
    port: int
    nonce: bytes
    started_ns: int
    certificate: PeerCertificate | None = None
    tls_version: str = ""
    tls_cipher: str = ""
    tls_first: bool = False
    cookies: CookieCredentials = NO_CREDENTIALS
    hello: Hello = SILENT
    proxy_key: str = ""

    @property
    def facts(self) -> ConnectionFacts:
        """The facts that admission judges by."""
        return ConnectionFacts(
            listener=self.listener,
            connection_type=self.connection_type,
            nonce=self.nonce,
            remote_ip=self.ip,
            certificate=self.certificate,
            tls=bool(self.tls_version),
            proxy_key=self.proxy_key,
        )

    @property
    def log_prefix(self) -> str:
        """How the log names a connection (reference: operations 5.1)."""
        return log_prefix(ip=self.ip, port=self.port, cid=self.cid, websocket=self.listener is Listener.WEBSOCKET)


def arrived(cid: int, arrival: Arrival) -> Newcomer:
    """The newcomer that the engine has accepted."""
    listener = DOORS[arrival.door]
    return Newcomer(
        cid=cid,
        listener=listener,
        connection_type=CONNECTION_TYPES[listener],
        ip=arrival.ip,
        port=arrival.port,
        nonce=arrival.nonce,
        started_ns=arrival.at_ns,
    )


def log_prefix(*, ip: str, port: int, cid: int, websocket: bool) -> str:
    """`ip:port - cid:n`, or `wid` for WebSocket."""
    host = f"[{ip}]" if ":" in ip else ip
    return f"{host}:{port} - {'wid' if websocket else 'cid'}:{cid}"


def with_cookies(hello: Hello, cookies: CookieCredentials) -> Hello:
    """The CONNECT with its empty credentials filled from cookies (reference: wire protocol 5.1)."""
    if cookies is NO_CREDENTIALS:
        return hello
    return replace(
        hello,
        jwt=hello.jwt or cookies.jwt,
        user=hello.user or cookies.user,
        password=hello.password or cookies.password,
        auth_token=hello.auth_token or cookies.token,
    )


def about(newcomer: Newcomer, hello: Hello, admitted: Admitted) -> bytes:
    """The note about an admitted connection. Secrets are not in it."""
    user = admitted.user
    note: dict[str, Any] = {
        "ip": newcomer.ip,
        "port": newcomer.port,
        "start": newcomer.started_ns,
        "listener": newcomer.listener.value,
        "type": newcomer.connection_type.value,
        "account": admitted.account.name,
        "proto": hello.protocol,
    }
    optional: dict[str, Any] = {
        "nonce": newcomer.nonce.decode(),
        "name": hello.name,
        "lang": hello.lang,
        "version": hello.version,
        "user": admitted.identity.user_id,
        "identity": admitted.identity.label,
        "kind": user.kind.value if user else "",
        "username": user.name if user else "",
        "proxy": admitted.proxy_key,
        "tls_version": newcomer.tls_version,
        "tls_cipher": newcomer.tls_cipher,
        "tls_first": newcomer.tls_first,
        # What a second CONNECT is laid over: only what differs from saying nothing.
        "flags": "".join(
            mark
            for mark, given in (
                ("v", hello.verbose),
                ("p", hello.pedantic),
                ("e", hello.echo),
                ("h", hello.headers),
                ("n", hello.no_responders),
            )
            if given
        ),
    }
    note.update((name, value) for name, value in optional.items() if value)
    return _encode(note).encode()


def unsettled_note(newcomer: Newcomer) -> dict[str, Any]:
    """The note about a connection that was never admitted: what it came with and what it claimed to be."""
    hello = newcomer.hello
    note: dict[str, Any] = {
        "ip": newcomer.ip,
        "port": newcomer.port,
        "start": newcomer.started_ns,
        "listener": newcomer.listener.value,
        "type": newcomer.connection_type.value,
    }
    optional: dict[str, Any] = {
        "name": hello.name,
        "lang": hello.lang,
        "version": hello.version,
        "user": claimed_identity(hello).user_id,
        "proxy": newcomer.proxy_key,
        "tls_version": newcomer.tls_version,
        "tls_cipher": newcomer.tls_cipher,
        "tls_first": newcomer.tls_first,
    }
    note.update((name, value) for name, value in optional.items() if value)
    return note


def unsettled_note_text(newcomer: Newcomer) -> bytes:
    """The same, as text."""
    return _encode(unsettled_note(newcomer)).encode()


def open_about(admitted: Admitted) -> bytes:
    """Members of the note about anonymous connections of one listener, for the engine to write (`settle.rs`)."""
    members = {
        "listener": admitted.listener.value,
        "type": admitted.connection_type.value,
        "account": admitted.account.name,
    }
    return _encode(members).encode()[1:-1]


def renamed(note: dict[str, Any], admitted: Admitted) -> bytes:
    """The note of a connection that a reload bound to somebody else."""
    user = admitted.user
    changed = note | {
        "account": admitted.account.name,
        "user": admitted.identity.user_id,
        "identity": admitted.identity.label,
        "kind": user.kind.value if user else "",
        "username": user.name if user else "",
    }
    return _encode(changed).encode()


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def recall(cid: int, note: dict[str, Any]) -> Newcomer:
    """A connection as it was when it came in, from its note; certificate and credentials are gone."""
    flags = note.get("flags", "")
    return Newcomer(
        cid=cid,
        listener=Listener(note["listener"]),
        connection_type=ConnectionType(note["type"]),
        ip=note["ip"],
        port=note["port"],
        nonce=note.get("nonce", "").encode(),
        started_ns=note["start"],
        tls_version=note.get("tls_version", ""),
        tls_cipher=note.get("tls_cipher", ""),
        tls_first=note.get("tls_first", False),
        proxy_key=note.get("proxy", ""),
        hello=Hello(
            verbose="v" in flags,
            pedantic="p" in flags,
            echo="e" in flags,
            headers="h" in flags,
            no_responders="n" in flags,
            protocol=note["proto"],
            name=note.get("name", ""),
            lang=note.get("lang", ""),
            version=note.get("version", ""),
        ),
    )


def note_prefix(cid: int, note: dict[str, Any]) -> str:
    """The log prefix of an admitted connection, with what it calls itself and whom it is."""
    websocket = note["listener"] == Listener.WEBSOCKET.value
    prefix = log_prefix(ip=note["ip"], port=note["port"], cid=cid, websocket=websocket)
    label = client_label(note.get("version", ""), note.get("lang", ""), note.get("name", ""))
    if label:
        prefix += f' - "{label}"'
    if note.get("identity"):
        prefix += f' - "{note["account"]}/{note["identity"]}"'
    return prefix
